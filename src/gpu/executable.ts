import { DeviceError, WebGPUBertError } from '../errors.ts';
import type { Batch, Plan, Sizes } from '../plan/index.ts';
import { capacityFor, fits, tooLarge } from './capacity.ts';
import { UniformBlocks } from './dispatch.ts';
import { ALL_FILTERS, disposedError, inErrorScopes, unexpectedError } from './errors.ts';
import { explainError } from './loss.ts';
import type { Pacer } from './measured-pace.ts';
import { type Outputs, Pass } from './pass.ts';
import { IN_FLIGHT, type PassContext, PassResources } from './pass-resources.ts';
import type { PipelineCache } from './pipelines.ts';
import type { WeightStore } from './weights.ts';

export interface ExecutableOptions {
  readonly device: GPUDevice;
  readonly plan: Plan;
  /** All weights of the plan must have been allocated. */
  readonly weights: Pick<WeightStore, 'resource'>;
  readonly pipelines: Pick<PipelineCache, 'get'>;
  /** When it aborts, everything that waits rejects with its reason and nothing is created any more. `destroy` is still needed. */
  readonly signal: AbortSignal;
  readonly pacer: Pacer;
}

/**
 * A plan made ready on a device. A run writes the batch, encodes every step into one command buffer, submits once and maps one buffer.
 * It creates nothing, unless the pass is larger than any before. A pass that is too much work for one submit (see src/plan/pace.ts) is
 * several submits, one after the other.
 */
export class Executable {
  readonly plan: Plan;
  readonly #context: PassContext;
  readonly #signal: AbortSignal;
  readonly #pacer: Pacer;
  /** What the device refused of the buffer of the params. */
  readonly #uniformsRefused: Promise<GPUError | undefined>;
  /** Whether the plan has values of [pairs] rows: these grow with the square of the length, and most plans have none. */
  readonly #hasPairs: boolean;
  #resources: PassResources | undefined;
  /** For each readback buffer: settles when it can be used again. */
  readonly #readbackFree = Array.from({ length: IN_FLIGHT }, (): Promise<unknown> => Promise.resolve());
  #passes = 0;
  /** Settles when the last action of `#inTurn` has ended. */
  #lastTurn: Promise<unknown> = Promise.resolve();
  #isDestroyed = false;

  private constructor({ device, plan, weights, signal, pacer }: ExecutableOptions, kernels: PassContext['kernels']) {
    // One uniform block for each distinct set of params: most steps of an encoder share one.
    const keys = plan.steps.map(({ kernel, params }) => JSON.stringify([kernel.params, params]));
    const distinct = [...new Set(keys)];
    const { result: uniforms, refused } = inErrorScopes(
      device,
      ALL_FILTERS,
      () => new UniformBlocks(device, 'executable.params', distinct.length),
    );
    const blocks = keys.map(key => distinct.indexOf(key));
    this.plan = plan;
    this.#context = { device, plan, weights, kernels, uniforms, blocks };
    this.#uniformsRefused = refused;
    this.#signal = signal;
    this.#pacer = pacer;
    this.#hasPairs = plan.slots.some(slot => slot.has('pairs'));
  }

  /** Resolves when the kernels of the plan are compiled. Throws DeviceError where one does not compile. */
  static async create(options: ExecutableOptions): Promise<Executable> {
    const { plan, pipelines, signal } = options;
    const kernels = await Promise.all(plan.steps.map(step => pipelines.get(step.kernel)));
    signal.throwIfAborted();
    return new Executable(options, kernels);
  }

  /** The work that the next pass should have, by the speed of the device: see src/plan/pace.ts. */
  budget(): number {
    return this.#pacer.budget();
  }

  /** Bytes of activations, inputs, params and readbacks held now. */
  bytes(): number {
    return (this.#resources?.bytes ?? 0) + this.#context.uniforms.byteLength;
  }

  /** Creates the buffers for passes of these sizes ahead of the first one, where the device allows them. */
  reserve(sizes: Sizes): Promise<void> {
    return this.#inTurn(async () => {
      const { plan, device } = this.#context;
      if (!tooLarge(plan, device.limits, sizes)) await this.#resourcesFor(sizes);
    });
  }

  /**
   * Runs one pass. `submitted` settles when the pass has been handed to the GPU, so that the next one may be prepared; `outputs` when
   * its outputs have been read. Both reject with DeviceError alone, a LostDeviceError where the device is gone.
   */
  run(batch: Batch): { submitted: Promise<void>; outputs: Promise<Outputs> } {
    // The outputs are in an object, so that awaiting the turn does not await them.
    const turn = this.#inTurn(async () => {
      const resources = await this.#resourcesFor(batch.sizes);
      const index = this.#passes++ % IN_FLIGHT;
      await this.#readbackFree[index];
      this.#check();
      const pass = new Pass({
        context: this.#context,
        resources,
        readback: resources.readbacks[index]!,
        batch,
        pacer: this.#pacer,
        signal: this.#signal,
        check: () => this.#check(),
      }).run();
      const outputs = pass.outputs.catch(async error => {
        throw await this.#explain(error);
      });
      this.#readbackFree[index] = outputs.catch(() => undefined);
      await pass.submitted;
      return { outputs };
    });
    return { submitted: turn.then(() => undefined), outputs: turn.then(({ outputs }) => outputs) };
  }

  /** Gives back everything but the weights. What is under way rejects with DeviceError. Idempotent. */
  destroy(): void {
    if (this.#isDestroyed) return;
    this.#isDestroyed = true;
    this.#release();
    const { device, uniforms } = this.#context;
    inErrorScopes(device, ALL_FILTERS, () => uniforms.destroy());
  }

  /** Called after every wait: nothing may be created for an executable that is gone. */
  #check(): void {
    this.#signal.throwIfAborted();
    if (this.#isDestroyed) throw disposedError();
  }

  /** The error to report for `error`. When the executable or the device is gone, buffers and maps fail with errors that do not say so. */
  async #explain(error: unknown): Promise<unknown> {
    if (this.#isDestroyed && !this.#signal.aborted) return disposedError();
    const reason = await explainError(this.#context.device, error, this.#signal);
    return reason instanceof WebGPUBertError
      ? reason
      : unexpectedError('the GPU did not run a pass', String(reason), reason);
  }

  /** Runs one action after the other: resources, readback buffers and the order of submits belong to the one that runs. */
  #inTurn<T>(action: () => Promise<T>): Promise<T> {
    const result = this.#lastTurn.then(async () => {
      this.#check();
      try {
        return await action();
      } catch (error) {
        throw await this.#explain(error);
      }
    });
    this.#lastTurn = result.catch(() => undefined);
    return result;
  }

  #release(): void {
    inErrorScopes(this.#context.device, ALL_FILTERS, () => this.#resources?.destroy());
    this.#resources = undefined;
  }

  /** Those there are, where they are large enough; else larger ones in their place, as soon as no pass is under way. */
  async #resourcesFor(passSizes: Sizes): Promise<PassResources> {
    const sizes = this.#hasPairs ? passSizes : { ...passSizes, pairs: 0 };
    if (this.#resources && fits(sizes, this.#resources.capacity)) return this.#resources;
    await Promise.all(this.#readbackFree);
    this.#check();
    const { device, plan } = this.#context;
    const capacity = capacityFor(this.#context, sizes, this.#resources?.capacity);
    const refusedSize = tooLarge(plan, device.limits, capacity);
    if (refusedSize) {
      throw new DeviceError({
        what: 'a pass needs a buffer larger than this device allows',
        actual: `${refusedSize.bytes} bytes`,
        expected: `at most ${refusedSize.limit}`,
        next: 'Ask for fewer layers at a time, or give shorter texts.',
      });
    }
    this.#release();
    const { result, refused } = inErrorScopes(device, ALL_FILTERS, () => new PassResources(this.#context, capacity));
    this.#resources = result;
    const errors = await Promise.all([this.#uniformsRefused, refused]);
    this.#check();
    const error = errors.find(refusal => refusal !== undefined);
    if (!error) return result;
    this.#release();
    throw new DeviceError({
      what: 'the GPU has no room for a pass',
      actual: error.message,
      next: 'Give fewer or shorter texts, or dispose other models.',
    });
  }
}
