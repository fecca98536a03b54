import { disposedError } from '../gpu/index.ts';
import { type EncoderConfig, type EncoderRequest, encoderGraph } from '../model/index.ts';
import type { Backend, Executable } from './backend.ts';
import type { Preparing } from './prepare.ts';
import type { FileTensor, UnusedTensor } from './upload.ts';

/** What a load makes: everything is there, and the weights are filled in. */
export interface DeviceModelParts {
  readonly backend: Backend;
  readonly config: EncoderConfig;
  readonly hasPooler: boolean;
  /** Tells the weights apart from others: see Fingerprint. */
  readonly fingerprint: string;
  /** The tensors of the files that it is made of. */
  readonly tensors: readonly FileTensor[];
  /** The others, but for those that are one of the model's once more. */
  readonly unused: readonly UnusedTensor[];
  /** Names without a tensor of their own, and whose tensor they share: see Checkpoint. */
  readonly leftOut: ReadonlyMap<string, string>;
  /** The names of those that no file has: see NewTensors. */
  readonly newTensors: readonly string[];
  /** What computes weights of weights. */
  readonly preparing: Preparing;
  /** Tensors that are on the CPU too, by canonical name. */
  readonly host: ReadonlyMap<string, Float32Array>;
}

/** A model on one device, with an executable for each request made of it there. It ends with the device. */
export class DeviceModel {
  readonly parts: DeviceModelParts;
  /** By the JSON text of the request. */
  readonly #executables = new Map<string, Promise<Executable>>();
  /** The executables that hold buffers on the device, those being released included. */
  readonly #live = new Set<Executable>();
  #isDestroyed = false;

  constructor(parts: DeviceModelParts) {
    this.parts = parts;
  }

  get backend(): Backend {
    return this.parts.backend;
  }

  /** The executable of a request, made when it is first asked for. One that failed may be asked for again. */
  executable(request: EncoderRequest): Promise<Executable> {
    const key = JSON.stringify(request);
    const existing = this.#executables.get(key);
    if (existing) return existing;
    const making = this.#make(request);
    this.#executables.set(key, making);
    making.catch(() => this.#executables.get(key) === making && this.#executables.delete(key));
    return making;
  }

  async #make(request: EncoderRequest): Promise<Executable> {
    const { backend, config, preparing } = this.parts;
    try {
      const executable = await backend.executable(backend.plan(encoderGraph(config, request)));
      if (this.#isDestroyed) {
        executable.destroy();
        throw disposedError();
      }
      const upToDate = preparing.upToDate(executable);
      this.#live.add(upToDate);
      return upToDate;
    } catch (error) {
      throw await backend.explain(error);
    }
  }

  /** Gives the executable of a request back once `idle` resolves. Whoever asks for it meanwhile gets another. */
  release(request: EncoderRequest, idle: Promise<void>): void {
    const key = JSON.stringify(request);
    const making = this.#executables.get(key);
    this.#executables.delete(key);
    if (!making) return;
    Promise.all([making, idle]).then(
      ([executable]) => {
        this.#live.delete(executable);
        executable.destroy();
      },
      () => undefined,
    );
  }

  /** Bytes held on the device now. */
  bytes(): { weights: number; activations: number } {
    const activations = [...this.#live].reduce((sum, executable) => sum + executable.bytes(), 0);
    return { weights: this.backend.weights.bytes(), activations };
  }

  /** Gives back everything at once, the device too where the backend owns it. What waits rejects with `reason`. Idempotent. */
  destroy(reason: unknown = disposedError()): void {
    if (this.#isDestroyed) return;
    this.#isDestroyed = true;
    for (const executable of this.#live) executable.destroy();
    this.#live.clear();
    this.#executables.clear();
    this.backend.destroy(reason);
  }
}
