import type { Kernel } from '../shaders/kernel.ts';
import { padded, TEXEL_BYTES, type TexelFormat } from '../shaders/kernel.ts';
import { createBuffer } from '../src/gpu/buffers.ts';
import { type Gpu, openGpu } from '../src/gpu/device.ts';
import { bindKernel, encodeDispatch, UniformBlocks } from '../src/gpu/dispatch.ts';
import { PipelineCache } from '../src/gpu/pipelines.ts';
import { withPolling } from '../src/gpu/poll.ts';
import { copyToArrayTexture, createArrayTexture } from '../src/gpu/textures.ts';
import { random as uniform } from '../tests/checkpoint-bytes.ts';
import { refusalsOf, SMALL } from './device-limits.ts';

let opened: Promise<{ gpu: Gpu; pipelines: PipelineCache }> | undefined;

/** One device for all kernel tests of a page. */
export function testGpu(): Promise<{ gpu: Gpu; pipelines: PipelineCache }> {
  opened ??= openGpu().then(gpu => ({ gpu, pipelines: new PipelineCache(gpu.device) }));
  return opened;
}

/** What a buffer holds. */
export type Numbers = Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer> | Uint16Array<ArrayBuffer>;

export type Operand = Numbers | { floats: number };

/** What a binding holds before the dispatch, padded to multiples of 16 bytes: zeros where it ends. */
function bytesOf(operand: Operand, fill: number): Uint8Array<ArrayBuffer> {
  const { buffer, byteOffset, byteLength } =
    'floats' in operand ? new Float32Array(operand.floats).fill(fill) : operand;
  const bytes = new Uint8Array(Math.max(16, Math.ceil(byteLength / 16) * 16));
  bytes.set(new Uint8Array(buffer, byteOffset, byteLength));
  return bytes;
}

/**
 * Linears are shaped by what a device allows, so they are tried on small devices, too (LINEAR_TIERS). Any other kernel is the same text
 * there and not run again, so it has to do with what a small device allows wherever it runs.
 */
function expectSmall({ name, code }: Kernel): void {
  const beyond = name.startsWith('linear') ? [] : refusalsOf.shader({ code })(SMALL);
  if (beyond.length > 0) throw new Error(`${name} is nothing for a small device: ${beyond.join(', ')}`);
}

/**
 * Runs one dispatch of a kernel on the operands of its bindings, by name: an array is what the buffer holds, {floats} a buffer
 * that starts with a value no kernel gives, so that whatever is not written shows. Gives back the writable ones.
 */
export async function dispatch(
  kernel: Kernel,
  operands: Readonly<Record<string, Operand>>,
  params: Readonly<Record<string, number>>,
  { fill = Number.NaN } = {},
): Promise<Record<string, Float32Array<ArrayBuffer>>> {
  const { gpu, pipelines } = await testGpu();
  const { device } = gpu;
  expectSmall(kernel);
  const compiled = await pipelines.get(kernel);
  device.pushErrorScope('validation');
  const uniforms = new UniformBlocks(device, kernel.name, 1);
  uniforms.pack(0, kernel, params);
  uniforms.write();
  const encoder = device.createCommandEncoder();
  const buffers: Record<string, GPUBuffer> = {};
  const textures: Record<string, GPUTexture> = {};
  const accessOf = new Map(kernel.bindings.map(binding => [binding.name, binding]));
  for (const [name, operand] of Object.entries(operands)) {
    const bytes = bytesOf(operand, fill);
    const buffer = createBuffer(device, name, bytes.length);
    buffers[name] = buffer;
    device.queue.writeBuffer(buffer, 0, bytes);
    const { access, type } = accessOf.get(name) ?? {};
    if (access !== 'texel') continue;
    const format = type as TexelFormat;
    const elements = bytes.length / TEXEL_BYTES[format];
    textures[name] = createArrayTexture(device, name, format, elements);
    copyToArrayTexture(encoder, buffer, textures[name], elements);
  }
  const resources = { ...buffers, ...textures };
  const bound = bindKernel(device, { kernel, compiled, params: uniforms.binding(0), resources });
  const pass = encoder.beginComputePass();
  encodeDispatch(pass, bound, kernel.workgroups(params));
  pass.end();
  const results = kernel.bindings.flatMap(({ name, access }) => {
    if (access !== 'write') return [];
    const operand = operands[name]!;
    const size = 'floats' in operand ? operand.floats * 4 : operand.byteLength;
    const readback = createBuffer(device, `${name}.readback`, buffers[name]!.size, 'MAP_READ');
    encoder.copyBufferToBuffer(buffers[name]!, 0, readback, 0, readback.size);
    return [{ name, readback, size }];
  });
  device.queue.submit([encoder.finish()]);
  const error = await device.popErrorScope();
  if (error) throw new Error(`${kernel.name}: ${error.message}`);
  const out: Record<string, Float32Array<ArrayBuffer>> = {};
  for (const { name, readback, size } of results) {
    await withPolling(device.queue, readback.mapAsync(GPUMapMode.READ));
    out[name] = new Float32Array(readback.getMappedRange().slice(0, size));
    readback.destroy();
  }
  for (const resource of [uniforms, ...Object.values(buffers), ...Object.values(textures)]) resource.destroy();
  return out;
}

/** Rows padded with zeros to a multiple of four floats, as kernels read them. */
export function padRows(from: ArrayLike<number>, columns: number): Float32Array<ArrayBuffer> {
  const rows = from.length / columns;
  const stride = padded(columns);
  const to = new Float32Array(rows * stride);
  for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) to[r * stride + c] = from[r * columns + c]!;
  return to;
}

/** The rows without their padding, which must be zero. */
export function unpadRows(from: Float32Array, columns: number): Float32Array {
  const stride = padded(columns);
  const rows = from.length / stride;
  const to = new Float32Array(rows * columns);
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < stride; c++) {
      const value = from[r * stride + c]!;
      if (c < columns) to[r * columns + c] = value;
      else if (value !== 0) throw new Error(`the padding of row ${r} is ${value}, not 0`);
    }
  }
  return to;
}

/** Numbers that look random and are the same in every run, of about a normal distribution. */
export function random(seed: number): (count: number, scale?: number) => Float32Array<ArrayBuffer> {
  const next = uniform(seed);
  return (count, scale = 1) => {
    const numbers = new Float32Array(count);
    for (let i = 0; i < count; i++) numbers[i] = (next() + next() + next() + next() - 2) * 1.7 * scale;
    return numbers;
  };
}
