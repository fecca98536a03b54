import { type Kernel, packParams } from '../../shaders/kernel.ts';
import { createBuffer } from './buffers.ts';
import { MapMode } from './flags.ts';
import type { CompiledKernel } from './pipelines.ts';

/** Where the params of a dispatch may begin: minUniformBufferOffsetAlignment of every device. */
const BLOCK = 256;
/** Of one submit. */
const MOST_DISPATCHES = 3;

/** A kernel of the load, and what it is run on. */
export interface Dispatch {
  readonly kernel: Kernel;
  readonly compiled: CompiledKernel;
  readonly values: Readonly<Record<string, number>>;
  readonly operands: readonly GPUBuffer[];
}

/** The buffers that a load needs beside the weights, and the running of its kernels. */
export interface Passing {
  /** What the kernels have noted: see shaders/inspect.ts. Zeros at first. */
  readonly found: GPUBuffer;
  /** Puts bytes where a kernel can read them, until the next ones are put there. */
  stage(bytes: Uint8Array<ArrayBuffer>): GPUBuffer;
  /** A buffer of this many bytes, or more, the same for all. */
  packed(bytes: number): GPUBuffer;
  /** Runs kernels, three at most, one after the other, and then copies. */
  submit(dispatches: readonly Dispatch[], copy?: (encoder: GPUCommandEncoder) => void): void;
  /** Begins to read `found`, once. */
  readFound(): { readback: GPUBuffer; mapped: Promise<void> };
  destroy(): void;
}

/** `words`: those of `found`. */
export function createPassing(device: GPUDevice, words: number): Passing {
  const { queue } = device;
  const found = createBuffer(device, 'found', 4 * words);
  const params = createBuffer(device, 'params', MOST_DISPATCHES * BLOCK, 'UNIFORM');
  let staged: GPUBuffer | undefined;
  let packed: GPUBuffer | undefined;
  let readback: GPUBuffer | undefined;

  /** The same buffer, or a larger one in its place. */
  function enough(buffer: GPUBuffer | undefined, label: string, bytes: number): GPUBuffer {
    if (buffer && buffer.size >= bytes) return buffer;
    buffer?.destroy();
    return createBuffer(device, label, bytes);
  }

  function submit(dispatches: readonly Dispatch[], copy?: (encoder: GPUCommandEncoder) => void): void {
    const blocks = new DataView(new ArrayBuffer(MOST_DISPATCHES * BLOCK));
    dispatches.forEach(({ kernel, values }, i) => {
      packParams(kernel, values, blocks, i * BLOCK);
    });
    queue.writeBuffer(params, 0, blocks.buffer);
    const encoder = device.createCommandEncoder({ label: 'weights' });
    const pass = encoder.beginComputePass({ label: 'weights' });
    dispatches.forEach(({ kernel, compiled, values, operands }, i) => {
      const resources = [{ buffer: params, offset: i * BLOCK, size: BLOCK }, ...operands.map(buffer => ({ buffer }))];
      const entries = resources.map((resource, binding) => ({ binding, resource }));
      pass.setPipeline(compiled.pipeline);
      pass.setBindGroup(0, device.createBindGroup({ label: kernel.name, layout: compiled.layout, entries }));
      pass.dispatchWorkgroups(...kernel.workgroups(values));
    });
    pass.end();
    copy?.(encoder);
    queue.submit([encoder.finish()]);
  }

  return {
    found,
    submit,

    stage(bytes) {
      staged = enough(staged, 'piece', bytes.length);
      // writeBuffer takes multiples of four; a tensor of two-byte elements may end on an odd one.
      const even = bytes.length & ~3;
      queue.writeBuffer(staged, 0, bytes, 0, even);
      if (even < bytes.length) {
        const rest = new Uint8Array(4);
        rest.set(bytes.subarray(even));
        queue.writeBuffer(staged, even, rest);
      }
      return staged;
    },

    packed(bytes) {
      packed = enough(packed, 'packed', bytes);
      return packed;
    },

    readFound() {
      const { size } = found;
      const buffer = createBuffer(device, 'found.readback', size, 'MAP_READ');
      readback = buffer;
      submit([], encoder => encoder.copyBufferToBuffer(found, 0, buffer, 0, size));
      return { readback: buffer, mapped: buffer.mapAsync(MapMode.READ, 0, size) };
    },

    destroy() {
      for (const buffer of [found, params, staged, packed, readback]) buffer?.destroy();
    },
  };
}
