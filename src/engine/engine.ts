import type { ModelSource } from '../checkpoint/source/index.ts';
import { DeviceError } from '../errors.ts';
import { disposed, type Executable, LostDeviceError } from '../gpu/index.ts';
import { canonicalRequest, type EncoderConfig, type EncoderRequest, type HeadKind } from '../model/index.ts';
import type { Sequence } from '../plan/index.ts';
import type { DeviceModel } from './device-model.ts';
import { type LoadOptions, loadModel } from './load.ts';
import { type CallOptions, createScheduler, MOST_LOSSES, type Scheduler } from './scheduler.ts';

export interface EngineOptions extends LoadOptions {
  signal?: AbortSignal | undefined;
  /**
   * The same files once more, for a device in place of a lost one: everything under way there rejects when `signal` aborts. Without
   * it, and on a device of the caller's, a lost device is the end of the engine.
   */
  reopen?: ((signal: AbortSignal) => ModelSource) | undefined;
}

/** Requests whose plans and buffers are kept: a page rarely makes more. */
const KEPT_PLANS = 6;

/** The calls that ask for the same. */
interface Kept {
  readonly request: EncoderRequest;
  readonly scheduler: Scheduler;
}

/**
 * A checkpoint on a device: text-free and task-free. It runs sequences; calls that ask for the same share passes (see Scheduler).
 *
 * When a device of our own is lost, for whatever reason, the weights are loaded anew onto another. Calls wait for that and are begun
 * again where they were; a call that has outlived two devices rejects with the third. `events` says 'devicelost' and 'restored'.
 */
export class Engine {
  readonly config: EncoderConfig;
  readonly hasPooler: boolean;
  readonly head: HeadKind | undefined;
  /** The tensors that were asked for on the CPU, by their canonical names. */
  readonly host: ReadonlyMap<string, Float32Array>;
  readonly events = new EventTarget();

  /** Aborts when the engine is disposed of. */
  readonly #life = new AbortController();
  /** How to load it again; none where it cannot be. */
  #reload: ((signal: AbortSignal) => Promise<DeviceModel>) | undefined;
  /** None between the loss of a device and the next one. */
  #model: DeviceModel | undefined;
  #restoring: Promise<DeviceModel> | undefined;
  #adapterName: string;
  /** Devices lost since a pass has ended well. */
  #losses = 0;
  /** Why no call can succeed any more. */
  #end: DeviceError | undefined;
  /** One for each request; in the order of use. */
  readonly #kept = new Map<string, Kept>();
  #running = 0;

  private constructor(model: DeviceModel, options: EngineOptions) {
    const { config, hasPooler, host, gpu } = model.parts;
    this.config = config;
    this.hasPooler = hasPooler;
    this.host = host;
    this.head = options.head;
    this.#adapterName = gpu.adapterName;
    const { reopen, signal: _, progress: __, ...loading } = options;
    if (reopen && gpu.owned) {
      const again = { ...loading, config, host: undefined };
      this.#reload = signal => {
        const more = [...this.#kept.values()].map(({ request }) => request);
        return loadModel(reopen(signal), { ...again, more }, signal);
      };
    }
    this.#adopt(model);
  }

  /**
   * Loads config.json and the weights of `source`; anew where our device is lost meanwhile, twice at most. Throws
   * UnsupportedError, CheckpointError, SourceError or DeviceError, and at once the signal's reason; after a failure or an abort
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
        if (!(error instanceof LostDeviceError) || device || losses === MOST_LOSSES) throw error;
      }
    }
  }

  /** Of the present device, or while there is none of the last. */
  get adapterName(): string {
    return this.#adapterName;
  }

  /** Bytes held on the GPU now. */
  async bytes(): Promise<{ weights: number; activations: number }> {
    return this.#model?.bytes() ?? { weights: 0, activations: 0 };
  }

  /**
   * Runs sequences, taken from the iterable only as they are needed: see Scheduler. Rejects with the signal's reason, at once;
   * with DeviceError; with whatever the iterable or `done` throws; with what failed when a lost device was to be replaced.
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
        done: ran => {
          this.#losses = 0;
          done(ran);
        },
      });
    } finally {
      if (--this.#running === 0) this.#trim();
    }
  }

  /** Gives back everything on the GPU; the device too, unless it was the caller's. What waits rejects with DeviceError. Idempotent. */
  dispose(): void {
    if (this.#life.signal.aborted) return;
    const reason = disposed();
    this.#life.abort(reason);
    this.#stop(reason);
    this.#model?.destroy(reason);
    this.#model = undefined;
    // It holds the files.
    this.#reload = undefined;
  }

  #check(): void {
    if (this.#life.signal.aborted) throw disposed();
    const fault = this.#end ?? this.#model?.fault;
    if (fault) throw fault;
  }

  #stop(reason: DeviceError): void {
    for (const { scheduler } of this.#kept.values()) scheduler.stop(reason);
    this.#kept.clear();
  }

  #adopt(model: DeviceModel): void {
    this.#model = model;
    this.#adapterName = model.parts.gpu.adapterName;
    model.whenLost(error => this.#onLost(model, error));
  }

  #schedulerOf(request: EncoderRequest): Scheduler {
    const key = JSON.stringify(request);
    let kept = this.#kept.get(key);
    if (!kept) {
      const scheduler = createScheduler(
        this.#executable(key, request),
        () => this.#model!.caps,
        () => this.#check(),
      );
      kept = { request, scheduler };
    }
    // Set again where it is known: the map is in the order of use.
    this.#kept.delete(key);
    this.#kept.set(key, kept);
    return kept.scheduler;
  }

  /** The executable of a request on the device there is or will be. Where it fails, the next call that asks for it tries again. */
  #executable(key: string, request: EncoderRequest): Promise<Executable> {
    const present = this.#model ? Promise.resolve(this.#model) : this.#restore();
    const making = present.then(model => {
      if (!this.#kept.has(key)) throw disposed();
      return model.executable(request);
    });
    making.catch(() => {
      if (this.#kept.get(key)?.scheduler.executable === making) this.#kept.delete(key);
    });
    return making;
  }

  /** Forgets the plans that were used longest ago, while no call is in use of one; an aborted one's pass may still run. */
  #trim(): void {
    const old = [...this.#kept].slice(0, Math.max(0, this.#kept.size - KEPT_PLANS));
    for (const [key, { request, scheduler }] of old) {
      this.#kept.delete(key);
      this.#model?.release(request, scheduler.idle());
    }
  }

  #onLost(model: DeviceModel, error: LostDeviceError): void {
    model.destroy(error);
    this.#model = undefined;
    if (this.#reload) {
      this.#suffer(error);
      if (this.#mayRestore()) void this.#restore();
      // Nobody waits: the next call tries again.
      else this.#kept.clear();
    } else {
      this.#end = error;
      this.#stop(error);
    }
    this.#tell(error);
  }

  #suffer(error: LostDeviceError): void {
    this.#losses++;
    const enough = new DeviceError({
      what: `the GPU device was lost ${MOST_LOSSES + 1} times during one call`,
      actual: error.actual,
      next: 'Call again; if it happens again, give shorter texts, or fewer at a time.',
      cause: error,
    });
    for (const { scheduler } of this.#kept.values()) scheduler.suffer(enough);
  }

  #tell({ info: { reason, message } }: LostDeviceError): void {
    this.events.dispatchEvent(new CustomEvent('devicelost', { detail: { reason, message } }));
  }

  /** A call that waits is worth another device, and knows itself when it has had enough. Without one it is not tried for ever. */
  #mayRestore(): boolean {
    return this.#losses <= MOST_LOSSES || [...this.#kept.values()].some(({ scheduler }) => scheduler.calls > 0);
  }

  /** Begins to load the model onto another device, unless that is under way; all calls go on there. */
  #restore(): Promise<DeviceModel> {
    if (this.#restoring) return this.#restoring;
    const restoring = Promise.resolve().then(() => this.#loadAgain());
    restoring.catch(() => undefined);
    this.#restoring = restoring;
    for (const [key, { request, scheduler }] of this.#kept) scheduler.restart(this.#executable(key, request));
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
          this.#suffer(error);
          const goesOn = this.#mayRestore();
          this.#tell(error);
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
