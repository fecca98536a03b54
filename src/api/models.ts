import { type ManagedSource, type ModelLocation, type ModelSource, openSource } from '../checkpoint/source/index.ts';
import { Engine, type LoadOptions } from '../engine/index.ts';
import { checkNames, wrong } from '../errors.ts';
import { checkSequence, type EncoderRequest, type HeadKind } from '../model/index.ts';
import type { SequenceOutputs } from '../plan/index.ts';
import { linkedAbort, until } from '../runtime/index.ts';
import { Callable } from './callable.ts';
import { env } from './env.ts';
import { type ModelInputs, unpadInputs } from './inputs.ts';
import { checkOptions, type PretrainedOptions } from './options.ts';
import { padPairs, padTokens, slicesOf, stack } from './outputs.ts';
import type { Tensor } from './tensor.ts';
import { PreTrainedTokenizer } from './tokenizer.ts';
import { readTokenizerFiles } from './tokenizer-files.ts';

export interface ModelCallOptions {
  /** Also give `attentions`: one tensor [B, H, L, L] per layer; of a list of layers only those, in its order, to save memory. */
  output_attentions?: boolean | readonly number[];
  /** Also give `hidden_states`: the embeddings (0), then one tensor [B, L, C] per layer; of a list only those, in its order. */
  output_hidden_states?: boolean | readonly number[];
  signal?: AbortSignal;
}

const CALL_OPTIONS = ['output_attentions', 'output_hidden_states', 'signal'];

/** Names and shapes of Python's model outputs. Padding is zero in every tensor. */
export interface ModelOutput {
  /** [B, L, C]; of models without a head. */
  last_hidden_state: Tensor;
  /** [B, C]; of models without a head whose checkpoint has a pooler. */
  pooler_output?: Tensor;
  hidden_states?: Tensor[];
  attentions?: Tensor[];
  /** Masked LM [B, L, V]; sequences [B, labels]; tokens [B, L, labels]; choices [B, choices]; replaced tokens [B, L]. */
  logits: Tensor;
  /** [B, L] */
  start_logits: Tensor;
  /** [B, L] */
  end_logits: Tensor;
  /** [B, L, V] */
  prediction_logits: Tensor;
  /** [B, 2] */
  seq_relationship_logits: Tensor;
}

export type OutputName = keyof ModelOutput;
type Answer<Given extends OutputName> = Pick<ModelOutput, Given> & Pick<ModelOutput, 'hidden_states' | 'attentions'>;
type ModelCall<Given extends OutputName> = (inputs: ModelInputs, options?: ModelCallOptions) => Promise<Answer<Given>>;

/** What a model tells of its device. */
export interface ModelEventMap {
  /**
   * The device was lost: the driver was reset, the browser's GPU process ended, or somebody destroyed it. A model on a device of
   * its own loads its weights onto another, and its calls go on there; on a device of yours it is at its end.
   */
  devicelost: CustomEvent<{ reason: 'unknown' | 'destroyed'; message: string }>;
  /** The weights are on another device. `adapter` is the name of its graphics adapter. */
  restored: CustomEvent<{ adapter: string }>;
}

type ModelListener<Type extends keyof ModelEventMap> =
  | ((event: ModelEventMap[Type]) => void)
  | { handleEvent(event: ModelEventMap[Type]): void };

/** A model that can be called: `await model(inputs, options)`. Made by AutoModel.from_pretrained and its sisters. */
export class PreTrainedModel extends (Callable as new () => object) {
  readonly #engine: Engine;

  constructor(engine: Engine) {
    super();
    this.#engine = engine;
  }

  /** config.json, under its own names, as in transformers.js. */
  get config(): Readonly<Record<string, unknown>> {
    return this.#engine.config.raw;
  }

  /** The graphics adapter it runs on, for people. Another device, after one was lost, may be on another. */
  get adapter(): string {
    return this.#engine.adapterName;
  }

  /** As of an EventTarget, for 'devicelost' and 'restored'. */
  addEventListener<Type extends keyof ModelEventMap>(
    type: Type,
    listener: ModelListener<Type> | null,
    options?: boolean | AddEventListenerOptions,
  ): void {
    this.#engine.events.addEventListener(type, listener as EventListenerOrEventListenerObject | null, options);
  }

  /** As of an EventTarget. */
  removeEventListener<Type extends keyof ModelEventMap>(
    type: Type,
    listener: ModelListener<Type> | null,
    options?: boolean | EventListenerOptions,
  ): void {
    this.#engine.events.removeEventListener(type, listener as EventListenerOrEventListenerObject | null, options);
  }

  /** As of an EventTarget: false where a listener has cancelled it. */
  dispatchEvent(event: Event): boolean {
    return this.#engine.events.dispatchEvent(event);
  }

  /** Bytes that it holds on the GPU now: none while a lost device is being replaced. */
  bytes(): Promise<{ weights: number; activations: number }> {
    return this.#engine.bytes();
  }

  /** What calling the model does. Throws InputError, DeviceError, or the signal's reason. */
  async _call(inputs: ModelInputs, given?: ModelCallOptions | null): Promise<Partial<ModelOutput>> {
    const options = checkNames('a model', given, CALL_OPTIONS);
    const { signal } = options;
    const { config, head, hasPooler } = this.#engine;
    const { rows, width, choices } = unpadInputs(config, inputs, head === 'MultipleChoice');
    const sequences = rows.map(row => checkSequence(config, row));
    const hiddenStates = layerList('output_hidden_states', options.output_hidden_states, config.layers + 1);
    const attentions = layerList('output_attentions', options.output_attentions, config.layers);
    const request: EncoderRequest = {
      ...usualRequest(head, hasPooler),
      ...(hiddenStates && { hiddenStates }),
      ...(attentions && { attentions }),
    };
    const outputs: SequenceOutputs[] = [];
    await this.#engine.run(sequences, request, {
      signal,
      done: ran => {
        for (const each of ran) outputs.push(each.outputs);
      },
    });
    const padded = (name: string, layer?: number) => padTokens(outputs, { name, layer, rows, width });
    return {
      ...(request.lastHiddenState && { last_hidden_state: padded('last_hidden_state') }),
      ...(request.pooler && { pooler_output: stack('pooler_output', outputs) }),
      ...(head && headOutputs(head, outputs, padded, choices)),
      ...(hiddenStates && { hidden_states: hiddenStates.map(layer => padded('hidden_states', layer)) }),
      ...(attentions && {
        attentions: attentions.map(layer => padPairs(outputs, { name: 'attentions', layer, rows, width })),
      }),
    };
  }

  /** Gives back everything it holds on the GPU. */
  async dispose(): Promise<void> {
    this.#engine.dispose();
  }
}

/** A PreTrainedModel is a function too. */
export type CallableModel<Given extends OutputName = OutputName> = PreTrainedModel & ModelCall<Given>;

/** The layers that are asked for: all, none, or those of a list. */
function layerList(name: string, asked: boolean | readonly number[] | undefined, count: number): number[] | undefined {
  if (asked === undefined || asked === false) return undefined;
  const all = [...new Array(count).keys()];
  if (asked === true) return all;
  if (Array.isArray(asked) && asked.every(i => all.includes(i))) return [...asked];
  throw wrong(name, asked, `true, false, or a list of whole numbers from 0 to ${count - 1}`);
}

function headOutputs(
  head: HeadKind,
  outputs: readonly SequenceOutputs[],
  padded: (name: string) => Tensor,
  choices: number | undefined,
): Partial<ModelOutput> {
  const pairs = 'seq_relationship_logits';
  switch (head) {
    case 'MaskedLM':
      return { logits: padded('logits') };
    case 'PreTraining': {
      if (slicesOf(outputs[0]!, pairs).length > 0)
        return { prediction_logits: padded('logits'), [pairs]: stack(pairs, outputs) };
      const replaced = padded('logits');
      return { logits: replaced.view(...replaced.dims.slice(0, 2)) };
    }
    case 'MultipleChoice':
      return { logits: stack('logits', outputs).view(-1, choices ?? outputs.length) };
    case 'TokenClassification':
      return { logits: padded('logits') };
    case 'QuestionAnswering': {
      const both = padded('logits');
      return { start_logits: both.slice(null, null, 0), end_logits: both.slice(null, null, 1) };
    }
    default:
      return { logits: stack('logits', outputs) };
  }
}

export interface AutoClass<Given extends OutputName> {
  /**
   * Loads config.json and the weights of a model (see ModelLocation for where from) onto the GPU.
   * Throws SourceError, CheckpointError, UnsupportedError, DeviceError, or the signal's reason.
   */
  from_pretrained(model: ModelLocation, options?: PretrainedOptions): Promise<CallableModel<Given>>;
}

/** The caller's options as the engine takes them. Throws UnsupportedError. */
export const readOptions = (options: PretrainedOptions) => ({
  ...checkOptions(options),
  progress: options.progress_callback ?? undefined,
  signal: options.signal ?? undefined,
});

/**
 * The files of a model once more, from where they came from and of the same commit: the settings are those of the first time, but
 * for `fetch`. The model keeps what this gives, so of the first time nothing else is in it.
 */
export function reopening(
  { commit }: Pick<ManagedSource, 'commit'>,
  where: ModelLocation,
  { revision, subfolder, local_files_only, integrity }: PretrainedOptions,
): (signal: AbortSignal) => ModelSource {
  const settings = { ...env, fetch: (input: string, init?: RequestInit) => env.fetch(input, init) };
  return signal =>
    openSource(where, { revision, subfolder, local_files_only, integrity, signal }, settings, {
      commit: commit(),
    });
}

/** What a model gives by itself: its head's outputs, or without one the encoder's. */
const usualRequest = (head: HeadKind | undefined, pooler: boolean): EncoderRequest =>
  head ? { head: { kind: head } } : { lastHiddenState: true, pooler };

/** Runs a load whose parts are all told to stop when one of them fails; the caller's signal is listened to no longer than that. */
async function stopping<T>(other: AbortSignal | undefined, load: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const stop = linkedAbort(other);
  try {
    return await load(stop.signal);
  } catch (error) {
    stop.abort(error);
    throw error;
  } finally {
    stop.release();
  }
}

function autoClass<Given extends OutputName>(head?: HeadKind): AutoClass<Given> {
  // The model keeps it: made inside of a load it would hold the load's options.
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
        return new PreTrainedModel(engine) as CallableModel<Given>;
      });
    },
  };
}

/** Encoders without a head. */
export const AutoModel = autoClass<'last_hidden_state' | 'pooler_output'>();
export const AutoModelForMaskedLM = autoClass<'logits'>('MaskedLM');
/** Both heads of BERT's pre-training; of ELECTRA the discriminator. */
export const AutoModelForPreTraining = autoClass<'logits' | 'prediction_logits' | 'seq_relationship_logits'>(
  'PreTraining',
);
export const AutoModelForNextSentencePrediction = autoClass<'logits'>('NextSentencePrediction');
export const AutoModelForSequenceClassification = autoClass<'logits'>('SequenceClassification');
export const AutoModelForTokenClassification = autoClass<'logits'>('TokenClassification');
export const AutoModelForQuestionAnswering = autoClass<'start_logits' | 'end_logits'>('QuestionAnswering');
/** Takes input_ids [B, choices, L]. */
export const AutoModelForMultipleChoice = autoClass<'logits'>('MultipleChoice');

export type TokenizerOptions = Omit<PretrainedOptions, 'dtype' | 'device'>;

/** The tokenizer of a model, from its tokenizer.json and tokenizer_config.json, or else from the files of its vocabulary. */
export const AutoTokenizer = {
  from_pretrained(model: ModelLocation, options: TokenizerOptions = {}): Promise<PreTrainedTokenizer> {
    return stopping(options.signal, signal =>
      until(signal, loadTokenizer(openSource(model, { ...options, signal }, env))),
    );
  },
};

export async function loadTokenizer(source: ModelSource): Promise<PreTrainedTokenizer> {
  const { tokenizer, config } = await readTokenizerFiles(source);
  return new PreTrainedTokenizer(tokenizer, config);
}
