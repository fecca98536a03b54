import { type ModelLocation, openSource } from '../checkpoint/source/index.ts';
import { Engine, type LoadOptions, newTensors } from '../engine/index.ts';
import { checkNames } from '../errors.ts';
import type { Json } from '../json.ts';
import type { HeadKind } from '../model/index.ts';
import { until } from '../runtime/index.ts';
import { env, LogLevel } from './env.ts';
import { loadTokenizer, readOptions, reopening, stopping } from './loading.ts';
import { type CallableModel, PreTrainedModel, usualRequest } from './model.ts';
import { asksForHead, filesOfConfig, labelChange, seedOf, withConfig } from './new-head.ts';
import { NEW_HEAD_OPTIONS, type NewHeadOptions, type PretrainedOptions } from './options.ts';
import { originOf } from './origin.ts';
import type { OutputName } from './outputs.ts';
import type { PreTrainedTokenizer } from './tokenizer.ts';

/** AutoModel and its sisters: an object that loads models with one kind of head, or without. */
export interface AutoClass<Outputs extends OutputName, Options extends PretrainedOptions = PretrainedOptions> {
  /**
   * Loads config.json and the weights of a model onto the GPU; ModelLocation says where from.
   * Throws SourceError, CheckpointError, UnsupportedError, DeviceError, InputError for a wrong option, or the signal's reason.
   */
  from_pretrained(model: ModelLocation, options?: Options): Promise<CallableModel<Outputs>>;
  /**
   * Makes a model that is not trained: all weights are new, with random numbers as `_init_weights` of Python's class draws them.
   * @param config the fields of a config.json, as of AutoConfig or a plain object
   * Throws CheckpointError and UnsupportedError for a config that makes no sense or is not supported, InputError, DeviceError, or the
   * signal's reason.
   */
  from_config(config: object, options?: NewModelOptions): Promise<CallableModel<Outputs>>;
}

/** The options of `from_config`. */
export interface NewModelOptions
  extends Pick<PretrainedOptions, 'dtype' | 'device' | 'progress_callback' | 'signal'>,
    Pick<NewHeadOptions, 'seed'> {}

const NEW_MODEL_OPTIONS = ['dtype', 'device', 'progress_callback', 'signal', 'seed'];

type Load = Pick<LoadOptions, 'newTensors'> & { readonly change?: ((config: Json) => Json) | undefined };

function autoClass<Outputs extends OutputName>(head: HeadKind): AutoClass<Outputs, NewHeadOptions>;
function autoClass<Outputs extends OutputName>(): AutoClass<Outputs>;
function autoClass<Outputs extends OutputName>(head?: HeadKind): AutoClass<Outputs, NewHeadOptions> {
  // The model keeps this function. It is made here, because a closure made in a load would keep the options of the load.
  const request: LoadOptions['request'] = ({ hasPooler }) => usualRequest(head, hasPooler);
  const load = (model: ModelLocation, options: NewHeadOptions, { newTensors, change }: Load) => {
    const engineOptions = readOptions(options, head && NEW_HEAD_OPTIONS);
    return stopping(options.signal, async signal => {
      const source = openSource(model, { ...options, signal }, env);
      const engine = await Engine.load(change ? withConfig(source, change) : source, {
        ...engineOptions,
        reopen: reopening(source, model, options),
        newTensors,
        signal,
        head,
        request,
      });
      return new PreTrainedModel(engine, originOf(source, options)) as CallableModel<Outputs>;
    });
  };
  return {
    async from_pretrained(model, options = {}) {
      if (!head) return load(model, options, {});
      const replacesHead = options.ignore_mismatched_sizes === true;
      const makesHead = replacesHead || asksForHead(options);
      const loaded = await load(model, options, {
        newTensors: makesHead ? newTensors({ seed: seedOf(options), replacesHead }) : undefined,
        change: labelChange(options),
      });
      warnOfNew(loaded, `AutoModelFor${head}`);
      return loaded;
    },
    async from_config(config, options) {
      const { seed, ...given } = checkNames('from_config', options, NEW_MODEL_OPTIONS);
      return load(filesOfConfig(config), given, { newTensors: newTensors({ seed: seedOf({ seed }), isWhole: true }) });
    },
  };
}

/** Says on the console, as transformers does, that a model has a head that nobody has trained. */
function warnOfNew({ newly_initialized }: PreTrainedModel, name: string): void {
  if (newly_initialized.length === 0 || env.logLevel > LogLevel.WARNING) return;
  console.warn(
    `webgpu-bert: Some weights of ${name} were not initialized from the model checkpoint and are newly initialized: ` +
      `${newly_initialized.join(', ')}. You should probably TRAIN this model on a down-stream task to be able to use it for predictions.`,
  );
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
