/** Counts of the calls that cost something, since the last `take`. */
export interface GpuCounts {
  createBuffer: number;
  createBindGroup: number;
  createComputePipelineAsync: number;
  createShaderModule: number;
  submit: number;
  mapAsync: number;
}

const zero = (): GpuCounts => ({
  createBuffer: 0,
  createBindGroup: 0,
  createComputePipelineAsync: 0,
  createShaderModule: 0,
  submit: 0,
  mapAsync: 0,
});

let counts = zero();
/** The buffers that hold memory now, with the device of each. */
const live = new Map<GPUBuffer, GPUDevice>();

/** Puts `note` before a method of every object of a class. */
function before<T extends object, K extends keyof T>(prototype: T, name: K, note: (self: T) => void): void {
  const original = prototype[name] as (...values: unknown[]) => unknown;
  prototype[name] = function (this: T, ...values: unknown[]) {
    note(this);
    return original.apply(this, values);
  } as T[K];
}

const counted = (name: keyof GpuCounts) => () => {
  counts[name]++;
};
before(GPUDevice.prototype, 'createBindGroup', counted('createBindGroup'));
before(GPUDevice.prototype, 'createComputePipelineAsync', counted('createComputePipelineAsync'));
before(GPUDevice.prototype, 'createShaderModule', counted('createShaderModule'));
before(GPUQueue.prototype, 'submit', counted('submit'));
before(GPUBuffer.prototype, 'mapAsync', counted('mapAsync'));
before(GPUBuffer.prototype, 'destroy', buffer => live.delete(buffer));
before(GPUDevice.prototype, 'destroy', device => {
  for (const [buffer, owner] of live) if (owner === device) live.delete(buffer);
});
const { createBuffer } = GPUDevice.prototype;
GPUDevice.prototype.createBuffer = function (this: GPUDevice, descriptor) {
  counts.createBuffer++;
  const buffer = createBuffer.call(this, descriptor);
  live.set(buffer, this);
  return buffer;
};

/** The counts since the last call. */
export function takeCounts(): GpuCounts {
  const taken = counts;
  counts = zero();
  return taken;
}

/** Buffers that hold memory now, of one device or of all, and their bytes. */
export function liveBuffers(device?: GPUDevice): { count: number; bytes: number; labels: string[] } {
  const buffers = [...live].filter(([, owner]) => device === undefined || owner === device).map(([buffer]) => buffer);
  return {
    count: buffers.length,
    bytes: buffers.reduce((sum, { size }) => sum + size, 0),
    labels: buffers.map(({ label }) => label),
  };
}
