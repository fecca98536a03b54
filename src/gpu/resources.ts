import { MOST_TEXELS, textureBytes } from '../../shaders/kernel.ts';
import {
  type Argument,
  INPUTS,
  type InputName,
  mostTexels,
  type Plan,
  type Sizes,
  slotBytes,
  type TexelOperand,
  texelOperands,
  type Value,
} from '../plan/index.ts';
import { createBuffer } from './buffers.ts';
import type { CompiledKernel } from './pipelines.ts';
import { createTexels } from './texels.ts';
import type { WeightStore } from './weights.ts';

/** Passes under way at once: the CPU prepares one while the GPU runs the other. */
export const IN_FLIGHT = 2;
/** minUniformBufferOffsetAlignment of every adapter. */
export const BLOCK = 256;

export const rowBytes = ({ stride }: Value): number => stride * 4;
export const aligned = (bytes: number): number => Math.ceil(bytes / BLOCK) * BLOCK;

/** What all passes of a plan share, however large they are. */
export interface Tenant {
  readonly device: GPUDevice;
  readonly plan: Plan;
  readonly weights: WeightStore;
  /** Of every step: its kernel, and where its params stand in `uniforms`. */
  readonly kernels: readonly CompiledKernel[];
  readonly offsets: readonly number[];
  readonly uniforms: GPUBuffer;
}

/** Everything on the GPU that belongs to passes of at most `capacity`. */
export interface Room {
  readonly capacity: Sizes;
  readonly bytes: number;
  readonly inputs: Readonly<Record<InputName, GPUBuffer>>;
  readonly slotOf: (value: Value) => GPUBuffer;
  /** Of every step: what it binds, and the values that it reads as textures, which are copied there right before it. */
  readonly steps: readonly {
    readonly bindGroup: GPUBindGroup;
    readonly copies: readonly { operand: TexelOperand; from: GPUBuffer; to: GPUTexture }[];
  }[];
  readonly readbacks: readonly GPUBuffer[];
  readonly destroy: () => void;
}

/** Sizes grow by doubling, so that a longer pass now and then makes few new rooms. */
function grown(sizes: Sizes, previous: Sizes | undefined): Sizes {
  const grow = ([key, size]: [string, number]) => [
    key,
    Math.max(previous?.[key as keyof Sizes] ?? 0, 2 ** Math.ceil(Math.log2(Math.max(size, 16)))),
  ];
  return Object.fromEntries(Object.entries(sizes).map(grow));
}

export const fits = (sizes: Sizes, capacity: Sizes): boolean =>
  (Object.keys(sizes) as (keyof Sizes)[]).every(key => sizes[key] <= capacity[key]);

function readbackBytes({ outputs }: Plan, capacity: Sizes): number {
  let bytes = 0;
  for (const { value } of outputs) bytes += aligned(capacity[value.rows] * rowBytes(value));
  return Math.max(bytes, BLOCK);
}

/** The first buffer of a room of this capacity that the device could not have. */
export function excess({ plan, device: { limits } }: Tenant, capacity: Sizes) {
  return [
    ...plan.slots.map(slot => ({
      bytes: slotBytes(slot, capacity),
      most: Math.min(limits.maxStorageBufferBindingSize, limits.maxBufferSize),
    })),
    ...[...mostTexels(plan.steps, capacity)].map(([format, texels]) => ({
      bytes: textureBytes(format, texels),
      most: textureBytes(format, MOST_TEXELS),
    })),
    { bytes: readbackBytes(plan, capacity), most: limits.maxBufferSize },
  ].find(({ bytes, most }) => bytes > most);
}

/**
 * The capacity of the next room: never less than that of the one before in any size. Doubled where the device binds that; else as
 * much as the pass needs. Only where both together are more than the device binds, as a readback may be that holds several
 * outputs, it is what the pass needs alone.
 */
export function capacityFor(tenant: Tenant, sizes: Sizes, previous: Sizes | undefined): Sizes {
  const larger = ([key, size]: [string, number]) => [key, Math.max(size, previous?.[key as keyof Sizes] ?? 0)];
  const both: Sizes = Object.fromEntries(Object.entries(sizes).map(larger));
  return [grown(sizes, previous), both].find(capacity => !excess(tenant, capacity)) ?? sizes;
}

/** Makes a room, whole: where it throws, nothing of it is left. */
export function makeRoom(tenant: Tenant, capacity: Sizes): Room {
  const made: (GPUBuffer | GPUTexture)[] = [];
  const destroy = () => {
    for (const each of made) each.destroy();
  };
  try {
    return { ...furnish(tenant, capacity, made), destroy };
  } catch (error) {
    destroy();
    throw error;
  }
}

/** What it makes it puts into `made` at once. */
function furnish(
  { device, plan, weights, kernels, offsets, uniforms }: Tenant,
  capacity: Sizes,
  made: (GPUBuffer | GPUTexture)[],
): Omit<Room, 'destroy'> {
  let bytes = 0;
  const keep = <T extends GPUBuffer | GPUTexture>(each: T, size: number): T => {
    made.push(each);
    bytes += size;
    return each;
  };
  const make = (label: string, size: number, use?: 'MAP_READ') =>
    keep(createBuffer(device, `executable.${label}`, size, use), size);

  const inputs = Object.fromEntries(
    INPUTS.map(name => [name, make(name, Math.max(1, capacity[name]) * 16)]),
  ) as Room['inputs'];
  const slots = plan.slots.map((slot, i) => make(`slot${i}`, slotBytes(slot, capacity)));
  const slotOf = ({ id }: Value) => slots[plan.slotOf.get(id)!]!;
  const textures = new Map<string, GPUTexture>();
  for (const [format, texels] of mostTexels(plan.steps, capacity)) {
    const texture = createTexels(device, `executable.${format}`, format, texels);
    textures.set(format, keep(texture, textureBytes(format, texels)));
  }
  const readback = readbackBytes(plan, capacity);
  const readbacks = Array.from({ length: IN_FLIGHT }, (_, i) => make(`readback${i}`, readback, 'MAP_READ'));

  const buffer = (arg: Exclude<Argument, { kind: 'weight' }>): GPUBuffer => {
    if (arg.kind === 'value') return slotOf(arg.value);
    if (arg.kind === 'input') return inputs[arg.input];
    const constant = make('constant', arg.constant.byteLength);
    device.queue.writeBuffer(constant, 0, arg.constant);
    return constant;
  };
  const steps = plan.steps.map((step, i) => {
    const resources = step.kernel.bindings.map(({ name, access, type }): GPUBindingResource => {
      const arg = step.args[name]!;
      if (arg.kind === 'weight') return weights.resource(arg.weight);
      return access === 'texel' ? textures.get(type)!.createView() : { buffer: buffer(arg) };
    });
    return {
      bindGroup: device.createBindGroup({
        label: step.label,
        layout: kernels[i]!.layout,
        entries: [{ buffer: uniforms, offset: offsets[i]!, size: BLOCK }, ...resources].map((resource, binding) => ({
          binding,
          resource,
        })),
      }),
      copies: texelOperands(step).map(operand => ({
        operand,
        from: slotOf(operand.value),
        to: textures.get(operand.format)!,
      })),
    };
  });
  return { capacity, bytes, inputs, slotOf, steps, readbacks };
}
