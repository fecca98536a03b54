import type { Kernel } from '../../shaders/kernel.ts';
import { createBuffer } from './buffers.ts';
import { bindKernel, encodeDispatch, type ParamValues, type Resources, UniformBlocks } from './dispatch.ts';
import { MapMode } from './flags.ts';
import type { CompiledKernel } from './pipelines.ts';

/** Dispatches of one submit: a piece is placed, and the rows that it completes are inspected and packed. */
const MAX_DISPATCHES = 3;

/** A kernel of the load and what it runs on. */
export interface LoadDispatch {
  readonly kernel: Kernel;
  readonly compiled: CompiledKernel;
  readonly params: ParamValues;
  readonly resources: Resources;
}

/** The buffers that a load needs beside the weights, and the submits that use them. They are given back when the load ends. */
export class Staging {
  /** What the kernel `inspect` finds: see shaders/inspect.ts. Zeros at first. */
  readonly flaws: GPUBuffer;
  readonly #device: GPUDevice;
  readonly #uniforms: UniformBlocks;
  #piece: GPUBuffer | undefined;
  #packed: GPUBuffer | undefined;
  #readback: GPUBuffer | undefined;

  constructor(device: GPUDevice, flawWords: number) {
    this.#device = device;
    this.flaws = createBuffer(device, 'load.flaws', 4 * flawWords);
    this.#uniforms = new UniformBlocks(device, 'load.params', MAX_DISPATCHES);
  }

  /** Writes bytes to a buffer that a kernel can read. The next call overwrites it. */
  write(bytes: Uint8Array<ArrayBuffer>): GPUBuffer {
    const buffer = this.#grown(this.#piece, 'load.piece', bytes.length);
    this.#piece = buffer;
    const { queue } = this.#device;
    // writeBuffer takes multiples of four bytes, and an odd number of two-byte elements is none.
    const wholeWords = bytes.length & ~3;
    queue.writeBuffer(buffer, 0, bytes, 0, wholeWords);
    if (wholeWords < bytes.length) {
      const lastWord = new Uint8Array(4);
      lastWord.set(bytes.subarray(wholeWords));
      queue.writeBuffer(buffer, wholeWords, lastWord);
    }
    return buffer;
  }

  /** The buffer that packed rows are written to, of at least so many bytes. The next submit may overwrite it. */
  packed(bytes: number): GPUBuffer {
    this.#packed = this.#grown(this.#packed, 'load.packed', bytes);
    return this.#packed;
  }

  /** Submits dispatches, at most MAX_DISPATCHES, one after the other, and then what `copy` records. */
  submit(dispatches: readonly LoadDispatch[], copy?: (encoder: GPUCommandEncoder) => void): void {
    for (const [i, { kernel, params }] of dispatches.entries()) this.#uniforms.pack(i, kernel, params);
    this.#uniforms.write();
    const encoder = this.#device.createCommandEncoder({ label: 'load' });
    const pass = encoder.beginComputePass({ label: 'load' });
    for (const [i, { kernel, compiled, params, resources }] of dispatches.entries()) {
      const uniforms = this.#uniforms.binding(i);
      const bound = bindKernel(this.#device, { kernel, compiled, params: uniforms, resources });
      encodeDispatch(pass, bound, kernel.workgroups(params));
    }
    pass.end();
    copy?.(encoder);
    this.#device.queue.submit([encoder.finish()]);
  }

  /** Begins to read `flaws`. To be called once. `readback` can be read when `mapped` resolves. */
  readFlaws(): { readback: GPUBuffer; mapped: Promise<void> } {
    const { size } = this.flaws;
    const readback = createBuffer(this.#device, 'load.readback', size, 'MAP_READ');
    this.#readback = readback;
    this.submit([], encoder => encoder.copyBufferToBuffer(this.flaws, 0, readback, 0, size));
    return { readback, mapped: readback.mapAsync(MapMode.READ, 0, size) };
  }

  destroy(): void {
    for (const buffer of [this.flaws, this.#uniforms, this.#piece, this.#packed, this.#readback]) buffer?.destroy();
  }

  /** The buffer itself where it is large enough, else a larger one in its place. */
  #grown(buffer: GPUBuffer | undefined, label: string, bytes: number): GPUBuffer {
    if (buffer && buffer.size >= bytes) return buffer;
    buffer?.destroy();
    return createBuffer(this.#device, label, bytes);
  }
}
