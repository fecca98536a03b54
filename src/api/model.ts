import type { Engine } from '../engine/index.ts';
import { checkNames, wrong } from '../errors.ts';
import { checkSequence, type EncoderRequest, type HeadKind, headOf } from '../model/index.ts';
import type { SequenceOutputs } from '../plan/index.ts';
import { checkSaveOptions, modelFiles, type SaveOptions } from '../saving/index.ts';
import { Callable } from './callable.ts';
import { PretrainedConfig } from './config.ts';
import { type ModelInputs, unpadInputs } from './inputs.ts';
import type { ModelEventMap, ModelListener } from './model-events.ts';
import type { Origin } from './origin.ts';
import { headOutputs, LOWEST_SCORE, type ModelOutput, type OutputName, padPairs, padTokens, stack } from './outputs.ts';
import { tokenizerCopies } from './tokenizer-copies.ts';

export interface ModelCallOptions {
  /**
   * Also return `attentions`: one tensor [B, H, L, L] per layer. A list of layers: only those, in its order, to save memory. They are
   * probabilities, 0 at padding; SqueezeBERT's are the scores before the softmax, as in Python, with the lowest float32 at padding.
   */
  output_attentions?: boolean | readonly number[];
  /** Also return `hidden_states`: the embeddings (0), then one tensor [B, L, C] per layer. A list: only those, in its order. */
  output_hidden_states?: boolean | readonly number[];
  /** Aborts the call: it rejects at once with the signal's reason. */
  signal?: AbortSignal;
}

const CALL_OPTION_NAMES = ['output_attentions', 'output_hidden_states', 'signal'];

type CallResult<Outputs extends OutputName> = Pick<ModelOutput, Outputs> &
  Pick<ModelOutput, 'hidden_states' | 'attentions'>;
type ModelCall<Outputs extends OutputName> = (
  inputs: ModelInputs,
  options?: ModelCallOptions,
) => Promise<CallResult<Outputs>>;

/** A model that can be called: `await model(inputs, options)`. Made by AutoModel.from_pretrained and its sisters. */
export class PreTrainedModel extends Callable {
  readonly #engine: Engine;
  readonly #origin: Origin;
  /** What `config` gave, and of what it was made. */
  #shown: { readonly raw: object; readonly config: PretrainedConfig } | undefined;

  /** @internal */
  constructor(engine: Engine, origin: Origin) {
    super();
    this.#engine = engine;
    this.#origin = origin;
  }

  /** @internal The engine of a model, for the pipelines: they run on it, and the model is what they show. */
  static engineOf(model: PreTrainedModel): Engine {
    return model.#engine;
  }

  /** @internal */
  static originOf(model: PreTrainedModel): Origin {
    return model.#origin;
  }

  /** config.json, under its own names, as in transformers.js. */
  get config(): PretrainedConfig {
    const { raw } = this.#engine.config;
    if (this.#shown?.raw !== raw) this.#shown = { raw, config: new PretrainedConfig(raw) };
    return this.#shown.config;
  }

  /**
   * The names of the tensors, as in the file, that the checkpoint lacks and that have random numbers: the head that options of
   * `from_pretrained` asked for, or after `from_config` all of them. They are to be trained.
   */
  get newly_initialized(): readonly string[] {
    return this.#engine.newTensors;
  }

  /** The name of the graphics adapter that it runs on, for people to read. It may change when a lost device is replaced. */
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

  /** As of an EventTarget: false if a listener has cancelled the event. */
  dispatchEvent(event: Event): boolean {
    return this.#engine.events.dispatchEvent(event);
  }

  /** The bytes that it holds on the GPU now; 0 while a lost device is being replaced. */
  bytes(): Promise<{ weights: number; activations: number }> {
    return this.#engine.bytes();
  }

  /**
   * What calling the model does: tensors [B, ...] for the B rows of `input_ids`; see ModelOutput for their shapes.
   * Throws InputError, UnsupportedError, DeviceError, NotFiniteError, or the signal's reason.
   */
  async _call(inputs: ModelInputs, options?: ModelCallOptions | null): Promise<Partial<ModelOutput>> {
    const { signal, output_attentions, output_hidden_states } = checkNames('a model', options, CALL_OPTION_NAMES);
    const { config, head, hasPooler } = this.#engine;
    const unpadded = unpadInputs(config, inputs, head === 'MultipleChoice');
    const { rows, width } = unpadded;
    const sequences = rows.map(row => checkSequence(config, row));
    const hiddenStates = layerList('output_hidden_states', output_hidden_states, config.layers + 1);
    const attentions = layerList('output_attentions', output_attentions, config.layers);
    const request: EncoderRequest = {
      ...usualRequest(head, hasPooler),
      ...(hiddenStates && { hiddenStates }),
      ...(attentions && { attentions }),
    };
    const outputs: SequenceOutputs[] = [];
    await this.#engine.run(sequences, request, {
      signal,
      done: pass => {
        for (const sequence of pass) outputs.push(sequence.outputs);
      },
    });
    const padded = (name: string, layer?: number) => padTokens(outputs, { name, layer, rows, width });
    return {
      ...(request.lastHiddenState && { last_hidden_state: padded('last_hidden_state') }),
      ...(request.pooler && { pooler_output: stack('pooler_output', outputs) }),
      ...(head && headOutputs(headOf(config, head), outputs, unpadded)),
      ...(hiddenStates && { hidden_states: hiddenStates.map(layer => padded('hidden_states', layer)) }),
      ...(attentions && {
        attentions: attentions.map(layer =>
          padPairs(outputs, { name: 'attentions', layer, rows, width }, config.attentionsAreScores ? LOWEST_SCORE : 0),
        ),
      }),
    };
  }

  /**
   * The files of the model as it is now, trained or not: config.json and model.safetensors, and those of the tokenizer where the model was
   * loaded from files with one. Python reads them too, and every `from_pretrained` here takes them as they are. Numbers are read back from
   * the GPU; tensors that this class does not compute with are copied from the files that the model was loaded from. See SaveOptions for
   * the types of numbers, and for rounded weights. A file of the tokenizer that cannot be read any more, offline say, is left out with a
   * warning on the console.
   * Throws UnsupportedError, InputError, DeviceError, SourceError, CheckpointError, or the signal's reason.
   *
   *   const files = await model.save_pretrained();
   *   const again = await pipeline('fill-mask', files);
   */
  async save_pretrained(options?: SaveOptions | null): Promise<File[]> {
    const checked = checkSaveOptions(options);
    const { signal = new AbortController().signal } = checked;
    const saved = await modelFiles(this.#engine, checked);
    const source = this.#engine.files(signal);
    return source ? [...saved, ...(await tokenizerCopies(source.encoder ?? source.root, signal))] : saved;
  }

  /** Frees everything that it holds on the GPU. Calls under way reject with DeviceError. */
  async dispose(): Promise<void> {
    this.#engine.dispose();
  }
}

/** A PreTrainedModel is a function too; `Outputs` are the names of what a call returns. */
export type CallableModel<Outputs extends OutputName = OutputName> = PreTrainedModel & ModelCall<Outputs>;

/** What a model computes if nothing else is asked for: its head's outputs, or without a head the encoder's. */
export const usualRequest = (head: HeadKind | undefined, hasPooler: boolean): EncoderRequest =>
  head ? { head: { kind: head } } : { lastHiddenState: true, pooler: hasPooler };

/** The indices of the layers that an option asks for; undefined for none. Throws InputError. */
function layerList(name: string, value: boolean | readonly number[] | undefined, count: number): number[] | undefined {
  if (value === undefined || value === false) return undefined;
  const all = [...new Array(count).keys()];
  if (value === true) return all;
  if (Array.isArray(value) && value.every(i => all.includes(i))) return [...value];
  throw wrong(name, value, `true, false, or a list of whole numbers from 0 to ${count - 1}`);
}
