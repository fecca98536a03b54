import { type Kernel, packParams, type Workgroups } from '../../shaders/kernel.ts';
import { createBuffer } from './buffers.ts';
import type { CompiledKernel } from './pipelines.ts';

/**
 * Every dispatch of the library, of its tests and of its benchmark goes through this file. Params are packed and resources are bound by
 * the names that the kernel declares. A missing or surplus name throws with the name of the kernel: it is a mistake of the caller.
 */

/** Bytes of one uniform block: no device has a minUniformBufferOffsetAlignment above 256. */
export const UNIFORM_BLOCK_BYTES = 256;

/** The params of a kernel by name. */
export type ParamValues = Readonly<Record<string, number>>;

/** What the bindings of a kernel are bound to, by name: a texture where the access is 'texel', else a buffer. */
export type Resources = Readonly<Record<string, GPUBuffer | GPUTexture>>;

/** The params of several dispatches: one buffer with a block for each, and a copy of it on the host. */
export class UniformBlocks {
  readonly #device: GPUDevice;
  readonly #buffer: GPUBuffer;
  readonly #host: DataView<ArrayBuffer>;

  constructor(device: GPUDevice, label: string, count: number) {
    this.#device = device;
    this.#host = new DataView(new ArrayBuffer(count * UNIFORM_BLOCK_BYTES));
    this.#buffer = createBuffer(device, label, this.#host.byteLength, 'UNIFORM');
  }

  get byteLength(): number {
    return this.#host.byteLength;
  }

  /** Packs the params of a kernel into a block of the host's copy. Throws where a param is missing or surplus. */
  pack(block: number, kernel: Kernel, values: ParamValues): void {
    checkNames(kernel, 'param', kernel.params, values);
    packParams(kernel, values, this.#host, block * UNIFORM_BLOCK_BYTES);
  }

  /** Writes all blocks to the GPU, for the submits from now on. */
  write(): void {
    this.#device.queue.writeBuffer(this.#buffer, 0, this.#host.buffer);
  }

  /** Writes one block to the GPU, for the submits from now on. Those before have read theirs. */
  writeBlock(block: number): void {
    const offset = block * UNIFORM_BLOCK_BYTES;
    this.#device.queue.writeBuffer(this.#buffer, offset, this.#host.buffer, offset, UNIFORM_BLOCK_BYTES);
  }

  /** What a kernel binds of one block. */
  binding(block: number): GPUBufferBinding {
    return { buffer: this.#buffer, offset: block * UNIFORM_BLOCK_BYTES, size: UNIFORM_BLOCK_BYTES };
  }

  destroy(): void {
    this.#buffer.destroy();
  }
}

/** A kernel and all that it is bound to. */
export interface KernelBindings {
  readonly kernel: Kernel;
  readonly compiled: CompiledKernel;
  readonly params: GPUBufferBinding;
  readonly resources: Resources;
  /** Labels the bind group, so that errors of the browser show it. Default: the name of the kernel. */
  readonly label?: string;
}

/** A kernel whose bind group is made: it can be dispatched any number of times. */
export interface BoundKernel {
  readonly pipeline: GPUComputePipeline;
  readonly bindGroup: GPUBindGroup;
}

/** Makes the bind group of a kernel. Throws where a resource is missing or surplus. */
export function bindKernel(
  device: GPUDevice,
  { kernel, compiled, params, resources, label }: KernelBindings,
): BoundKernel {
  checkNames(kernel, 'resource', kernel.bindings, resources);
  const operands = kernel.bindings.map(({ name }): GPUBindingResource => {
    const resource = resources[name]!;
    return 'createView' in resource ? resource.createView() : { buffer: resource };
  });
  const bindGroup = device.createBindGroup({
    label: label ?? kernel.name,
    layout: compiled.layout,
    entries: [params, ...operands].map((resource, binding) => ({ binding, resource })),
  });
  return { pipeline: compiled.pipeline, bindGroup };
}

/** Records `times` equal dispatches of a kernel. */
export function encodeDispatch(
  pass: GPUComputePassEncoder,
  { pipeline, bindGroup }: BoundKernel,
  workgroups: Workgroups,
  times = 1,
): void {
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, bindGroup);
  for (let i = 0; i < times; i++) pass.dispatchWorkgroups(...workgroups);
}

/** Throws unless `values` has a value for every declared name, and no other name. */
function checkNames(
  kernel: Kernel,
  kind: 'param' | 'resource',
  declared: readonly { readonly name: string }[],
  values: Readonly<Record<string, unknown>>,
): void {
  for (const { name } of declared) {
    if (values[name] === undefined) throw new Error(`the kernel "${kernel.name}" got no ${kind} "${name}"`);
  }
  const names = Object.keys(values);
  if (names.length === declared.length) return;
  const surplus = names.find(name => !declared.some(declaration => declaration.name === name));
  throw new Error(`the kernel "${kernel.name}" has no ${kind} "${surplus}", but got one`);
}
