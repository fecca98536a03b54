import { type ModelLocation, openSource } from '../checkpoint/source/index.ts';
import { Engine, type LoadOptions } from '../engine/index.ts';
import type { HeadKind } from '../model/index.ts';
import { until } from '../runtime/index.ts';
import { env } from './env.ts';
import { loadTokenizer, readOptions, reopening, stopping } from './loading.ts';
import { type CallableModel, PreTrainedModel, usualRequest } from './model.ts';
import type { PretrainedOptions } from './options.ts';
import type { OutputName } from './outputs.ts';
import type { PreTrainedTokenizer } from './tokenizer.ts';

/** AutoModel and its sisters: an object that loads models with one kind of head, or without. */
export interface AutoClass<Outputs extends OutputName> {
  /**
   * Loads config.json and the weights of a model onto the GPU; ModelLocation says where from.
   * Throws SourceError, CheckpointError, UnsupportedError, DeviceError, or the signal's reason.
   */
  from_pretrained(model: ModelLocation, options?: PretrainedOptions): Promise<CallableModel<Outputs>>;
}

function autoClass<Outputs extends OutputName>(head?: HeadKind): AutoClass<Outputs> {
  // The model keeps this function. It is made here, because a closure made in a load would keep the options of the load.
  const request: LoadOptions['request'] = ({ hasPooler }) => usualRequest(head, hasPooler);
  return {
    async from_pretrained(model, options = {}) {
      const engineOptions = readOptions(options);
      return stopping(options.signal, async signal => {
        const source = openSource(model, { ...options, signal }, env);
        const engine = await Engine.load(source, {
          ...engineOptions,
          reopen: reopening(source, model, options),
          signal,
          head,
          request,
        });
        return new PreTrainedModel(engine) as CallableModel<Outputs>;
      });
    },
  };
}

// A bundler drops the classes that a page does not use: the calls are marked as free of side effects.

/** Encoders without a head. */
export const AutoModel = /* @__PURE__ */ autoClass<'last_hidden_state' | 'pooler_output'>();
export const AutoModelForMaskedLM = /* @__PURE__ */ autoClass<'logits'>('MaskedLM');
/** Both heads of BERT's pre-training; the discriminator of ELECTRA. */
export const AutoModelForPreTraining = /* @__PURE__ */ autoClass<
  'logits' | 'prediction_logits' | 'seq_relationship_logits'
>('PreTraining');
export const AutoModelForNextSentencePrediction = /* @__PURE__ */ autoClass<'logits'>('NextSentencePrediction');
export const AutoModelForSequenceClassification = /* @__PURE__ */ autoClass<'logits'>('SequenceClassification');
export const AutoModelForTokenClassification = /* @__PURE__ */ autoClass<'logits'>('TokenClassification');
export const AutoModelForQuestionAnswering = /* @__PURE__ */ autoClass<'start_logits' | 'end_logits'>(
  'QuestionAnswering',
);
/** Takes input_ids [B, choices, L]. */
export const AutoModelForMultipleChoice = /* @__PURE__ */ autoClass<'logits'>('MultipleChoice');

export type TokenizerOptions = Omit<PretrainedOptions, 'dtype' | 'device'>;

export const AutoTokenizer = {
  /**
   * Loads the tokenizer of a model: from tokenizer.json and tokenizer_config.json, or else from the files of its vocabulary.
   * Throws SourceError, UnsupportedError, or the signal's reason.
   */
  from_pretrained(model: ModelLocation, options: TokenizerOptions = {}): Promise<PreTrainedTokenizer> {
    return stopping(options.signal, signal => {
      const source = openSource(model, { ...options, signal }, env);
      return until(signal, loadTokenizer(source, reopening(source, model, options)));
    });
  },
};
