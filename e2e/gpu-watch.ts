import { TEXEL_BYTES, type TexelFormat } from '../shaders/kernel.ts';

/** Counts of the calls that cost something, since the last `take`. */
export interface GpuCounts {
  createBuffer: number;
  createTexture: number;
  createBindGroup: number;
  createComputePipelineAsync: number;
  createShaderModule: number;
  submit: number;
  mapAsync: number;
}

const zero = (): GpuCounts => ({
  createBuffer: 0,
  createTexture: 0,
  createBindGroup: 0,
  createComputePipelineAsync: 0,
  createShaderModule: 0,
  submit: 0,
  mapAsync: 0,
});

let counts = zero();
/** The buffers and textures that hold memory now, with the device of each. */
const live = new Map<GPUBuffer | GPUTexture, GPUDevice>();

/** Puts `note` before a method of every object of a class. */
function before<T extends object, K extends keyof T>(
  prototype: T,
  name: K,
  note: (self: T, first: unknown) => void,
): void {
  const original = prototype[name] as (...values: unknown[]) => unknown;
  prototype[name] = function (this: T, ...values: unknown[]) {
    note(this, values[0]);
    return original.apply(this, values);
  } as T[K];
}

const counted = (name: keyof GpuCounts) => () => {
  counts[name]++;
};
before(GPUDevice.prototype, 'createBindGroup', counted('createBindGroup'));
before(GPUDevice.prototype, 'createComputePipelineAsync', counted('createComputePipelineAsync'));
before(GPUDevice.prototype, 'createShaderModule', counted('createShaderModule'));
// A submit of nothing is how Firefox is asked to look for finished work: see src/gpu/promptly.ts.
before(GPUQueue.prototype, 'submit', (_, commands) => {
  if ((commands as unknown[]).length) counts.submit++;
});
before(GPUBuffer.prototype, 'mapAsync', counted('mapAsync'));
before(GPUBuffer.prototype, 'destroy', buffer => live.delete(buffer));
before(GPUTexture.prototype, 'destroy', texture => live.delete(texture));
before(GPUDevice.prototype, 'destroy', device => {
  for (const [each, owner] of live) if (owner === device) live.delete(each);
});
const { createBuffer } = GPUDevice.prototype;
GPUDevice.prototype.createBuffer = function (this: GPUDevice, descriptor) {
  counts.createBuffer++;
  const buffer = createBuffer.call(this, descriptor);
  live.set(buffer, this);
  return buffer;
};

const { createTexture } = GPUDevice.prototype;
GPUDevice.prototype.createTexture = function (this: GPUDevice, descriptor) {
  counts.createTexture++;
  const texture = createTexture.call(this, descriptor);
  live.set(texture, this);
  return texture;
};

/** The counts since the last call. */
export function takeCounts(): GpuCounts {
  const taken = counts;
  counts = zero();
  return taken;
}

const bytesOf = (each: GPUBuffer | GPUTexture): number =>
  'size' in each ? each.size : each.width * each.height * TEXEL_BYTES[each.format as TexelFormat];

/** Buffers and textures that hold memory now, of one device or of all, and their bytes. */
export function liveBuffers(device?: GPUDevice): { count: number; bytes: number; labels: string[] } {
  const mine = [...live].filter(([, owner]) => device === undefined || owner === device).map(([each]) => each);
  return {
    count: mine.length,
    bytes: mine.reduce((sum, each) => sum + bytesOf(each), 0),
    labels: mine.map(({ label }) => label),
  };
}

export const liveBytes = (device: GPUDevice): number => liveBuffers(device).bytes;
