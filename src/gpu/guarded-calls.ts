import { DeviceError, WebGPUBertError } from '../errors.ts';
import { ALL_FILTERS, disposedError, inErrorScopes, unexpectedError } from './errors.ts';
import { explainError } from './loss.ts';
import { withPolling } from './poll.ts';

/**
 * The GPU calls of a training. They run in error scopes, whose answers come later: what the device has refused is the error of the next
 * `check`, and of every wait.
 */
export class GuardedCalls {
  readonly #device: GPUDevice;
  /** When it aborts, everything that waits rejects with its reason. */
  readonly #signal: AbortSignal;
  /** The first operation that the device refused. */
  #refusal: GPUError | undefined;
  readonly #refusals = new Set<Promise<void>>();
  #isEnded = false;

  constructor(device: GPUDevice, signal: AbortSignal) {
    this.#device = device;
    this.#signal = signal;
  }

  /** From now on `check` says that the model was disposed. */
  end(): void {
    this.#isEnded = true;
  }

  /** Runs GPU calls inside error scopes: `check` throws when the device has refused any of them. */
  run<T>(work: () => T): T {
    const { result, refused } = inErrorScopes(this.#device, ALL_FILTERS, work);
    // It rejects only when the device is lost; whoever waits for the GPU hears of that.
    const reported = refused
      .catch(() => undefined)
      .then(error => {
        this.#refusals.delete(reported);
        this.#refusal ??= error;
      });
    this.#refusals.add(reported);
    return result;
  }

  /** What `waiting` resolves to, unless something was refused meanwhile. */
  async waited<T>(waiting: Promise<T>): Promise<T> {
    try {
      return await withPolling(this.#device.queue, waiting, this.#signal);
    } catch (error) {
      throw await this.#explain(error);
    } finally {
      this.check();
    }
  }

  /** Waits for what the device says of all calls so far. */
  async settled(): Promise<void> {
    await Promise.all(this.#refusals);
    this.check();
  }

  /** Throws the reason of the signal, or DeviceError: after the end, and where the device has refused a call. */
  check(): void {
    this.#signal.throwIfAborted();
    if (this.#isEnded) throw disposedError();
    if (!this.#refusal) return;
    const { GPUOutOfMemoryError: OutOfMemory } = globalThis;
    if (OutOfMemory && this.#refusal instanceof OutOfMemory) {
      throw new DeviceError({
        what: 'the GPU has no room for this training',
        actual: this.#refusal.message,
        next: 'Train fewer weights (TrainingArguments.trainable), or with a smaller per_device_train_batch_size.',
      });
    }
    throw unexpectedError('the GPU refused a training step', this.#refusal.message);
  }

  async #explain(error: unknown): Promise<unknown> {
    const reason = await explainError(this.#device, error, this.#signal);
    return reason instanceof WebGPUBertError
      ? reason
      : unexpectedError('the GPU did not run a training step', String(reason), reason);
  }
}
