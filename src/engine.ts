import type { Format } from '../shaders/matrix.ts';
import { openCheckpoint } from './checkpoint/checkpoint.ts';
import { tensorFinder } from './checkpoint/names.ts';
import type { ModelSource, ProgressCallback } from './checkpoint/types.ts';
import { DeviceError } from './errors.ts';
import { type Gpu, openGpu } from './gpu/device.ts';
import { createExecutable, type Executable } from './gpu/executable.ts';
import { disposed, unexpected, watched } from './gpu/faults.ts';
import { PipelineCache } from './gpu/pipelines.ts';
import { createWeightStore, type WeightStore } from './gpu/weights.ts';
import { type EncoderConfig, readConfig } from './model/config.ts';
import { canonicalRequest, type EncoderRequest, encoderGraph, POOLER_TENSOR } from './model/encoder.ts';
import type { HeadKind } from './model/heads.ts';
import type { Sequence } from './plan/batch.ts';
import { kernelsOf, type Plan, plan } from './plan/plan.ts';
import type { Sizes } from './plan/sizes.ts';
import type { Weight } from './plan/weight.ts';
import { type CallOptions, createScheduler, type Scheduler } from './scheduler.ts';
import type { SentenceModules } from './sentence.ts';
import { tuned } from './tune.ts';
import { type CheckpointPart, matchParts, upload } from './upload.ts';

export interface EngineOptions {
  device?: GPUDevice | undefined;
  /** How the weights are kept. Default: 'f32'. */
  format?: Format | undefined;
  /** Whether kernels may be chosen by measuring: see tune.ts. */
  tuning?: boolean | undefined;
  /** What stands on the encoder: its weights are loaded too. */
  head?: HeadKind | undefined;
  /** Tensors to be kept on the CPU too, where the checkpoint has them. */
  host?: readonly string[] | undefined;
  /** The modules of a sentence-transformers checkpoint, whose dense layers have files of their own. */
  sentence?: Promise<SentenceModules | undefined> | undefined;
  /** What will be asked for first: its kernels are compiled while the weights arrive. Others are compiled when they are asked for. */
  request: (facts: { hasPooler: boolean }) => EncoderRequest;
  progress?: ProgressCallback | undefined;
  signal?: AbortSignal | undefined;
}

/** Where the weights of dense layers after the pooling are, by canonical names. */
const DENSE = 'sentence.dense.';
/** Requests whose plans and buffers are kept: a page rarely makes more. */
const KEPT_PLANS = 6;
/** The first call makes no buffers, unless it is longer than this. */
const FIRST_ROOM: Sizes = { tokens: 256, sequences: 16, tiles: 64, pairs: 16, masked: 16 };

const planOf = ({ caps }: Gpu, config: EncoderConfig, request: EncoderRequest, format?: Format): Plan =>
  plan(encoderGraph(config, request, caps, format), caps);

/**
 * A checkpoint on a device: text-free and task-free. Loads the weights while the kernels compile, then runs sequences:
 * calls that ask for the same share passes (see Scheduler).
 */
export class Engine {
  readonly config: EncoderConfig;
  readonly hasPooler: boolean;
  readonly head: HeadKind | undefined;
  /** The tensors that were asked for on the CPU, by their canonical names. */
  host: ReadonlyMap<string, Float32Array> = new Map();
  readonly #gpu: Gpu;
  readonly #format: Format | undefined;
  readonly #pipelines: PipelineCache;
  readonly #weights: WeightStore;
  /** One for each request; in the order of use. */
  readonly #schedulers = new Map<string, Scheduler>();
  #running = 0;
  #fault: DeviceError | undefined;
  #disposed = false;

  private constructor(gpu: Gpu, config: EncoderConfig, hasPooler: boolean, { head, format }: EngineOptions) {
    this.#gpu = gpu;
    this.#format = format;
    this.config = config;
    this.hasPooler = hasPooler;
    this.head = head;
    this.#pipelines = PipelineCache.of(gpu.device);
    this.#weights = createWeightStore(gpu.device, this.#pipelines);
    // On a device of the caller's, errors may be those of other code: there a pass watches its own (see Executable).
    if (gpu.owned) gpu.device.addEventListener('uncapturederror', this.#onError);
    gpu.device.lost.then(
      ({ reason, message }) => {
        if (this.#disposed) return;
        this.#fault = new DeviceError({
          what: 'the GPU device was lost',
          actual: message || reason,
          next: 'Load the model again.',
        });
      },
      () => undefined,
    );
  }

  /**
   * Loads config.json and the weights of `source`. Throws UnsupportedError, CheckpointError, SourceError or DeviceError; after a
   * failure or an abort nothing is left on the device.
   */
  static async load(source: ModelSource, options: EngineOptions): Promise<Engine> {
    const { device, format, request, signal, tuning } = options;
    // All that is asked for first is asked for at once; of the weights no more than the header is read, until the rest fits.
    const gpuOpening = openGpu(device).then(gpu => (tuning ? tuned(gpu, format) : gpu));
    const configuring = source.json('config.json').then(readConfig);
    const checking = openCheckpoint(source, { signal });
    // Whichever fails first is what the caller hears of; the others must not go unhandled.
    for (const opening of [gpuOpening, configuring, checking]) opening.catch(() => undefined);
    const parts: CheckpointPart[] = [];
    let engine: Engine | undefined;
    try {
      const gpu = await gpuOpening;
      const config = await configuring;
      // To compile takes longest: all but what a pooler adds is known without the weights.
      const foreseen = planOf(gpu, config, canonicalRequest(request({ hasPooler: false })), format);
      for (const kernel of kernelsOf(foreseen.steps)) {
        PipelineCache.of(gpu.device)
          .get(kernel)
          .catch(() => undefined);
      }
      const checkpoint = await checking;
      const find = tensorFinder(checkpoint.tensors, config.modelType);
      parts.push({ checkpoint, find, owns: canonical => !canonical.startsWith(DENSE) });
      const sentence = await options.sentence;
      for (const [i, file] of (sentence?.files ?? []).entries()) {
        const own = `${DENSE}${i}.`;
        const { tensors, ...rest } = await openCheckpoint(source, { signal, files: [file] });
        parts.push({
          checkpoint: { tensors, ...rest },
          find: canonical => tensors.get(canonical.replace(own, 'linear.')),
          owns: canonical => canonical.startsWith(own),
        });
      }
      engine = new Engine(gpu, config, find(POOLER_TENSOR) !== undefined, options);
      await engine.#fill(parts, options, sentence, request({ hasPooler: engine.hasPooler }), source.name);
      return engine;
    } catch (error) {
      checking.then(
        checkpoint => checkpoint.cancel(),
        () => undefined,
      );
      await Promise.all(parts.map(({ checkpoint }) => checkpoint.cancel()));
      if (engine) engine.dispose();
      else void gpuOpening.then(({ device, owned }) => owned && device.destroy()).catch(() => undefined);
      signal?.throwIfAborted();
      throw error;
    }
  }

  get adapterName(): string {
    return this.#gpu.adapterName;
  }

  /** Bytes held on the GPU now. */
  async bytes(): Promise<{ weights: number; activations: number }> {
    if (this.#disposed) return { weights: 0, activations: 0 };
    const executables = await Promise.all([...this.#schedulers.values()].map(({ executable }) => executable));
    return {
      weights: this.#weights.bytes(),
      activations: executables.reduce((sum, executable) => sum + executable.bytes(), 0),
    };
  }

  /**
   * Runs sequences, taken from the iterable only as they are needed: see Scheduler. Rejects with the signal's reason, at once;
   * with DeviceError; with whatever the iterable or `done` throws.
   */
  async run<S extends Sequence>(
    sequences: Iterable<S>,
    request: EncoderRequest,
    options: CallOptions<S>,
  ): Promise<void> {
    this.#check(options.signal);
    this.#running++;
    try {
      await this.#scheduler(request).run(sequences, options);
    } finally {
      if (--this.#running === 0) this.#trim();
    }
  }

  /** Gives back everything on the GPU; the device too, unless it was the caller's. Idempotent. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#gpu.device.removeEventListener('uncapturederror', this.#onError);
    for (const scheduler of this.#schedulers.values()) {
      scheduler.stop(disposed());
      scheduler.executable.then(
        executable => executable.destroy(),
        () => undefined,
      );
    }
    this.#weights.destroy();
    if (this.#gpu.owned) this.#gpu.device.destroy();
  }

  readonly #onError = (event: Event): void => {
    const { message } = (event as GPUUncapturedErrorEvent).error;
    this.#fault ??= unexpected('the GPU refused an operation', message);
  };

  #check(signal?: AbortSignal): void {
    signal?.throwIfAborted();
    if (this.#disposed) throw disposed();
    if (this.#fault) throw this.#fault;
  }

  async #fill(
    parts: readonly CheckpointPart[],
    { head, host = [], progress, signal }: EngineOptions,
    sentence: SentenceModules | undefined,
    request: EncoderRequest,
    name: string,
  ): Promise<void> {
    // All weights, so that a later request finds them; only the kernels of the first.
    const { weights } = this.#plan({
      lastHiddenState: true,
      pooler: this.hasPooler,
      ...(head && { head: { kind: head } }),
      ...(sentence && { pool: { pooling: sentence.pooling, normalize: false, dense: sentence.dense } }),
    });
    const matched = matchParts(
      parts,
      weights.flatMap(({ parts }) => parts),
    );
    await this.#allocate(weights);
    const kernels = kernelsOf(this.#plan(canonicalRequest(request)).steps);
    let compiled = 0;
    const compiling = Promise.all(
      kernels.map(async kernel => {
        await this.#pipelines.get(kernel);
        compiled++;
        const { length: total } = kernels;
        progress?.({
          status: 'compile',
          name,
          file: kernel.name,
          progress: (100 * compiled) / total,
          loaded: compiled,
          total,
        });
      }),
    );
    compiling.catch(() => undefined);
    this.host = await upload(matched, this.#weights, { name, host, progress, check: () => this.#check(signal) });
    await compiling;
    const executable = await this.#executable(request);
    await executable.reserve(FIRST_ROOM);
    signal?.throwIfAborted();
  }

  async #allocate(weights: readonly Weight[]): Promise<void> {
    const { device } = this.#gpu;
    const full = await watched(device, ['out-of-memory'], () => this.#weights.allocate(weights)).refused;
    if (!full) return;
    throw new DeviceError({
      what: 'the weights do not fit into the memory of the GPU',
      actual: `${this.#weights.bytes()} bytes asked for (${full.message})`,
      next: 'Dispose other models, or use a smaller one.',
    });
  }

  #plan(request: EncoderRequest): Plan {
    return planOf(this.#gpu, this.config, request, this.#format);
  }

  #executable(request: EncoderRequest): Promise<Executable> {
    return this.#scheduler(request).executable;
  }

  #scheduler(asked: EncoderRequest): Scheduler {
    const request = canonicalRequest(asked);
    const key = JSON.stringify(request);
    const known = this.#schedulers.get(key);
    const make = () => createExecutable(this.#gpu.device, this.#plan(request), this.#weights, this.#pipelines);
    const scheduler = known ?? createScheduler(make(), this.#gpu.caps, () => this.#check());
    // Set again where it is known: the map is in the order of use.
    this.#schedulers.delete(key);
    this.#schedulers.set(key, scheduler);
    if (!known) scheduler.executable.catch(() => this.#schedulers.delete(key));
    return scheduler;
  }

  /** Forgets the plans that were used longest ago, while no call is in use of one; an aborted one's pass may still run. */
  #trim(): void {
    const old = [...this.#schedulers].slice(0, Math.max(0, this.#schedulers.size - KEPT_PLANS));
    for (const [key, scheduler] of old) {
      this.#schedulers.delete(key);
      Promise.all([scheduler.executable, scheduler.idle()]).then(
        ([executable]) => executable.destroy(),
        () => undefined,
      );
    }
  }
}
