import { SCALARS, SCALARS_FLOATS } from '../../shaders/scalars.ts';
import {
  ADDS,
  capacityOf,
  paramValues,
  SCALARS_STATE,
  type TrainingBatch,
  type TrainingStep,
  type UpdatePlan,
} from '../gradients/index.ts';
import { INPUTS, type Sizes, submitsOf, texelsOf, workOf } from '../plan/index.ts';
import { createBuffer } from './buffers.ts';
import { type BoundKernel, bindKernel, encodeDispatch, type ParamValues, UniformBlocks } from './dispatch.ts';
import { ALL_FILTERS, inErrorScopes } from './errors.ts';
import { MapMode } from './flags.ts';
import { GuardedCalls } from './guarded-calls.ts';
import type { Pacer } from './measured-pace.ts';
import type { Merging } from './merging.ts';
import type { CompiledKernel, PipelineCache } from './pipelines.ts';
import { copyToArrayTexture } from './textures.ts';
import { BatchResources, type BoundTrainingStep, checkCapacity } from './training-batch.ts';
import { TrainingStates, type TrainingStatesOptions } from './training-states.ts';
import { submitWeightChange, type WeightDispatch } from './weight-change.ts';

/** Steps that may be under way: the CPU packs one while the GPU computes the other. */
const STEPS_IN_FLIGHT = 2;

export interface TrainingDeviceOptions extends TrainingStatesOptions {
  readonly pipelines: Pick<PipelineCache, 'get'>;
  /** When it aborts, everything that waits rejects with its reason. `destroy` is still needed. */
  readonly signal: AbortSignal;
  readonly pacer: Pacer;
  /** What computes weights of the model of those that AdamW has changed. */
  readonly merging?: Merging | undefined;
}

/** What the GPU has counted: see shaders/scalars.ts. */
export interface StepScalars {
  /** The sum of the losses of the steps since they were last read, without those that were skipped or whose loss is not finite. */
  readonly loss: number;
  /** How many those are that the sum is without. */
  readonly droppedLosses: number;
  /** The length of the last step's gradient before it was clipped. */
  readonly norm: number;
  /** The most steps in a row that were not finite and changed nothing: of all such rows that ended, or went on, since this was last read. */
  readonly longestSkips: number;
  /** All steps that were not finite. */
  readonly skips: number;
}

/**
 * A training on a device: the states of the weights, and the buffers of micro-batches. A step is `begin`, `accumulate` for each micro-batch,
 * and `update`; nothing is read back but what `scalars` asks for, and nothing is created once the largest micro-batch has been seen.
 */
export class TrainingDevice {
  readonly #options: TrainingDeviceOptions;
  readonly #calls: GuardedCalls;
  readonly #states: TrainingStates;
  readonly #uniforms: UniformBlocks;
  readonly #updateUniforms: UniformBlocks;
  readonly #update: readonly BoundKernel[];
  readonly #kernels: readonly CompiledKernel[];
  readonly #scalarsReadback: GPUBuffer;
  #resources: BatchResources | undefined;
  /** Whether the step has had no micro-batch yet. */
  #isFirst = true;
  /** Settle when the GPU has done the steps before. */
  readonly #steps: Promise<void>[] = [];
  #isDestroyed = false;

  private constructor(
    options: TrainingDeviceOptions,
    kernels: readonly CompiledKernel[],
    updateKernels: readonly CompiledKernel[],
  ) {
    const { device, plan, update, signal } = options;
    this.#options = options;
    this.#kernels = kernels;
    this.#calls = new GuardedCalls(device, signal);
    const made = this.#calls.run(() => {
      const states = new TrainingStates(options, this.#calls);
      const uniforms = new UniformBlocks(device, 'training.params', plan.steps.length);
      const updateUniforms = new UniformBlocks(device, 'training.update.params', update.steps.length);
      const readback = createBuffer(device, 'training.scalars', 4 * SCALARS_FLOATS, 'MAP_READ');
      const bound = update.steps.map((step, i) =>
        bindKernel(device, {
          kernel: step.kernel,
          compiled: updateKernels[i]!,
          params: updateUniforms.binding(i),
          resources: Object.fromEntries(
            Object.entries(step.args).map(([name, argument]) => [name, states.bound(argument)]),
          ),
          label: step.label.slice(0, 80),
        }),
      );
      return { states, uniforms, updateUniforms, readback, bound };
    });
    this.#states = made.states;
    this.#uniforms = made.uniforms;
    this.#updateUniforms = made.updateUniforms;
    this.#scalarsReadback = made.readback;
    this.#update = made.bound;
  }

  /** Compiles the kernels and makes the states. Throws DeviceError where the device has no room for them. */
  static async create(options: TrainingDeviceOptions): Promise<TrainingDevice> {
    const { plan, update, pipelines, signal } = options;
    const compile = (steps: readonly TrainingStep[]) => Promise.all(steps.map(({ kernel }) => pipelines.get(kernel)));
    const [kernels, updateKernels] = await Promise.all([compile(plan.steps), compile(update.steps)]);
    signal.throwIfAborted();
    const made = new TrainingDevice(options, kernels, updateKernels);
    try {
      await made.#calls.settled();
    } catch (error) {
      made.destroy();
      throw error;
    }
    return made;
  }

  /** Bytes that it holds beside the model's weights. */
  bytes(): number {
    const params = this.#uniforms.byteLength + this.#updateUniforms.byteLength;
    const merging = this.#options.merging?.bytes ?? 0;
    return this.#states.bytes + params + merging + 4 * SCALARS_FLOATS + (this.#resources?.bytes ?? 0);
  }

  /** Makes the buffers for micro-batches of up to these sizes. Throws DeviceError where the device has no room for them. */
  async reserve(sizes: Sizes): Promise<void> {
    await this.#resourcesFor(sizes);
  }

  /** Begins a step: its first micro-batch makes the gradients, and others add to them. Waits where too many steps are under way. */
  async begin(): Promise<void> {
    while (this.#steps.length >= STEPS_IN_FLIGHT) await this.#calls.waited(this.#steps.shift()!);
    this.#calls.check();
    const { device } = this.#options;
    this.#calls.run(() => {
      const encoder = device.createCommandEncoder({ label: 'training.begin' });
      this.#states.clearGradients(encoder);
      device.queue.submit([encoder.finish()]);
    });
    this.#isFirst = true;
  }

  /** Adds the gradients of a micro-batch to those of the step. Resolves when it has been handed to the GPU. */
  async accumulate(batch: TrainingBatch): Promise<void> {
    const { device, plan, pacer } = this.#options;
    const resources = await this.#resourcesFor(batch.sizes);
    const numbers = { ...batch.numbers, [ADDS]: Number(!this.#isFirst) };
    this.#isFirst = false;
    const params = plan.steps.map(step => paramValues(step, numbers));
    const grids = plan.steps.map(({ kernel }, i) => kernel.workgroups(params[i]!));
    this.#calls.run(() => {
      plan.steps.forEach(({ kernel }, i) => {
        this.#uniforms.pack(i, kernel, params[i]!);
      });
      this.#uniforms.write();
      for (const name of INPUTS) {
        const input = resources.inputs.get(name);
        if (input && batch[name].length) device.queue.writeBuffer(input, 0, batch[name]);
      }
      for (const [name, array] of batch.data) {
        if (array.length) device.queue.writeBuffer(resources.data.get(name)!, 0, array);
      }
    });
    let before: Promise<void> | undefined;
    for (const part of submitsOf(workOf(plan.steps, batch.sizes), grids, pacer.budget)) {
      const done = this.#calls.run(() => {
        const cut = part.dispatches.find(({ first }) => first);
        if (cut) this.#writeParams(cut.step, { ...params[cut.step]!, ...cut.first });
        const encoder = device.createCommandEncoder({ label: 'training.pass' });
        this.#encode(
          encoder,
          part.dispatches.map(({ step, groups }) => ({ step: resources.steps[step]!, groups })),
          batch.sizes,
        );
        const ended = pacer.begin(part.work);
        device.queue.submit([encoder.finish()]);
        if (cut) this.#writeParams(cut.step, params[cut.step]!);
        return device.queue.onSubmittedWorkDone().then(ended);
      });
      done.catch(() => undefined);
      // The time of each part tells how much a later one may have. One is handed over while another runs, so that the GPU never waits.
      if (before) await this.#calls.waited(before);
      before = done;
      this.#calls.check();
    }
  }

  /** Ends a step: the gradients are clipped, and AdamW changes the weights. All of it has been handed to the GPU when this returns. */
  async update(numbers: Readonly<Record<string, number>>): Promise<void> {
    this.#calls.check();
    const { device, update, merging, pacer } = this.#options;
    const uniforms = this.#updateUniforms;
    const done = this.#calls.run(() => {
      const own = update.steps.map((step, block): WeightDispatch => {
        const { kernel, work, isSteady } = step;
        const params = paramValues(step, numbers);
        uniforms.pack(block, kernel, params);
        const bound = this.#update[block]!;
        return { kernel, bound, groups: kernel.workgroups(params), params, uniforms, block, work, isSteady };
      });
      uniforms.write();
      const last = { ...own.at(-1)!, copies: this.#states.copies };
      return submitWeightChange({
        device,
        pacer,
        dispatches: [...own.slice(0, -1), last, ...(merging?.dispatches ?? [])],
        before: encoder => this.#states.clearFrozen(encoder),
      });
    });
    this.#steps.push(done);
  }

  /** Reads what the steps so far have counted, and begins anew what counts since the last time. */
  async scalars(): Promise<StepScalars> {
    const { device } = this.#options;
    const state = this.#states.buffers.get(SCALARS_STATE)!;
    const size = 4 * SCALARS_FLOATS;
    const mapped = this.#calls.run(() => {
      const encoder = device.createCommandEncoder({ label: 'training.scalars' });
      encoder.copyBufferToBuffer(state, 0, this.#scalarsReadback, 0, size);
      encoder.clearBuffer(state, 4 * SCALARS.longestSkips);
      device.queue.submit([encoder.finish()]);
      return this.#scalarsReadback.mapAsync(MapMode.READ);
    });
    await this.#calls.waited(mapped);
    const numbers = new Float32Array(this.#scalarsReadback.getMappedRange()).slice();
    this.#scalarsReadback.unmap();
    await this.#calls.settled();
    return {
      loss: numbers[SCALARS.loss]!,
      droppedLosses: numbers[SCALARS.droppedLosses]!,
      norm: numbers[SCALARS.norm]!,
      longestSkips: numbers[SCALARS.longestSkips]!,
      skips: numbers[SCALARS.skips]!,
    };
  }

  /** The states that a checkpoint keeps: the running means, and what was counted, whose sums are rounded as if nothing had happened. */
  get kept(): UpdatePlan['moments'] {
    return [...this.#options.update.moments, { name: SCALARS_STATE, bytes: 4 * SCALARS_FLOATS }];
  }

  /** The numbers of a state: a gradient, or a running mean. */
  readState(name: string): Promise<Float32Array<ArrayBuffer>> {
    return this.#states.read(name);
  }

  /** Sets the numbers of a state. */
  writeState(name: string, numbers: Float32Array<ArrayBuffer>): void {
    this.#states.write(name, numbers);
  }

  /** Waits until the GPU has done all steps. Throws DeviceError where it has refused any of it. */
  async finish(): Promise<void> {
    await this.#calls.waited(this.#options.device.queue.onSubmittedWorkDone());
    await this.#calls.settled();
  }

  /** Gives back everything but the model's weights, `merging` included. Idempotent. */
  destroy(): void {
    if (this.#isDestroyed) return;
    this.#isDestroyed = true;
    this.#calls.end();
    inErrorScopes(this.#options.device, ALL_FILTERS, () => {
      this.#resources?.destroy();
      this.#states?.destroy();
      this.#scalarsReadback?.destroy();
      this.#uniforms?.destroy();
      this.#updateUniforms?.destroy();
    });
    this.#options.merging?.destroy();
  }

  async #resourcesFor(sizes: Sizes): Promise<BatchResources> {
    const needed = { ...sizes, pairs: 0 };
    if (this.#resources?.holds(needed)) return this.#resources;
    await Promise.all(this.#steps.splice(0).map(step => this.#calls.waited(step)));
    // The buffers of the micro-batches before are still read.
    await this.#calls.waited(this.#options.device.queue.onSubmittedWorkDone());
    const capacity = capacityOf(needed, this.#resources?.capacity);
    this.#resources?.destroy();
    this.#resources = undefined;
    const { device, plan, weights } = this.#options;
    checkCapacity(plan, device.limits, capacity);
    this.#resources = this.#calls.run(
      () =>
        new BatchResources({
          device,
          plan,
          weights,
          capacity,
          kernels: this.#kernels,
          uniforms: this.#uniforms,
          states: this.#states.buffers,
        }),
    );
    await this.#calls.settled();
    return this.#resources;
  }

  #writeParams(step: number, values: ParamValues): void {
    this.#uniforms.pack(step, this.#options.plan.steps[step]!.kernel, values);
    this.#uniforms.writeBlock(step);
  }

  #encode(
    encoder: GPUCommandEncoder,
    dispatches: readonly { step: BoundTrainingStep; groups: readonly [number, number, number] }[],
    sizes?: Sizes,
  ): void {
    let encoding = encoder.beginComputePass({ label: 'training.pass' });
    for (const { step, groups } of dispatches) {
      if (step.copies.length && sizes) {
        encoding.end();
        for (const { operand, from, to } of step.copies) {
          copyToArrayTexture(encoder, from, to, texelsOf(operand, sizes));
        }
        encoding = encoder.beginComputePass({ label: 'training.pass' });
      }
      encodeDispatch(encoding, step.bound, groups);
    }
    encoding.end();
  }
}
