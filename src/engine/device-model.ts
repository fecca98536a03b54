import type { Format } from '../../shaders/matrix.ts';
import type { DeviceError } from '../errors.ts';
import {
  createExecutable,
  disposed,
  type Executable,
  explained,
  type Gpu,
  type LostDeviceError,
  onLoss,
  type PipelineCache,
  paceOf,
  unexpected,
  type WeightStore,
} from '../gpu/index.ts';
import { type EncoderConfig, type EncoderRequest, encoderGraph } from '../model/index.ts';
import { type Caps, type Plan, plan } from '../plan/index.ts';

/** What the forward pass of a request is on a device with these capabilities. */
export const planOf = (caps: Caps, config: EncoderConfig, request: EncoderRequest, format?: Format): Plan =>
  plan(encoderGraph(config, request), { caps, format });

/** What a model on a device is made of: all of it there, the weights filled in. */
export interface DeviceModelParts {
  readonly gpu: Gpu;
  readonly pipelines: PipelineCache;
  readonly weights: WeightStore;
  readonly config: EncoderConfig;
  readonly format: Format | undefined;
  readonly hasPooler: boolean;
  /** Tensors that are on the CPU too, by their canonical names. */
  readonly host: ReadonlyMap<string, Float32Array>;
}

/** The weights of a model on one device, and the executables of what has been asked of it there. It ends with the device. */
export class DeviceModel {
  readonly parts: DeviceModelParts;
  /** An operation that the device refused, of which no pass has heard: nothing that it computes is to be trusted. */
  fault: DeviceError | undefined;
  readonly #life = new AbortController();
  /** By their requests. */
  readonly #executables = new Map<string, Promise<Executable>>();
  /** All that hold something on the device. */
  readonly #made = new Set<Executable>();
  readonly #endWatch: () => void;
  #lost: LostDeviceError | undefined;
  #onLost: ((error: LostDeviceError) => void) | undefined;

  constructor(parts: DeviceModelParts) {
    this.parts = parts;
    const { device, owned } = parts.gpu;
    this.#endWatch = onLoss(device, error => {
      this.#lost = error;
      this.#onLost?.(error);
    });
    // On a device of the caller's, errors may be those of other code: there a pass watches its own (see Executable).
    if (owned) device.addEventListener('uncapturederror', this.#onError);
  }

  readonly #onError = (event: Event): void => {
    const refused = unexpected('the GPU refused an operation', (event as GPUUncapturedErrorEvent).error.message);
    // In Firefox a lost device refuses whatever it is told before it is said to be lost.
    void explained(this.parts.gpu.device, refused, this.#life.signal).then(reason => {
      if (reason === refused) this.fault ??= refused;
    });
  };

  /** Calls `listener` once if the device is lost, soon where it is already; not after `destroy`. */
  whenLost(listener: (error: LostDeviceError) => void): void {
    this.#onLost = listener;
    const lost = this.#lost;
    if (lost) queueMicrotask(() => this.#onLost?.(lost));
  }

  get caps(): Caps {
    return this.parts.gpu.caps;
  }

  plan(request: EncoderRequest): Plan {
    return planOf(this.caps, this.parts.config, request, this.parts.format);
  }

  /** The executable of a request, made when it is first asked for. One that fails may be asked for again. */
  executable(request: EncoderRequest): Promise<Executable> {
    const key = JSON.stringify(request);
    const known = this.#executables.get(key);
    if (known) return known;
    const making = this.#make(request);
    this.#executables.set(key, making);
    making.catch(() => this.#executables.get(key) === making && this.#executables.delete(key));
    return making;
  }

  async #make(request: EncoderRequest): Promise<Executable> {
    const { signal } = this.#life;
    const { gpu, weights, pipelines } = this.parts;
    try {
      signal.throwIfAborted();
      const pace = paceOf(gpu.device, gpu.caps);
      const executable = await createExecutable(gpu.device, this.plan(request), weights, pipelines, signal, pace);
      if (signal.aborted) executable.destroy();
      else this.#made.add(executable);
      signal.throwIfAborted();
      return executable;
    } catch (error) {
      throw await explained(gpu.device, error, signal);
    }
  }

  /** Gives the executable of a request back as soon as `idle` settles. Whoever asks for it meanwhile gets another. */
  release(request: EncoderRequest, idle: Promise<void>): void {
    const key = JSON.stringify(request);
    const making = this.#executables.get(key);
    this.#executables.delete(key);
    if (!making) return;
    Promise.all([making, idle]).then(
      ([executable]) => {
        this.#made.delete(executable);
        executable.destroy();
      },
      () => undefined,
    );
  }

  /** Bytes held on the GPU now. */
  bytes(): { weights: number; activations: number } {
    const activations = [...this.#made].reduce((sum, executable) => sum + executable.bytes(), 0);
    return { weights: this.parts.weights.bytes(), activations };
  }

  /** Gives back everything at once, the device too where it is ours. What waits rejects with `reason`. Idempotent. */
  destroy(reason: DeviceError = disposed()): void {
    if (this.#life.signal.aborted) return;
    const { device, owned } = this.parts.gpu;
    this.#endWatch();
    this.#onLost = undefined;
    device.removeEventListener('uncapturederror', this.#onError);
    this.#life.abort(reason);
    for (const executable of this.#made) executable.destroy();
    this.#made.clear();
    this.#executables.clear();
    this.parts.weights.destroy();
    if (owned) device.destroy();
  }
}
