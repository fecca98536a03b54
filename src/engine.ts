import type { Format } from '../shaders/matrix.ts';
import { openCheckpoint } from './checkpoint/checkpoint.ts';
import { tensorFinder } from './checkpoint/names.ts';
import type { ModelSource, ProgressCallback } from './checkpoint/types.ts';
import { DeviceError } from './errors.ts';
import { type Gpu, openGpu } from './gpu/device.ts';
import { createExecutable } from './gpu/executable.ts';
import { disposed, unexpected, watched } from './gpu/faults.ts';
import { paceOf } from './gpu/pace.ts';
import { PipelineCache } from './gpu/pipelines.ts';
import { createWeightStore } from './gpu/weights.ts';
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
export interface Engine {
  readonly config: EncoderConfig;
  readonly hasPooler: boolean;
  readonly head: HeadKind | undefined;
  readonly adapterName: string;
  /** The tensors that were asked for on the CPU, by their canonical names. */
  readonly host: ReadonlyMap<string, Float32Array>;
  /** Bytes held on the GPU now. */
  bytes(): Promise<{ weights: number; activations: number }>;
  /**
   * Runs sequences, taken from the iterable only as they are needed: see Scheduler. Rejects with the signal's reason, at once;
   * with DeviceError; with whatever the iterable or `done` throws.
   */
  run<S extends Sequence>(sequences: Iterable<S>, request: EncoderRequest, options: CallOptions<S>): Promise<void>;
  /** Gives back everything on the GPU; the device too, unless it was the caller's. Idempotent. */
  dispose(): void;
}

export const Engine = {
  /**
   * Loads config.json and the weights of `source`. Throws UnsupportedError, CheckpointError, SourceError or DeviceError; after a
   * failure or an abort nothing is left on the device.
   */
  async load(source: ModelSource, options: EngineOptions): Promise<Engine> {
    const { device, format, request, signal, tuning } = options;
    // All that is asked for first is asked for at once; of the weights no more than the header is read, until the rest fits.
    const gpuOpening = openGpu(device).then(gpu => (tuning ? tuned(gpu, format) : gpu));
    const configuring = source.json('config.json').then(readConfig);
    const checking = openCheckpoint(source, { signal });
    // Whichever fails first is what the caller hears of; the others must not go unhandled.
    for (const opening of [gpuOpening, configuring, checking]) opening.catch(() => undefined);
    const parts: CheckpointPart[] = [];
    let engine: ReturnType<typeof create> | undefined;
    try {
      const gpu = await gpuOpening;
      const config = await configuring;
      // To compile takes longest: all but what a pooler adds is known without the weights.
      const foreseen = planOf(gpu, config, canonicalRequest(request({ hasPooler: false })), format);
      const pipelines = PipelineCache.of(gpu.device);
      for (const kernel of kernelsOf(foreseen.steps)) pipelines.get(kernel).catch(() => undefined);
      const checkpoint = await checking;
      const find = tensorFinder(checkpoint.tensors, config.modelType);
      parts.push({ checkpoint, find, owns: canonical => !canonical.startsWith(DENSE) });
      const sentence = await options.sentence;
      for (const [i, file] of (sentence?.files ?? []).entries()) {
        const own = `${DENSE}${i}.`;
        const dense = await openCheckpoint(source, { signal, files: [file] });
        parts.push({
          checkpoint: dense,
          find: canonical => dense.tensors.get(canonical.replace(own, 'linear.')),
          owns: canonical => canonical.startsWith(own),
        });
      }
      engine = create(gpu, pipelines, config, find(POOLER_TENSOR) !== undefined, options);
      await engine.fill(parts, sentence, source.name);
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
  },
};

/** An engine whose weights are still to be filled in. */
function create(
  gpu: Gpu,
  pipelines: PipelineCache,
  config: EncoderConfig,
  hasPooler: boolean,
  { head, format, host = [], progress, request: firstOf, signal: loading }: EngineOptions,
) {
  const { device, owned, caps, adapterName } = gpu;
  const weights = createWeightStore(device, pipelines);
  /** One for each request; in the order of use. */
  const schedulers = new Map<string, Scheduler>();
  let running = 0;
  let fault: DeviceError | undefined;
  let isDisposed = false;

  const onError = (event: Event): void => {
    fault ??= unexpected('the GPU refused an operation', (event as GPUUncapturedErrorEvent).error.message);
  };
  // On a device of the caller's, errors may be those of other code: there a pass watches its own (see Executable).
  if (owned) device.addEventListener('uncapturederror', onError);
  device.lost.then(
    ({ reason, message }) => {
      if (isDisposed) return;
      fault = new DeviceError({
        what: 'the GPU device was lost',
        actual: message || reason,
        next: 'Load the model again.',
      });
    },
    () => undefined,
  );

  function check(signal?: AbortSignal): void {
    signal?.throwIfAborted();
    if (isDisposed) throw disposed();
    if (fault) throw fault;
  }

  function schedulerOf(asked: EncoderRequest): Scheduler {
    const request = canonicalRequest(asked);
    const key = JSON.stringify(request);
    const known = schedulers.get(key);
    const make = () =>
      createExecutable(device, planOf(gpu, config, request, format), weights, pipelines, paceOf(device, caps));
    const scheduler = known ?? createScheduler(make(), caps, check);
    // Set again where it is known: the map is in the order of use.
    schedulers.delete(key);
    schedulers.set(key, scheduler);
    if (!known) scheduler.executable.catch(() => schedulers.delete(key));
    return scheduler;
  }

  /** Forgets the plans that were used longest ago, while no call is in use of one; an aborted one's pass may still run. */
  function trim(): void {
    const old = [...schedulers].slice(0, Math.max(0, schedulers.size - KEPT_PLANS));
    for (const [key, { executable, idle }] of old) {
      schedulers.delete(key);
      Promise.all([executable, idle()]).then(
        ([spent]) => spent.destroy(),
        () => undefined,
      );
    }
  }

  async function allocate(wanted: readonly Weight[]): Promise<void> {
    const full = await watched(device, ['out-of-memory'], () => weights.allocate(wanted)).refused;
    if (!full) return;
    throw new DeviceError({
      what: 'the weights do not fit into the memory of the GPU',
      actual: `${weights.bytes()} bytes asked for (${full.message})`,
      next: 'Dispose other models, or use a smaller one.',
    });
  }

  return {
    config,
    hasPooler,
    head,
    adapterName,
    host: new Map<string, Float32Array>(),

    async fill(parts: readonly CheckpointPart[], sentence: SentenceModules | undefined, name: string): Promise<void> {
      const request = canonicalRequest(firstOf({ hasPooler }));
      // All weights, so that a later request finds them; only the kernels of the first.
      const everything: EncoderRequest = {
        lastHiddenState: true,
        pooler: hasPooler,
        ...(head && { head: { kind: head } }),
        ...(sentence && { pool: { pooling: sentence.pooling, normalize: false, dense: sentence.dense } }),
      };
      const all = planOf(gpu, config, everything, format).weights;
      const tensors = all.flatMap(weight => weight.parts);
      const matched = matchParts(parts, tensors);
      await allocate(all);
      const kernels = kernelsOf(planOf(gpu, config, request, format).steps);
      const { length: total } = kernels;
      let loaded = 0;
      const compiling = Promise.all(
        kernels.map(async kernel => {
          await pipelines.get(kernel);
          loaded++;
          progress?.({ status: 'compile', name, file: kernel.name, progress: (100 * loaded) / total, loaded, total });
        }),
      );
      compiling.catch(() => undefined);
      this.host = await upload(matched, weights, { name, host, progress, check: () => check(loading) });
      await compiling;
      const executable = await schedulerOf(request).executable;
      await executable.reserve(FIRST_ROOM);
      loading?.throwIfAborted();
    },

    async bytes() {
      if (isDisposed) return { weights: 0, activations: 0 };
      const executables = await Promise.all([...schedulers.values()].map(({ executable }) => executable));
      return {
        weights: weights.bytes(),
        activations: executables.reduce((sum, executable) => sum + executable.bytes(), 0),
      };
    },

    async run<S extends Sequence>(sequences: Iterable<S>, request: EncoderRequest, options: CallOptions<S>) {
      check(options.signal);
      running++;
      try {
        await schedulerOf(request).run(sequences, options);
      } finally {
        if (--running === 0) trim();
      }
    },

    dispose() {
      if (isDisposed) return;
      isDisposed = true;
      device.removeEventListener('uncapturederror', onError);
      for (const { stop, executable } of schedulers.values()) {
        stop(disposed());
        executable.then(
          each => each.destroy(),
          () => undefined,
        );
      }
      weights.destroy();
      if (owned) device.destroy();
    },
  };
}
