import { textureBytes } from '../../shaders/kernel.ts';
import { DeviceError } from '../errors.ts';
import {
  batchStateBytes,
  type DataName,
  dataBytes,
  inputBytes,
  operandTextures,
  type TrainingArgument,
  type TrainingPlan,
  type TrainingStep,
  texturesOf,
} from '../gradients/index.ts';
import { type InputName, type Sizes, slotBytes, type TexelOperand } from '../plan/index.ts';
import { createBuffer } from './buffers.ts';
import { type BoundKernel, bindKernel, type UniformBlocks } from './dispatch.ts';
import type { CompiledKernel } from './pipelines.ts';
import { createArrayTexture } from './textures.ts';
import type { WeightStore } from './weights.ts';

/** A step of a training with all that it binds. */
export interface BoundTrainingStep {
  readonly bound: BoundKernel;
  readonly copies: readonly { operand: TexelOperand; from: GPUBuffer; to: GPUTexture }[];
}

interface BatchOptions {
  readonly device: GPUDevice;
  readonly plan: TrainingPlan;
  readonly weights: Pick<WeightStore, 'resource'>;
  readonly capacity: Sizes;
  readonly kernels: readonly CompiledKernel[];
  readonly uniforms: UniformBlocks;
  readonly states: ReadonlyMap<string, GPUBuffer>;
}

/** The buffers of micro-batches up to a capacity, and the steps bound to them. */
export class BatchResources {
  readonly capacity: Sizes;
  readonly inputs: ReadonlyMap<InputName, GPUBuffer>;
  readonly data: ReadonlyMap<DataName, GPUBuffer>;
  /** The states that are as large as a micro-batch needs. */
  readonly #states: ReadonlyMap<string, GPUBuffer>;
  readonly steps: readonly BoundTrainingStep[];
  bytes = 0;
  readonly #options: BatchOptions;
  readonly #slots: readonly GPUBuffer[];
  readonly #textures = new Map<string, GPUTexture>();
  readonly #created: (GPUBuffer | GPUTexture)[] = [];

  constructor(options: BatchOptions) {
    const { device, plan, capacity } = options;
    this.#options = options;
    this.capacity = capacity;
    this.inputs = new Map(inputBytes(plan, capacity).map(({ name, bytes }) => [name, this.#buffer(name, bytes)]));
    this.data = new Map([...dataBytes(plan, capacity)].map(([name, bytes]) => [name, this.#buffer(name, bytes)]));
    this.#states = new Map(
      [...batchStateBytes(plan, capacity)].map(([name, bytes]) => [name, this.#buffer(name, bytes)]),
    );
    this.#slots = plan.slots.map((slot, i) => this.#buffer(`slot${i}`, slotBytes(slot, capacity)));
    for (const [name, { format, texels }] of texturesOf(plan.steps, capacity)) {
      const texture = createArrayTexture(device, `training.${name}`, format, texels);
      this.#created.push(texture);
      this.bytes += textureBytes(format, texels);
      this.#textures.set(name, texture);
    }
    this.steps = plan.steps.map((step, i) => this.#bind(step, i));
  }

  holds(sizes: Sizes): boolean {
    return (Object.keys(sizes) as (keyof Sizes)[]).every(key => sizes[key] <= this.capacity[key]);
  }

  destroy(): void {
    for (const resource of this.#created) resource.destroy();
  }

  #buffer(label: string, bytes: number): GPUBuffer {
    const buffer = createBuffer(this.#options.device, `training.${label}`, bytes);
    this.#created.push(buffer);
    this.bytes += buffer.size;
    return buffer;
  }

  #bind(step: TrainingStep, index: number): BoundTrainingStep {
    const { device, kernels, uniforms, plan } = this.#options;
    const { kernel, label } = step;
    const slotOf = (id: number) => this.#slots[plan.slotOf.get(id)!]!;
    const copied = operandTextures(step);
    const resources = Object.fromEntries(
      kernel.bindings.map(({ name, access }) => {
        const argument = step.args[name]!;
        const value = access === 'texel' && argument.kind === 'value' ? argument.value : undefined;
        const copy = value && copied.find(({ operand }) => operand.value === value);
        return [name, copy ? this.#textures.get(copy.texture)! : this.#resource(argument, slotOf)];
      }),
    );
    return {
      bound: bindKernel(device, {
        kernel,
        compiled: kernels[index]!,
        params: uniforms.binding(index),
        resources,
        label: label.slice(0, 80),
      }),
      copies: copied.map(({ operand, texture }) => ({
        operand,
        from: slotOf(operand.value.id),
        to: this.#textures.get(texture)!,
      })),
    };
  }

  #resource(argument: TrainingArgument, slotOf: (id: number) => GPUBuffer): GPUBuffer | GPUTexture {
    const { weights, states, device } = this.#options;
    switch (argument.kind) {
      case 'value':
        return slotOf(argument.value.id);
      case 'weight':
        return weights.resource(argument.weight);
      case 'input':
        return this.inputs.get(argument.input)!;
      case 'data':
        return this.data.get(argument.name)!;
      case 'state':
        return (this.#states.get(argument.name) ?? states.get(argument.name))!;
      case 'constant': {
        const buffer = this.#buffer('constant', argument.constant.byteLength);
        device.queue.writeBuffer(buffer, 0, argument.constant);
        return buffer;
      }
      default:
        return argument satisfies never;
    }
  }
}

/** Throws DeviceError where a buffer of this capacity is larger than a binding. */
export function checkCapacity(
  plan: TrainingPlan,
  {
    maxStorageBufferBindingSize,
    maxBufferSize,
  }: Pick<GPUSupportedLimits, 'maxStorageBufferBindingSize' | 'maxBufferSize'>,
  capacity: Sizes,
): void {
  const limit = Math.min(maxStorageBufferBindingSize, maxBufferSize);
  const slots = plan.slots.map(slot => slotBytes(slot, capacity));
  const bytes = Math.max(0, ...slots, ...batchStateBytes(plan, capacity).values());
  if (bytes <= limit) return;
  throw new DeviceError({
    what: 'a micro-batch needs a buffer larger than this device allows',
    actual: `${bytes} bytes`,
    expected: `at most ${limit}`,
    next: 'Use a smaller per_device_train_batch_size with more gradient_accumulation_steps, or shorter texts.',
  });
}
