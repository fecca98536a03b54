import type { Format } from '../../shaders/matrix.ts';
import type { ModelSource } from '../checkpoint/source/index.ts';
import { DeviceError } from '../errors.ts';
import { disposedError, LostDeviceError, type MaxSimInput } from '../gpu/index.ts';
import { canonicalRequest, type EncoderConfig, type EncoderRequest, type HeadKind } from '../model/index.ts';
import type { Sequence } from '../plan/index.ts';
import { linkedAbort, until } from '../runtime/index.ts';
import type { Backend, Executable, TensorReader } from './backend.ts';
import type { DeviceModel } from './device-model.ts';
import { type LoadOptions, loadModel } from './load.ts';
import type { OpenMaxSim } from './max-sim.ts';
import { loadOtherWeights, type OtherFiles } from './other-weights.ts';
import { type CallOptions, MAX_LOSSES, Scheduler } from './scheduler.ts';
import type { FileTensor, UnusedTensor } from './upload.ts';

export interface EngineOptions extends LoadOptions {
  signal?: AbortSignal | undefined;
  /**
   * Opens the same files again, to load the model onto another device after a loss. Everything under way there rejects when `signal`
   * aborts. Without it, or on a device of the caller's, a lost device ends the engine.
   */
  reopen?: ((signal: AbortSignal) => ModelSource) | undefined;
}

/** Where the files of a model are. */
export interface ModelFiles {
  readonly root: ModelSource;
  /** The encoder's, where modules.json may name a folder for them. Undefined: they are those of `root`. */
  readonly encoder: ModelSource | undefined;
}

/** So many requests keep their plan and buffers while no call uses them. A page rarely makes more. */
const MAX_IDLE_REQUESTS = 6;

/** A request and the scheduler of all calls that make it. */
interface Shared {
  readonly request: EncoderRequest;
  readonly scheduler: Scheduler;
}

/**
 * A checkpoint on a device. It knows no text and no task: it runs sequences. Calls that make the same request share passes (see
 * Scheduler).
 *
 * When a device that the backend owns is lost, for whatever reason, the weights are loaded again onto another. Calls wait for that
 * and go on where they were; a call rejects when it loses its third device. `events` dispatches 'devicelost' and 'restored'.
 */
export class Engine {
  readonly config: EncoderConfig;
  readonly hasPooler: boolean;
  readonly head: HeadKind | undefined;
  /** Tells the weights apart from others: see Fingerprint. */
  get fingerprint(): string {
    return this.#fingerprint;
  }
  /** The tensors that are on the CPU too, by canonical name. */
  readonly host: ReadonlyMap<string, Float32Array>;
  /** The tensors of the files that the model is made of. */
  readonly tensors: readonly FileTensor[];
  /** Those that it is not made of. */
  readonly unused: readonly UnusedTensor[];
  /** Names without a tensor of their own in the files, and whose tensor they share. */
  readonly leftOut: ReadonlyMap<string, string>;
  /** How matrices and the word table are kept. */
  readonly format: Format;
  /** The names of those that were made, with random numbers, because the files lack them. */
  readonly newTensors: readonly string[];
  readonly events = new EventTarget();

  /** Aborts when the engine is disposed of. */
  readonly #life = new AbortController();
  /** Opens the files again: those of the model, and those of its encoder, which may be in a folder. */
  #openFiles: ((signal: AbortSignal) => ModelFiles) | undefined;
  /** Loads the model again; undefined where a lost device is not replaced. */
  #reload: ((signal: AbortSignal) => Promise<DeviceModel>) | undefined;
  /** Undefined between the loss of a device and its replacement. */
  #model: DeviceModel | undefined;
  #restoring: Promise<DeviceModel> | undefined;
  #adapterName: string;
  #fingerprint: string;
  #isTrained = false;
  /** Devices lost since a pass last succeeded. */
  #losses = 0;
  /** Why no call can succeed any more. */
  #end: DeviceError | undefined;
  /** By the JSON text of the request; the one used last comes last. */
  readonly #requests = new Map<string, Shared>();
  /** What computes MaxSim scores, by the backend on whose device it is. */
  readonly #scorers = new WeakMap<Backend, ReturnType<OpenMaxSim>>();
  /** Calls that have not ended. */
  #running = 0;

  private constructor(model: DeviceModel, options: EngineOptions) {
    const { config, hasPooler, host, backend, fingerprint, tensors, unused, leftOut, newTensors } = model.parts;
    this.config = config;
    this.hasPooler = hasPooler;
    this.host = host;
    this.tensors = tensors;
    this.unused = unused;
    this.leftOut = leftOut;
    this.format = options.format ?? 'f32';
    this.newTensors = newTensors;
    this.#fingerprint = fingerprint;
    this.head = options.head;
    this.#adapterName = backend.adapterName;
    const { reopen, signal: _, progress: __, ...lasting } = options;
    if (reopen) {
      const { encoderIn } = options;
      this.#openFiles = signal => {
        const root = reopen(signal);
        return { root, encoder: encoderIn?.(root) };
      };
    }
    if (reopen && backend.isOwned) {
      // The engine keeps these: config.json is not read again, and tensors on the CPU stay as they are.
      const again: LoadOptions = { ...lasting, config, host: undefined };
      this.#reload = signal => {
        const more = [...this.#requests.values()].map(({ request }) => request);
        return loadModel(reopen(signal), { ...again, more }, signal);
      };
    }
    this.#adopt(model);
  }

  /**
   * Loads config.json and the weights of `source`. Begins again, twice at most, where an owned device is lost meanwhile. Throws
   * UnsupportedError, CheckpointError, SourceError or DeviceError, and at once the signal's reason. After a failure or an abort
   * nothing is left on the device.
   */
  static async load(source: ModelSource, options: EngineOptions): Promise<Engine> {
    const { signal, device } = options;
    for (let losses = 0; ; losses++) {
      try {
        const model = await loadModel(source, options, signal);
        if (signal?.aborted) model.destroy();
        signal?.throwIfAborted();
        return new Engine(model, options);
      } catch (error) {
        if (!(error instanceof LostDeviceError) || device || losses === MAX_LOSSES) throw error;
      }
    }
  }

  /** The adapter of the present device; while there is none, of the last one. */
  get adapterName(): string {
    return this.#adapterName;
  }

  /** Bytes held on the device now. */
  async bytes(): Promise<{ weights: number; activations: number }> {
    return this.#model?.bytes() ?? { weights: 0, activations: 0 };
  }

  /**
   * Runs sequences, taken from the iterable only as they are needed: see Scheduler. Rejects with the signal's reason, at once; with
   * DeviceError; with what the iterable or `done` throws; with the error of a load that was to replace a lost device.
   */
  async run<S extends Sequence>(
    sequences: Iterable<S>,
    request: EncoderRequest,
    { signal, done }: CallOptions<S>,
  ): Promise<void> {
    signal?.throwIfAborted();
    this.#check();
    this.#running++;
    try {
      await this.#schedulerOf(canonicalRequest(request)).run(sequences, {
        signal,
        done: results => {
          this.#losses = 0;
          done(results);
        },
      });
    } finally {
      if (--this.#running === 0) this.#releaseOldest();
    }
  }

  /**
   * Scores of texts with several vectors each: see Backend. A lost device that is replaced repeats the work there. Rejects with the
   * signal's reason, at once, or with DeviceError.
   * @param open `openMaxSim`
   */
  async maxSim(input: MaxSimInput, open: OpenMaxSim, signal: AbortSignal | undefined): Promise<Float32Array> {
    signal?.throwIfAborted();
    for (let losses = 0; ; losses++) {
      this.#check();
      const model = this.#model ?? (await until(signal, this.#restore()));
      try {
        const scores = await until(signal, this.#scorerOf(model.backend, open)(input));
        this.#check();
        return scores;
      } catch (error) {
        signal?.throwIfAborted();
        const reason = await model.backend.explain(error);
        if (!(reason instanceof LostDeviceError) || !this.#reload || losses === MAX_LOSSES) throw reason;
      }
    }
  }

  #scorerOf(backend: Backend, open: OpenMaxSim): (input: MaxSimInput) => Promise<Float32Array> {
    const { access, maxSim } = backend;
    if (!access) return input => maxSim!.call(backend, input);
    const existing = this.#scorers.get(backend);
    if (existing) return input => existing.score(input);
    const scorer = open(access);
    this.#scorers.set(backend, scorer);
    access.signal.addEventListener('abort', () => scorer.destroy(), { once: true });
    return input => scorer.score(input);
  }

  /**
   * The backend, for a caller that is about to change the weights on it. From now on they are not those of the files any more: a lost device
   * is not replaced, since the files could only bring back what was there before, and calls reject with a DeviceError; and the fingerprint
   * is another one. Rejects where no device can be had.
   */
  async backendForTraining(): Promise<Backend> {
    const backend = await this.backend();
    this.#reload = undefined;
    this.markTrained();
    return backend;
  }

  /** The present backend, or the next one after a loss, for a caller that reads the weights. Rejects where no device can be had. */
  async backend(): Promise<Backend> {
    this.#check();
    return (this.#model ?? (await this.#restore())).backend;
  }

  /**
   * What `work` makes of the weights on the device, read back. Where a device is lost that is replaced, the work begins again. Rejects with
   * what `work` throws, with the signal's reason, or with DeviceError.
   */
  async readWeights<T>(work: (reader: TensorReader) => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    for (let losses = 0; ; losses++) {
      signal?.throwIfAborted();
      const backend = await until(signal, this.backend());
      try {
        return await work(backend.readTensors(signal));
      } catch (error) {
        signal?.throwIfAborted();
        const reason = await backend.explain(error);
        if (!(reason instanceof LostDeviceError) || !this.#reload || losses === MAX_LOSSES) throw reason;
      }
    }
  }

  /** Whether the weights are not those of the files any more. */
  get isTrained(): boolean {
    return this.#isTrained;
  }

  /** The files that the model was loaded from, at the same commit. Undefined where they cannot be had again. */
  files(signal: AbortSignal): ModelFiles | undefined {
    this.#check();
    return this.#openFiles?.(signal);
  }

  /**
   * Puts the numbers of other files with the same tensors into the weights: see loadOtherWeights. To be called between a training's steps, or
   * before its first one. Rejects with CheckpointError, SourceError, DeviceError, or the signal's reason; the weights are then some of each.
   */
  async loadWeights(files: OtherFiles, signal: AbortSignal | undefined): Promise<void> {
    const { weights } = await this.backendForTraining();
    const stop = linkedAbort(signal);
    try {
      await loadOtherWeights(this.tensors, files, { store: weights, signal: stop.signal });
    } finally {
      stop.release();
      this.markTrained();
    }
  }

  /** Notes what a classifier was trained for, where config.json did not say it: which scores are made of its logits depends on that. */
  setProblemType(problemType: string): void {
    // In place, because pipelines hold the config.
    Object.assign(this.config, { problemType, raw: { ...this.config.raw, problem_type: problemType } });
  }

  /** The weights have changed, so vectors of before and after must not be mixed: the fingerprint is one that no other model has. */
  markTrained(): void {
    this.#isTrained = true;
    this.#model?.parts.preparing.outdate();
    const drawn = crypto.getRandomValues(new Uint32Array(2));
    this.#fingerprint = Array.from(drawn, bits => bits.toString(16).padStart(8, '0')).join('');
  }

  /** Gives back everything on the device, and an owned device too. What waits rejects with DeviceError. Idempotent. */
  dispose(): void {
    if (this.#life.signal.aborted) return;
    const reason = disposedError();
    this.#life.abort(reason);
    this.#stop(reason);
    this.#model?.destroy(reason);
    this.#model = undefined;
    // They hold the source of the files.
    this.#reload = this.#openFiles = undefined;
  }

  #check(): void {
    if (this.#life.signal.aborted) throw disposedError();
    const fault = this.#end ?? this.#model?.backend.fault;
    if (fault) throw fault;
  }

  #stop(reason: DeviceError): void {
    for (const { scheduler } of this.#requests.values()) scheduler.stop(reason);
    this.#requests.clear();
  }

  #adopt(model: DeviceModel): void {
    this.#model = model;
    this.#adapterName = model.backend.adapterName;
    // A refused operation is the backend's `fault`, which `#check` finds.
    model.backend.listen({ lost: error => this.#onLost(model, error), refused: () => undefined });
  }

  #schedulerOf(request: EncoderRequest): Scheduler {
    const key = JSON.stringify(request);
    const shared = this.#requests.get(key) ?? {
      request,
      scheduler: new Scheduler(this.#executable(key, request), () => this.#check()),
    };
    // Deleted and set again, so that the map is in the order of use.
    this.#requests.delete(key);
    this.#requests.set(key, shared);
    return shared.scheduler;
  }

  /** The executable of a request on the present or the next device. After a failure the next call with that request tries again. */
  #executable(key: string, request: EncoderRequest): Promise<Executable> {
    const present = this.#model ? Promise.resolve(this.#model) : this.#restore();
    const making = present.then(model => {
      if (!this.#requests.has(key)) throw disposedError();
      return model.executable(request);
    });
    making.catch(() => {
      if (this.#requests.get(key)?.scheduler.executable === making) this.#requests.delete(key);
    });
    return making;
  }

  /** Releases the plans and buffers used longest ago. Called while no call runs; the pass of an aborted call may still be under way. */
  #releaseOldest(): void {
    const oldest = [...this.#requests].slice(0, Math.max(0, this.#requests.size - MAX_IDLE_REQUESTS));
    for (const [key, { request, scheduler }] of oldest) {
      this.#requests.delete(key);
      this.#model?.release(request, scheduler.idle());
    }
  }

  #onLost(model: DeviceModel, error: LostDeviceError): void {
    model.destroy(error);
    this.#model = undefined;
    if (this.#reload) {
      this.#countLoss(error);
      if (this.#mayRestore()) void this.#restore();
      // No call waits, so there is nothing to keep: the next call loads the model again.
      else this.#requests.clear();
    } else {
      this.#end = error;
      this.#stop(error);
    }
    this.#dispatchLost(error);
  }

  #countLoss(error: LostDeviceError): void {
    this.#losses++;
    const tooMany = new DeviceError({
      what: `the GPU device was lost ${MAX_LOSSES + 1} times during one call`,
      actual: error.actual,
      next: 'Call again; if it happens again, give shorter texts, or fewer at a time.',
      cause: error,
    });
    for (const { scheduler } of this.#requests.values()) scheduler.countLoss(tooMany);
  }

  #dispatchLost({ info: { reason, message } }: LostDeviceError): void {
    this.events.dispatchEvent(new CustomEvent('devicelost', { detail: { reason, message } }));
  }

  /** Whether to load the model again now. A call that waits counts its losses itself; without one, repeated losses end the attempts. */
  #mayRestore(): boolean {
    return this.#losses <= MAX_LOSSES || [...this.#requests.values()].some(({ scheduler }) => scheduler.calls > 0);
  }

  /** Begins to load the model onto another device, unless that is under way. All calls go on there. */
  #restore(): Promise<DeviceModel> {
    if (this.#restoring) return this.#restoring;
    const restoring = Promise.resolve().then(() => this.#loadAgain());
    restoring.catch(() => undefined);
    this.#restoring = restoring;
    for (const [key, { request, scheduler }] of this.#requests) scheduler.restart(this.#executable(key, request));
    return restoring;
  }

  async #loadAgain(): Promise<DeviceModel> {
    const { signal } = this.#life;
    try {
      for (;;) {
        try {
          signal.throwIfAborted();
          const model = await this.#reload!(signal);
          if (signal.aborted) model.destroy();
          signal.throwIfAborted();
          this.#adopt(model);
          break;
        } catch (error) {
          if (!(error instanceof LostDeviceError)) throw error;
          this.#countLoss(error);
          const goesOn = this.#mayRestore();
          this.#dispatchLost(error);
          if (!goesOn) throw error;
        }
      }
    } finally {
      this.#restoring = undefined;
    }
    const model = this.#model!;
    this.events.dispatchEvent(new CustomEvent('restored', { detail: { adapter: this.#adapterName } }));
    signal.throwIfAborted();
    return model;
  }
}
