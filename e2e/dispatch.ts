import type { Kernel } from '../shaders/kernel.ts';
import { packParams, padded, TEXEL_BYTES, type TexelFormat } from '../shaders/kernel.ts';
import { type Gpu, openGpu } from '../src/gpu/device.ts';
import { PipelineCache } from '../src/gpu/pipelines.ts';
import { copyToTexels, createTexels } from '../src/gpu/texels.ts';

let opened: Promise<{ gpu: Gpu; pipelines: PipelineCache }> | undefined;

/** One device for all kernel tests of a page. */
export function testGpu(): Promise<{ gpu: Gpu; pipelines: PipelineCache }> {
  opened ??= openGpu().then(gpu => ({ gpu, pipelines: new PipelineCache(gpu.device) }));
  return opened;
}

export type Operand =
  | Float32Array<ArrayBuffer>
  | Uint32Array<ArrayBuffer>
  | Uint16Array<ArrayBuffer>
  | { floats: number };

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
  const { pipeline, layout } = await pipelines.get(kernel);
  device.pushErrorScope('validation');
  const make = (size: number, usage: number) =>
    device.createBuffer({ size: Math.max(16, Math.ceil(size / 16) * 16), usage });
  const block = new DataView(new ArrayBuffer(256));
  packParams(kernel, params, block, 0);
  const uniform = make(256, GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST);
  device.queue.writeBuffer(uniform, 0, block.buffer);
  const buffers = kernel.bindings.map(({ name }) => {
    const operand = operands[name];
    if (!operand) throw new Error(`${kernel.name}: no operand for binding ${name}`);
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
    const data = 'floats' in operand ? new Float32Array(operand.floats).fill(fill) : operand;
    const buffer = make(data.byteLength, usage);
    const bytes = new Uint8Array(Math.ceil(data.byteLength / 4) * 4);
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    device.queue.writeBuffer(buffer, 0, bytes);
    return buffer;
  });
  const encoder = device.createCommandEncoder();
  const textures: GPUTexture[] = [];
  const resources: GPUBindingResource[] = kernel.bindings.map(({ name, access, type }, i) => {
    const buffer = buffers[i]!;
    if (access !== 'texel') return { buffer };
    const format = type as TexelFormat;
    const elements = buffer.size / TEXEL_BYTES[format];
    const texture = createTexels(device, name, format, elements);
    copyToTexels(encoder, buffer, texture, elements);
    textures.push(texture);
    return texture.createView();
  });
  const entries = [{ buffer: uniform }, ...resources].map((resource, binding) => ({ binding, resource }));
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, device.createBindGroup({ layout, entries }));
  pass.dispatchWorkgroups(...kernel.workgroups(params));
  pass.end();
  const results: [string, GPUBuffer, number][] = [];
  kernel.bindings.forEach(({ name, access }, i) => {
    const operand = operands[name]!;
    if (access !== 'write') return;
    const size = 'floats' in operand ? operand.floats * 4 : operand.byteLength;
    const result = make(size, GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST);
    encoder.copyBufferToBuffer(buffers[i]!, 0, result, 0, result.size);
    results.push([name, result, size]);
  });
  device.queue.submit([encoder.finish()]);
  const error = await device.popErrorScope();
  if (error) throw new Error(`${kernel.name}: ${error.message}`);
  const out: Record<string, Float32Array<ArrayBuffer>> = {};
  for (const [name, result, size] of results) {
    await result.mapAsync(GPUMapMode.READ);
    out[name] = new Float32Array(result.getMappedRange().slice(0, size));
    result.destroy();
  }
  for (const each of [uniform, ...buffers, ...textures]) each.destroy();
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

/** Numbers that look random and are the same in every run: mulberry32, mapped to a normal-ish distribution. */
export function random(seed: number): (count: number, scale?: number) => Float32Array<ArrayBuffer> {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  return (count, scale = 1) =>
    Float32Array.from({ length: count }, () => (next() + next() + next() + next() - 2) * 1.7 * scale);
}
