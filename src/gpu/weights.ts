import { DeviceError } from '../errors.ts';
import { numbersOf, type Weight, weightBytes, weightKey } from '../plan/index.ts';
import { ALL_FILTERS, disposedError, inErrorScopes, unexpectedError } from './errors.ts';
import { type Flaw, flawsOf } from './flaws.ts';
import type { PipelineCache } from './pipelines.ts';
import { withPolling } from './poll.ts';
import { checkSize, StoredWeight } from './stored-weight.ts';
import { type Piece, WeightUpload } from './upload.ts';

/** Bytes of a piece that is staged at once, and of the float32 rows of a band. */
const STAGING_BYTES = 8 << 20;

/** The weights of a model on the GPU: one buffer or texture each, filled piece by piece while the file arrives. */
export class WeightStore {
  readonly #device: GPUDevice;
  readonly #maxBytes: number;
  readonly #stagingBytes: number;
  /** By `weightKey`, in the order of their indices. */
  readonly #weights = new Map<string, StoredWeight>();
  /** Weights that were created so far: the index of the next one. */
  #created = 0;
  readonly #upload: WeightUpload;
  /** Aborts when the store is destroyed. */
  readonly #life = new AbortController();
  /** The first error that the device reported of any call. */
  #refusal: GPUError | undefined;
  /** Settles when the device has reported on every call so far. */
  #reported: Promise<unknown> = Promise.resolve();

  constructor(device: GPUDevice, pipelines: Pick<PipelineCache, 'get'>) {
    const { maxStorageBufferBindingSize, maxBufferSize } = device.limits;
    this.#device = device;
    this.#maxBytes = Math.min(maxStorageBufferBindingSize, maxBufferSize);
    this.#stagingBytes = Math.min(STAGING_BYTES, this.#maxBytes);
    this.#upload = new WeightUpload({
      device,
      pipelines,
      signal: this.#life.signal,
      guard: work => this.#guard(work),
      weightCount: () => this.#created,
      stagingBytes: this.#stagingBytes,
    });
  }

  /** Bytes of all weights. */
  bytes(): number {
    return this.stored().reduce((sum, { weight }) => sum + weightBytes(weight), 0);
  }

  /** Creates weights, all zeros; those that exist stay. Throws DeviceError where the device has no room for them. */
  async allocate(weights: readonly Weight[]): Promise<void> {
    this.#check();
    const missing = weights.filter(weight => !this.#weights.has(weightKey(weight)));
    for (const weight of missing) checkSize(weight, this.#maxBytes, this.#stagingBytes);
    this.#guard(() => {
      for (const weight of missing) {
        const stored = new StoredWeight(this.#device, weight, this.#created++, this.#stagingBytes);
        this.#weights.set(weightKey(weight), stored);
        this.#upload.add(stored);
      }
    });
    await this.#reported;
    this.#check();
  }

  /** All weights. */
  stored(): readonly StoredWeight[] {
    return [...this.#weights.values()];
  }

  /** What a kernel binds of a weight. */
  resource(weight: Weight): GPUBuffer | GPUTexture {
    const stored = this.#weights.get(weightKey(weight));
    if (!stored) throw new Error(`the weight "${weight.name}" was not allocated`);
    return stored.resource;
  }

  /** Makes ready for pieces of tensors that are there already: the new ones take their place. */
  expect(tensors: readonly string[]): void {
    for (const stored of this.stored()) {
      for (const part of stored.weight.parts) {
        if (tensors.includes(part.tensor)) stored.missing += numbersOf(stored.weight, part).count;
      }
    }
  }

  /**
   * Puts a piece into every weight that has a part of its tensor. The bytes may be reused when it resolves. Throws DeviceError where the
   * device has refused an earlier piece.
   */
  async write(piece: Piece): Promise<void> {
    this.#check();
    await this.#upload.write(piece);
  }

  /**
   * To be called after the last piece: waits until everything is in place, and gives back the staging buffers. Throws DeviceError where
   * the device has refused any of it. Gives the first flaw of every weight that has one.
   */
  async finish(): Promise<readonly Flaw[]> {
    this.#check();
    const reading = this.#guard(() => this.#upload.readFlaws());
    if (!reading) return [];
    const { readback, mapped } = reading;
    const failure = await withPolling(this.#device.queue, mapped, this.#life.signal).then(
      () => undefined,
      (error: unknown) => ({ error }),
    );
    // What the device refused explains the failure better than the failure itself.
    await this.#reported;
    this.#check();
    if (failure) throw failure.error;
    const flaws = flawsOf(new Uint32Array(readback.getMappedRange()), this.stored());
    this.#guard(() => this.#upload.release());
    await this.#reported;
    this.#check();
    return flaws;
  }

  /** Gives back weights that nothing reads any more. To be called after `finish`. */
  release(weights: readonly Weight[]): void {
    const keys = weights.map(weightKey);
    this.#guard(() => {
      for (const key of keys) this.#weights.get(key)?.resource.destroy();
    });
    for (const key of keys) this.#weights.delete(key);
  }

  /** Gives back everything. What waits, and every call from now on, rejects with DeviceError. */
  destroy(): void {
    this.#life.abort(disposedError());
    this.#guard(() => {
      this.#upload.release();
      for (const { resource } of this.#weights.values()) resource.destroy();
    });
    this.#weights.clear();
  }

  /** Runs GPU calls inside error scopes. `#check` throws when the device has reported an error of any of them. */
  #guard<T>(work: () => T): T {
    const { result, refused } = inErrorScopes(this.#device, ALL_FILTERS, work);
    // It rejects only when the device is lost, and that is reported to the load in another way: see onLoss.
    const reported = refused
      .catch(() => undefined)
      .then(error => {
        this.#refusal ??= error;
      });
    this.#reported = Promise.all([this.#reported, reported]);
    return result;
  }

  #check(): void {
    this.#life.signal.throwIfAborted();
    if (!this.#refusal) return;
    const { GPUOutOfMemoryError: OutOfMemory } = globalThis;
    if (OutOfMemory && this.#refusal instanceof OutOfMemory) {
      throw new DeviceError({
        what: 'the weights do not fit into the memory of the GPU',
        actual: `${this.bytes()} bytes asked for (${this.#refusal.message})`,
        next: 'Dispose other models, or use a smaller one.',
      });
    }
    throw unexpectedError('the GPU refused the weights', this.#refusal.message);
  }
}
