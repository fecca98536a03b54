import { SCALARS, SCALARS_FLOATS } from '../../shaders/scalars.ts';
import { DeviceError, WebGPUBertError } from '../errors.ts';
import {
  capacityOf,
  paramValues,
  SCALARS_STATE,
  type TrainingArgument,
  type TrainingBatch,
  type TrainingPlan,
  type TrainingStep,
  type UpdatePlan,
  weightName,
} from '../gradients/index.ts';
import { INPUTS, type Sizes, submitsOf, texelsOf, type Weight, weightBytes, weightElements } from '../plan/index.ts';
import { createBuffer } from './buffers.ts';
import { bindKernel, encodeDispatch, type ParamValues, UniformBlocks } from './dispatch.ts';
import { ALL_FILTERS, disposedError, inErrorScopes, unexpectedError } from './errors.ts';
import { MapMode } from './flags.ts';
import { explainError } from './loss.ts';
import type { Pacer } from './measured-pace.ts';
import type { Merging } from './merging.ts';
import type { CompiledKernel, PipelineCache } from './pipelines.ts';
import { withPolling } from './poll.ts';
import { copyFromArrayTexture, copyToArrayTexture } from './textures.ts';
import { BatchResources, type BoundTrainingStep, checkCapacity } from './training-batch.ts';
import type { WeightStore } from './weights.ts';

/** Steps that may be under way: the CPU packs one while the GPU computes the other. */
const STEPS_IN_FLIGHT = 2;

export interface TrainingDeviceOptions {
  readonly device: GPUDevice;
  readonly plan: TrainingPlan;
  readonly update: UpdatePlan;
  /** All weights of the plan must have been allocated. */
  readonly weights: Pick<WeightStore, 'resource'>;
  readonly pipelines: Pick<PipelineCache, 'get'>;
  /** When it aborts, everything that waits rejects with its reason. `destroy` is still needed. */
  readonly signal: AbortSignal;
  readonly pacer: Pacer;
  /** What computes weights of the model of those that AdamW has changed. */
  readonly merging?: Merging | undefined;
}

/** What the GPU has counted: see shaders/scalars.ts. */
export interface StepScalars {
  /** The sum of the losses of all steps since they were last read. */
  readonly loss: number;
  /** The length of the last step's gradient before it was clipped. */
  readonly norm: number;
  /** Steps in a row, up to the last one, that were not finite and changed nothing. */
  readonly consecutiveSkips: number;
  /** All of them. */
  readonly skips: number;
}

/** A weight that is kept in a texture, and the float32 rows of it that AdamW changes. */
interface Master {
  readonly weight: Weight;
  readonly buffer: GPUBuffer;
  readonly texture: GPUTexture;
}

/**
 * A training on a device: the states of the weights, and the buffers of micro-batches. A step is `begin`, `accumulate` for each micro-batch,
 * and `update`; nothing is read back but what `scalars` asks for, and nothing is created once the largest micro-batch has been seen.
 */
export class TrainingDevice {
  readonly #options: TrainingDeviceOptions;
  readonly #states = new Map<string, GPUBuffer>();
  readonly #masters: Master[] = [];
  readonly #uniforms: UniformBlocks;
  readonly #updateUniforms: UniformBlocks;
  readonly #update: readonly BoundTrainingStep[];
  readonly #kernels: readonly CompiledKernel[];
  readonly #scalarsReadback: GPUBuffer;
  /** What lives as long as the training. */
  readonly #created: (GPUBuffer | GPUTexture)[] = [];
  #resources: BatchResources | undefined;
  /** Settle when the GPU has done the steps before. */
  readonly #steps: Promise<void>[] = [];
  /** The first operation that the device refused. */
  #refusal: GPUError | undefined;
  readonly #refusals = new Set<Promise<void>>();
  #isDestroyed = false;

  private constructor(
    options: TrainingDeviceOptions,
    kernels: readonly CompiledKernel[],
    updateKernels: readonly CompiledKernel[],
  ) {
    const { device, plan, update } = options;
    this.#options = options;
    this.#kernels = kernels;
    const made = this.#guard(() => {
      for (const { name, bytes } of [...update.gradients, ...update.moments, ...update.others]) {
        this.#states.set(name, this.#keep(createBuffer(device, `training.${name.slice(0, 80)}`, bytes)));
      }
      this.#makeMasters();
      const uniforms = new UniformBlocks(device, 'training.params', plan.steps.length);
      const updateUniforms = new UniformBlocks(device, 'training.update.params', update.steps.length);
      const readback = this.#keep(createBuffer(device, 'training.scalars', 4 * SCALARS_FLOATS, 'MAP_READ'));
      const bound = update.steps.map((step, i) => ({
        bound: bindKernel(device, {
          kernel: step.kernel,
          compiled: updateKernels[i]!,
          params: updateUniforms.binding(i),
          resources: Object.fromEntries(
            Object.entries(step.args).map(([name, argument]) => [name, this.#lasting(argument)]),
          ),
          label: step.label.slice(0, 80),
        }),
        copies: [],
      }));
      return { uniforms, updateUniforms, readback, bound };
    });
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
      await made.#settled();
    } catch (error) {
      made.destroy();
      throw error;
    }
    return made;
  }

  /** Bytes that it holds beside the model's weights. */
  bytes(): number {
    const { update } = this.#options;
    const states = [...update.gradients, ...update.moments, ...update.others].reduce(
      (sum, { bytes }) => sum + bytes,
      0,
    );
    const masters = this.#masters.reduce((sum, { weight }) => sum + weightBytes(rowsOf(weight)), 0);
    const params = this.#uniforms.byteLength + this.#updateUniforms.byteLength;
    const merging = this.#options.merging?.bytes ?? 0;
    return states + masters + params + merging + 4 * SCALARS_FLOATS + (this.#resources?.bytes ?? 0);
  }

  /** Makes the buffers for micro-batches of up to these sizes. Throws DeviceError where the device has no room for them. */
  async reserve(sizes: Sizes): Promise<void> {
    await this.#resourcesFor(sizes);
  }

  /** Begins a step: all gradients are 0. Waits where too many steps are under way. */
  async begin(): Promise<void> {
    while (this.#steps.length >= STEPS_IN_FLIGHT) await this.#waited(this.#steps.shift()!);
    this.#check();
    const { device, update } = this.#options;
    this.#guard(() => {
      const encoder = device.createCommandEncoder({ label: 'training.begin' });
      for (const { name } of update.gradients) encoder.clearBuffer(this.#states.get(name)!);
      device.queue.submit([encoder.finish()]);
    });
  }

  /** Adds the gradients of a micro-batch. Resolves when it has been handed to the GPU. */
  async accumulate(batch: TrainingBatch): Promise<void> {
    const { device, plan, pacer } = this.#options;
    const resources = await this.#resourcesFor(batch.sizes);
    const params = plan.steps.map(step => paramValues(step, batch.numbers));
    const grids = plan.steps.map(({ kernel }, i) => kernel.workgroups(params[i]!));
    this.#guard(() => {
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
    for (const part of submitsOf(plan, batch.sizes, grids, pacer.budget)) {
      const done = this.#guard(() => {
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
      if (before) await this.#waited(before);
      before = done;
      this.#check();
    }
  }

  /** Ends a step: the gradients are clipped, and AdamW changes the weights. Resolves when that has been handed to the GPU. */
  async update(numbers: Readonly<Record<string, number>>): Promise<void> {
    this.#check();
    const { device, update, merging } = this.#options;
    const done = this.#guard(() => {
      const groups = update.steps.map((step, i) => {
        const params = paramValues(step, numbers);
        this.#updateUniforms.pack(i, step.kernel, params);
        return step.kernel.workgroups(params);
      });
      this.#updateUniforms.write();
      const encoder = device.createCommandEncoder({ label: 'training.update' });
      for (const { name, first, bytes } of update.frozen) encoder.clearBuffer(this.#states.get(name)!, first, bytes);
      this.#encode(
        encoder,
        this.#update.map((step, i) => ({ step, groups: groups[i]! })),
      );
      for (const { weight, buffer, texture } of this.#masters) {
        copyToArrayTexture(encoder, buffer, texture, weightElements(weight));
      }
      merging?.encode(encoder);
      device.queue.submit([encoder.finish()]);
      return device.queue.onSubmittedWorkDone();
    });
    done.catch(() => undefined);
    this.#steps.push(done);
  }

  /** Reads what the steps so far have counted, and begins the sum of their losses anew. */
  async scalars(): Promise<StepScalars> {
    const { device } = this.#options;
    const state = this.#states.get(SCALARS_STATE)!;
    const size = 4 * SCALARS_FLOATS;
    const mapped = this.#guard(() => {
      const encoder = device.createCommandEncoder({ label: 'training.scalars' });
      encoder.copyBufferToBuffer(state, 0, this.#scalarsReadback, 0, size);
      encoder.clearBuffer(state, 4 * SCALARS.sums);
      device.queue.submit([encoder.finish()]);
      return this.#scalarsReadback.mapAsync(MapMode.READ);
    });
    await this.#waited(mapped);
    const numbers = new Float32Array(this.#scalarsReadback.getMappedRange()).slice();
    this.#scalarsReadback.unmap();
    await this.#settled();
    const loss = numbers.subarray(SCALARS.sums).reduce((a, b) => a + b, 0);
    return {
      loss,
      norm: numbers[SCALARS.norm]!,
      consecutiveSkips: numbers[SCALARS.consecutiveSkips]!,
      skips: numbers[SCALARS.skips]!,
    };
  }

  /** The names of the states that a checkpoint keeps, with their bytes. */
  get moments(): UpdatePlan['moments'] {
    return this.#options.update.moments;
  }

  /** The numbers of a state: a gradient, or a running mean. */
  async readState(name: string): Promise<Float32Array<ArrayBuffer>> {
    const { device, update } = this.#options;
    const { bytes } = [...update.gradients, ...update.moments, ...update.others].find(state => state.name === name)!;
    const readback = this.#guard(() => createBuffer(device, 'training.readback', bytes, 'MAP_READ'));
    try {
      const mapped = this.#guard(() => {
        const encoder = device.createCommandEncoder({ label: 'training.read' });
        encoder.copyBufferToBuffer(this.#states.get(name)!, 0, readback, 0, readback.size);
        device.queue.submit([encoder.finish()]);
        return readback.mapAsync(MapMode.READ);
      });
      await this.#waited(mapped);
      await this.#settled();
      return new Float32Array(readback.getMappedRange()).slice();
    } finally {
      readback.destroy();
    }
  }

  /** Sets the numbers of a state. Of a moment whose table has marks, any part may have had a gradient before: all are marked. */
  writeState(name: string, numbers: Float32Array<ArrayBuffer>): void {
    const { device, update } = this.#options;
    const seen = update.marks.get(name);
    this.#guard(() => {
      device.queue.writeBuffer(this.#states.get(name)!, 0, numbers);
      if (seen) device.queue.writeBuffer(this.#states.get(seen.name)!, 0, new Uint32Array(seen.bytes / 4).fill(1));
    });
  }

  /** Waits until the GPU has done all steps. Throws DeviceError where it has refused any of it. */
  async finish(): Promise<void> {
    await this.#waited(this.#options.device.queue.onSubmittedWorkDone());
    await this.#settled();
  }

  /** Gives back everything but the model's weights, `merging` included. Idempotent. */
  destroy(): void {
    if (this.#isDestroyed) return;
    this.#isDestroyed = true;
    inErrorScopes(this.#options.device, ALL_FILTERS, () => {
      this.#resources?.destroy();
      for (const resource of this.#created) resource.destroy();
      this.#uniforms?.destroy();
      this.#updateUniforms?.destroy();
    });
    this.#options.merging?.destroy();
  }

  #keep<T extends GPUBuffer | GPUTexture>(resource: T): T {
    this.#created.push(resource);
    return resource;
  }

  /** The float32 rows of the trained weights that the model keeps in textures; others are the model's own buffers. */
  #makeMasters(): void {
    const { device, plan, update, weights } = this.#options;
    const encoder = device.createCommandEncoder({ label: 'training.masters' });
    for (const weight of update.weights) {
      const name = weightName(weight);
      const stored = plan.weights.find(other => weightName(other) === name)!;
      const resource = weights.resource(stored);
      if ('createView' in resource) {
        const buffer = this.#keep(
          createBuffer(device, `training.weight.${weight.name.slice(0, 60)}`, weightBytes(rowsOf(weight))),
        );
        copyFromArrayTexture(encoder, resource, buffer, weightElements(stored));
        this.#masters.push({ weight: stored, buffer, texture: resource });
        this.#states.set(name, buffer);
      } else {
        this.#states.set(name, resource);
      }
    }
    device.queue.submit([encoder.finish()]);
  }

  /** What a step of the update binds. */
  #lasting(argument: TrainingArgument): GPUBuffer {
    const buffer = argument.kind === 'state' ? this.#states.get(argument.name) : undefined;
    if (!buffer) throw new Error(`training: nothing for ${JSON.stringify(argument)}`);
    return buffer;
  }

  async #resourcesFor(sizes: Sizes): Promise<BatchResources> {
    const needed = { ...sizes, pairs: 0 };
    if (this.#resources?.holds(needed)) return this.#resources;
    await Promise.all(this.#steps.splice(0).map(step => this.#waited(step)));
    // The buffers of the micro-batches before are still read.
    await this.#waited(this.#options.device.queue.onSubmittedWorkDone());
    const capacity = capacityOf(needed, this.#resources?.capacity);
    this.#resources?.destroy();
    this.#resources = undefined;
    const { device, plan, weights } = this.#options;
    checkCapacity(plan, device.limits, capacity);
    this.#resources = this.#guard(
      () =>
        new BatchResources({
          device,
          plan,
          weights,
          capacity,
          kernels: this.#kernels,
          uniforms: this.#uniforms,
          states: this.#states,
        }),
    );
    await this.#settled();
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

  /** Runs GPU calls inside error scopes: `#check` throws when the device has refused any of them. */
  #guard<T>(work: () => T): T {
    const { result, refused } = inErrorScopes(this.#options.device, ALL_FILTERS, work);
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

  async #waited<T>(waiting: Promise<T>): Promise<T> {
    const { device, signal } = this.#options;
    try {
      return await withPolling(device.queue, waiting, signal);
    } catch (error) {
      throw await this.#explain(error);
    } finally {
      this.#check();
    }
  }

  async #settled(): Promise<void> {
    await Promise.all(this.#refusals);
    this.#check();
  }

  #check(): void {
    this.#options.signal.throwIfAborted();
    if (this.#isDestroyed) throw disposedError();
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
    const reason = await explainError(this.#options.device, error, this.#options.signal);
    return reason instanceof WebGPUBertError
      ? reason
      : unexpectedError('the GPU did not run a training step', String(reason), reason);
  }
}

/** The weight as plain float32 rows. */
const rowsOf = (weight: Weight): Weight => ({ ...weight, storage: { format: 'f32', texels: false } });
