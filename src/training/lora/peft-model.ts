import { env, PreTrainedModel, usualRequest } from '../../api/index.ts';
import { type ModelLocation, openSource } from '../../checkpoint/source/index.ts';
import type { Engine } from '../../engine/index.ts';
import { checkNames, InputError } from '../../errors.ts';
import type { EncoderRequest } from '../../model/index.ts';
import { checkSeed } from '../../random.ts';
import { linkedAbort } from '../../runtime/index.ts';
import { checkSaveOptions, type SaveOptions } from '../../saving/index.ts';
import { givenModel } from '../given-model.ts';
import { randomStream } from '../random.ts';
import { ADAPTED } from './adapted.ts';
import { adapterFiles, filledFrom, readAdapter } from './adapter-files.ts';
import { Adapters, type AdapterTensor } from './adapters.ts';
import { LoraConfig, type LoraConfigInit } from './config.ts';
import { moduleNames, savedParameters, targetsOf, usualTargets } from './modules.ts';

export interface PeftOptions {
  /** Of the random numbers that A begins with. Default: 42. */
  readonly seed?: number | null;
}

export interface PeftLoadOptions {
  /** Whether the adapters are to be trained on. Default: false. */
  readonly is_trainable?: boolean | null;
  readonly revision?: string;
  readonly subfolder?: string;
  readonly local_files_only?: boolean;
  readonly signal?: AbortSignal;
}

const LOAD_OPTIONS = ['is_trainable', 'revision', 'subfolder', 'local_files_only', 'signal'];

/**
 * A model with adapters (LoRA), of `get_peft_model` or `PeftModel.from_pretrained`. It is the model that it was made of, on the same device:
 * calls and pipelines of either see the adapters, and a Trainer of either trains them.
 */
export class PeftModel<M extends PreTrainedModel = PreTrainedModel> extends PreTrainedModel {
  readonly #adapters: Adapters;
  readonly #base: M;
  readonly #engine: Engine;

  /** @internal */
  constructor(base: M, adapters: Adapters) {
    const engine = PreTrainedModel.engineOf(base);
    super(engine, PreTrainedModel.originOf(base));
    this.#engine = engine;
    this.#base = base;
    this.#adapters = adapters;
  }

  /**
   * Loads adapters that PEFT or this library has saved (adapter_config.json and adapter_model.safetensors) onto a model: the one that they
   * were made for. Throws SourceError, CheckpointError where the files do not belong to the model, UnsupportedError for what PEFT can do and
   * this library cannot, DeviceError, or the signal's reason.
   */
  static async from_pretrained<M extends PreTrainedModel>(
    model: M,
    location: ModelLocation,
    options?: PeftLoadOptions | null,
  ): Promise<PeftModel<M> & M> {
    const { is_trainable, signal, ...where } = checkNames<PeftLoadOptions>('PeftModel', options, LOAD_OPTIONS);
    const engine = freeEngine(model);
    const stop = linkedAbort(signal);
    try {
      const source = openSource(location, { ...where, signal: stop.signal }, env);
      const { config, tensors } = await readAdapter(source);
      const names = moduleNames(engine, requestOf(engine));
      const modules = new Set(
        [...tensors.keys()].flatMap(key => /^base_model\.model\.(.+)\.lora_A\.weight$/.exec(key)?.[1] ?? []),
      );
      const targets = names.linears.filter(({ name }) => modules.has(name));
      const adapters = await Adapters.make(
        engine,
        { config, names, targets, isTrainable: is_trainable === true },
        async made => filledFrom(tensors, made),
      );
      ADAPTED.set(engine, adapters);
      return new PeftModel(model, adapters) as PeftModel<M> & M;
    } finally {
      stop.abort(undefined);
      stop.release();
    }
  }

  /** The configuration, under the name that PEFT gives it. */
  get peft_config(): { readonly default: LoraConfig } {
    return { default: this.#adapters.config };
  }

  /** The model that it was made of. */
  get_base_model(): M {
    return this.#base;
  }

  /** How many numbers are trained, and how many there are, as PEFT counts them: what is trained whole is there twice. */
  get_nb_trainable_parameters(): [trainable: number, all: number] {
    const { tensors, saved, biases, isTrainable, names } = this.#adapters;
    const sum = (list: readonly { readonly shape: readonly number[] }[]) =>
      list.reduce((total, { shape }) => total + shape.reduce((a, b) => a * b, 1), 0);
    const own = sum(tensors) + sum(saved);
    const model = sum(names.parameters.map(({ tensor }) => tensor.info));
    return [isTrainable ? own + sum(biases) : 0, model + own];
  }

  /** Writes these numbers to the console: `trainable params: 294,912 || all params: 109,777,154 || trainable%: 0.2686`. */
  print_trainable_parameters(): void {
    const [trainable, all] = this.get_nb_trainable_parameters();
    const words = (count: number) => count.toLocaleString('en-US');
    console.log(
      `trainable params: ${words(trainable)} || all params: ${words(all)} || trainable%: ${((100 * trainable) / all).toFixed(4)}`,
    );
  }

  /**
   * Makes the adapters a part of the model's weights, and gives their memory back. Resolves to the model that this one was made of; this one
   * has no adapters any more. Rejects with DeviceError.
   */
  async merge_and_unload(): Promise<M> {
    this.#check();
    await this.#adapters.close();
    ADAPTED.delete(this.#engine);
    return this.#base;
  }

  /**
   * adapter_config.json and adapter_model.safetensors, which PEFT's PeftModel.from_pretrained reads, and that of this library. The numbers are
   * float32, unless `dtype` says otherwise. Throws InputError after `merge_and_unload`, DeviceError, or the signal's reason.
   */
  override async save_pretrained(options?: SaveOptions | null): Promise<File[]> {
    this.#check();
    return adapterFiles(this.#engine, this.#adapters, checkSaveOptions(options));
  }

  #check(): void {
    if (ADAPTED.get(this.#engine) === this.#adapters) return;
    throw new InputError({
      what: 'this model has no adapters any more',
      actual: 'merge_and_unload() has made them a part of its weights',
      next: 'Use the model that merge_and_unload() gave.',
    });
  }
}

/**
 * Puts new adapters on a model, as PEFT does; training changes these alone, and what `modules_to_save` and `bias` name. Throws InputError
 * where the configuration does not fit the model, UnsupportedError for linears that cannot have an adapter, DeviceError where there is no
 * room for a second copy of the matrices that get one.
 *
 *   const model = await get_peft_model(base, new LoraConfig({ r: 8, target_modules: ['query', 'value'], task_type: 'SEQ_CLS' }));
 */
export async function get_peft_model<M extends PreTrainedModel>(
  model: M,
  peft_config: LoraConfig | LoraConfigInit,
  options?: PeftOptions | null,
): Promise<PeftModel<M> & M> {
  const { seed } = checkNames<PeftOptions>('get_peft_model', options, ['seed']);
  const engine = freeEngine(model);
  const given = peft_config instanceof LoraConfig ? peft_config : new LoraConfig(peft_config);
  const names = moduleNames(engine, requestOf(engine));
  // As in PEFT, the file says which targets were taken.
  const config = new LoraConfig({
    ...given,
    target_modules: given.target_modules ?? usualTargets(engine.config, names),
  });
  const targets = targetsOf(config, names);
  const ofAll = checkSeed('seed', seed ?? 42);
  const adapters = await Adapters.make(engine, { config, names, targets, isTrainable: true }, async made => {
    checkSaved(given, made);
    return made.tensors.map((tensor, index) => ({
      tensor,
      data: initialNumbers(config, tensor, { seed: ofAll, index }),
    }));
  });
  ADAPTED.set(engine, adapters);
  return new PeftModel(model, adapters) as PeftModel<M> & M;
}

/** What a model computes when it is called: all its linears are in it. */
const requestOf = ({ head, hasPooler }: Engine): EncoderRequest => usualRequest(head, hasPooler);

/** The engine of a model without adapters. Throws InputError. */
function freeEngine(model: PreTrainedModel): Engine {
  const engine = PreTrainedModel.engineOf(givenModel('the model', model));
  if (!ADAPTED.has(engine)) return engine;
  throw new InputError({
    what: 'this model has adapters already',
    expected: 'a model without adapters',
    next: 'Call merge_and_unload() of its PeftModel first, or load the model again.',
  });
}

/** Throws InputError where the caller's modules_to_save has a name of no module. */
function checkSaved({ modules_to_save }: LoraConfig, { names }: Adapters): void {
  const unknown = modules_to_save?.find(name => savedParameters([name], names.parameters).length === 0);
  if (unknown === undefined) return;
  const tops = [...new Set(names.parameters.map(({ name }) => name.split('.')[0]!))];
  throw new InputError({
    what: 'a name of modules_to_save is no module of this model',
    actual: unknown,
    expected: `ends of names, such as ${tops.join(', ')}`,
  });
}

/**
 * The numbers that PEFT begins with: A of torch's kaiming_uniform with a = sqrt(5), which are uniform between -1 / sqrt(K) and 1 / sqrt(K), or
 * normal with deviation 1 / r; B zeros, or as A.
 */
function initialNumbers(
  { r, init_lora_weights }: LoraConfig,
  { key, shape }: AdapterTensor,
  { seed, index }: { readonly seed: number; readonly index: number },
): Float32Array<ArrayBuffer> {
  const [rows, columns] = shape as [number, number];
  const numbers = new Float32Array(rows * columns);
  if (key.endsWith('.lora_B.weight') && init_lora_weights !== false) return numbers;
  const stream = randomStream({ seed, purpose: 'adapters', index });
  const bound = 1 / Math.sqrt(columns);
  const isNormal = init_lora_weights === 'gaussian';
  return numbers.map(() => (isNormal ? stream.normal() / r : bound * (2 * stream.uniform() - 1)));
}
