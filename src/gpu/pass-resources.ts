import { textureBytes } from '../../shaders/kernel.ts';
import {
  type Argument,
  INPUTS,
  type InputName,
  mostTexels,
  type Plan,
  phaseRows,
  type Sizes,
  slotBytes,
  type TexelOperand,
  texelOperands,
  type Value,
} from '../plan/index.ts';
import { createBuffer } from './buffers.ts';
import { readbackBytes } from './capacity.ts';
import { type BoundKernel, bindKernel, type UniformBlocks } from './dispatch.ts';
import type { CompiledKernel } from './pipelines.ts';
import { createArrayTexture } from './textures.ts';
import type { WeightStore } from './weights.ts';

type Step = Plan['steps'][number];

/** Passes under way at once: the CPU prepares one while the GPU runs the other. */
export const IN_FLIGHT = 2;

/** What all passes of a plan share, whatever their sizes. */
export interface PassContext {
  readonly device: GPUDevice;
  readonly plan: Plan;
  readonly weights: Pick<WeightStore, 'resource'>;
  /** The compiled kernel of every step. */
  readonly kernels: readonly CompiledKernel[];
  readonly uniforms: UniformBlocks;
  /** The block of `uniforms` that every step binds. Steps with equal params share one. */
  readonly blocks: readonly number[];
}

/** A step that can be dispatched. */
export interface BoundStep {
  readonly bound: BoundKernel;
  /** The values that it reads as textures: each is copied from its buffer right before the step. */
  readonly copies: readonly { operand: TexelOperand; from: GPUBuffer; to: GPUTexture }[];
}

/** Everything on the GPU that the passes of a plan use, up to the sizes of `capacity`; the weights and params are not among it. */
export class PassResources {
  readonly capacity: Sizes;
  /** Those that the plan may read. */
  readonly inputs: Readonly<Partial<Record<InputName, GPUBuffer>>>;
  readonly steps: readonly BoundStep[];
  /** One for each pass under way. */
  readonly readbacks: readonly GPUBuffer[];
  readonly #context: PassContext;
  readonly #slots: readonly GPUBuffer[];
  /** By format. All steps that read a value in this format share the texture. */
  readonly #textures = new Map<string, GPUTexture>();
  readonly #created: (GPUBuffer | GPUTexture)[] = [];
  #bytes = 0;

  /** Makes all of it. Where it throws, nothing is left on the device. */
  constructor(context: PassContext, capacity: Sizes) {
    const { device, plan } = context;
    this.#context = context;
    this.capacity = capacity;
    try {
      this.inputs = Object.fromEntries(
        INPUTS.flatMap(name => {
          const rows = this.#inputRows(name);
          return rows === undefined ? [] : [[name, this.#buffer(name, Math.max(1, rows) * 16)]];
        }),
      );
      this.#slots = plan.slots.map((slot, i) => this.#buffer(`slot${i}`, slotBytes(slot, capacity)));
      for (const [format, texels] of mostTexels(plan.steps, capacity)) {
        const texture = createArrayTexture(device, `executable.${format}`, format, texels);
        this.#textures.set(format, this.#keep(texture, textureBytes(format, texels)));
      }
      const readback = readbackBytes(plan, capacity);
      this.readbacks = Array.from({ length: IN_FLIGHT }, (_, i) => this.#buffer(`readback${i}`, readback, 'MAP_READ'));
      this.steps = plan.steps.map((step, i) => this.#bind(step, i));
    } catch (error) {
      this.destroy();
      throw error;
    }
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** The buffer in which a value is. */
  bufferOf({ id }: Value): GPUBuffer {
    return this.#slots[this.#context.plan.slotOf.get(id)!]!;
  }

  destroy(): void {
    for (const resource of this.#created) resource.destroy();
  }

  /** The vec4u of an input; undefined where the plan has no such input. */
  #inputRows(name: InputName): number | undefined {
    if (name !== 'phases') return this.capacity[name];
    const { stretched } = this.#context.plan;
    return stretched && phaseRows(this.capacity.tokens, stretched);
  }

  #keep<T extends GPUBuffer | GPUTexture>(resource: T, bytes: number): T {
    this.#created.push(resource);
    this.#bytes += bytes;
    return resource;
  }

  #buffer(label: string, bytes: number, use?: 'MAP_READ'): GPUBuffer {
    return this.#keep(createBuffer(this.#context.device, `executable.${label}`, bytes, use), bytes);
  }

  #bind(step: Step, index: number): BoundStep {
    const { device, kernels, uniforms, blocks } = this.#context;
    const { kernel, label } = step;
    const resources = Object.fromEntries(
      kernel.bindings.map(({ name, access, type }) => {
        const argument = step.args[name]!;
        const isCopied = access === 'texel' && argument.kind !== 'weight';
        return [name, isCopied ? this.#textures.get(type)! : this.#resource(argument)];
      }),
    );
    const params = uniforms.binding(blocks[index]!);
    return {
      bound: bindKernel(device, { kernel, compiled: kernels[index]!, params, resources, label }),
      copies: texelOperands(step).map(operand => ({
        operand,
        from: this.bufferOf(operand.value),
        to: this.#textures.get(operand.format)!,
      })),
    };
  }

  #resource(argument: Argument): GPUBuffer | GPUTexture {
    switch (argument.kind) {
      case 'value':
        return this.bufferOf(argument.value);
      case 'weight':
        return this.#context.weights.resource(argument.weight);
      case 'input':
        return this.inputs[argument.input]!;
      case 'constant': {
        const buffer = this.#buffer('constant', argument.constant.byteLength);
        this.#context.device.queue.writeBuffer(buffer, 0, argument.constant);
        return buffer;
      }
      default:
        return argument satisfies never;
    }
  }
}
