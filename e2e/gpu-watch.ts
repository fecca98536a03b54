import { TEXEL_BYTES, type TexelFormat } from '../shaders/kernel.ts';
import { type Limits, refusalsOf } from './device-limits.ts';
import { limitsOf, restricted } from './gpu-limits.ts';

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

/** Of error scopes, since the last `take`. */
export interface ScopeCounts {
  push: number;
  pop: number;
  /** Scopes that were still open when the code that opened the first had come to an end: an await lies inside. */
  acrossAwait: number;
  /** Calls that a device may refuse, made outside of any scope: there nobody, or somebody else, hears of it. */
  unscoped: string[];
}

const noScopes = (): ScopeCounts => ({ push: 0, pop: 0, acrossAwait: 0, unscoped: [] });

let counts = zero();
let scopes = noScopes();
/** Calls that went beyond what the device was asked for. */
let excesses: string[] = [];
/** The buffers and textures that hold memory now, with the device of each. */
const live = new Map<GPUBuffer | GPUTexture, GPUDevice>();
/** The device of whatever was made. */
const owners = new WeakMap<object, GPUDevice>();
/** Scopes that are open. */
const depths = new WeakMap<GPUDevice, number>();

const depthOf = (device: GPUDevice) => depths.get(device) ?? 0;

/** Notes a call that the device may refuse. */
function scoped(device: GPUDevice | undefined, call: string): void {
  if (device && depthOf(device) === 0) scopes.unscoped.push(call);
}

/**
 * Notes what of a call goes beyond the limits of its device. Where those are smaller than the real ones, the call that is then made
 * is one that the real device refuses: `broken`.
 */
function within<D>(
  device: GPUDevice | undefined,
  call: string,
  check: (limits: Limits) => string[],
  given: D,
  broken: () => NoInfer<D>,
): D {
  if (!device) return given;
  const found = check(limitsOf(device));
  excesses.push(...found.map(text => `${call}: ${text}`));
  return found.length > 0 && restricted(device) ? broken() : given;
}

/** Wraps a method of every object of a class; `call` gets the method itself. */
function wrap<T extends object, V extends unknown[]>(
  prototype: T,
  name: keyof T,
  call: (self: T, values: V, original: (...values: unknown[]) => unknown) => unknown,
): void {
  const original = prototype[name] as (...values: unknown[]) => unknown;
  prototype[name] = function (this: T, ...values: unknown[]) {
    return call(this, values as V, (...others) => original.apply(this, others));
  } as T[keyof T];
}

/** What a method of a device makes is the device's. */
function owned<T>(device: GPUDevice | undefined, made: T): T {
  if (device) owners.set(made as object, device);
  return made;
}

wrap(GPUDevice.prototype, 'pushErrorScope', (device, values, original) => {
  scopes.push++;
  if (depthOf(device) === 0) {
    queueMicrotask(() => {
      if (depthOf(device) > 0) scopes.acrossAwait++;
    });
  }
  depths.set(device, depthOf(device) + 1);
  return original(...values);
});
wrap(GPUDevice.prototype, 'popErrorScope', (device, values, original) => {
  scopes.pop++;
  depths.set(device, depthOf(device) - 1);
  return original(...values);
});

wrap(GPUDevice.prototype, 'createBuffer', (device, [descriptor]: [GPUBufferDescriptor], original) => {
  counts.createBuffer++;
  scoped(device, 'createBuffer');
  const { MAP_READ, STORAGE } = GPUBufferUsage;
  const given = within(device, `createBuffer ${descriptor.label}`, refusalsOf.buffer(descriptor), descriptor, () => ({
    ...descriptor,
    usage: MAP_READ | STORAGE,
  }));
  const buffer = original(given) as GPUBuffer;
  live.set(buffer, device);
  return owned(device, buffer);
});

wrap(GPUDevice.prototype, 'createTexture', (device, [descriptor]: [GPUTextureDescriptor], original) => {
  counts.createTexture++;
  scoped(device, 'createTexture');
  const given = within(device, `createTexture ${descriptor.label}`, refusalsOf.texture(descriptor), descriptor, () => ({
    ...descriptor,
    size: [0, 0],
  }));
  const texture = original(given) as GPUTexture;
  live.set(texture, device);
  return owned(device, texture);
});

wrap(GPUDevice.prototype, 'createBindGroup', (device, [descriptor]: [GPUBindGroupDescriptor], original) => {
  counts.createBindGroup++;
  scoped(device, 'createBindGroup');
  const given = within(
    device,
    `createBindGroup ${descriptor.label}`,
    refusalsOf.bindGroup(descriptor),
    descriptor,
    () => ({ ...descriptor, entries: [] }),
  );
  return original(given);
});

wrap(GPUDevice.prototype, 'createShaderModule', (device, [descriptor]: [GPUShaderModuleDescriptor], original) => {
  counts.createShaderModule++;
  scoped(device, 'createShaderModule');
  const given = within(
    device,
    `createShaderModule ${descriptor.label}`,
    refusalsOf.shader(descriptor),
    descriptor,
    () => ({ ...descriptor, code: `${descriptor.code}\nthis shader goes beyond a limit` }),
  );
  return original(given);
});

wrap(GPUDevice.prototype, 'createComputePipelineAsync', (device, values, original) => {
  counts.createComputePipelineAsync++;
  // What it refuses it rejects with.
  const made = original(...values) as Promise<GPUComputePipeline>;
  return made.then(pipeline => owned(device, pipeline));
});
wrap(GPUComputePipeline.prototype, 'getBindGroupLayout', (pipeline, values, original) => {
  scoped(owners.get(pipeline), 'getBindGroupLayout');
  return original(...values);
});
wrap(GPUTexture.prototype, 'createView', (texture, values, original) => {
  scoped(owners.get(texture), 'createView');
  return original(...values);
});

wrap(GPUDevice.prototype, 'createCommandEncoder', (device, values, original) => owned(device, original(...values)));
wrap(GPUCommandEncoder.prototype, 'beginComputePass', (encoder, values, original) =>
  owned(owners.get(encoder), original(...values)),
);
wrap(GPUComputePassEncoder.prototype, 'dispatchWorkgroups', (pass, values: number[], original) =>
  original(...within(owners.get(pass), 'dispatchWorkgroups', refusalsOf.dispatch(values), values, () => [2 ** 31])),
);
wrap(GPUCommandEncoder.prototype, 'finish', (encoder, values, original) => {
  scoped(owners.get(encoder), 'finish');
  return original(...values);
});

/** A queue belongs to the device that was asked for it. */
const queueOf = Object.getOwnPropertyDescriptor(GPUDevice.prototype, 'queue')!.get!;
Object.defineProperty(GPUDevice.prototype, 'queue', {
  configurable: true,
  get(this: GPUDevice) {
    return owned(this, queueOf.call(this) as GPUQueue);
  },
});
// A submit of nothing is how Firefox is asked to look for finished work: see src/gpu/poll.ts.
wrap(GPUQueue.prototype, 'submit', (queue, values: [unknown[]], original) => {
  if (values[0].length) {
    counts.submit++;
    scoped(owners.get(queue), 'submit');
  }
  return original(...values);
});
wrap(GPUQueue.prototype, 'writeBuffer', (queue, values, original) => {
  scoped(owners.get(queue), 'writeBuffer');
  return original(...values);
});
wrap(GPUBuffer.prototype, 'mapAsync', (buffer, values, original) => {
  counts.mapAsync++;
  scoped(owners.get(buffer), 'mapAsync');
  return original(...values);
});
for (const { prototype } of [GPUBuffer, GPUTexture]) {
  wrap(prototype as GPUBuffer, 'destroy', (each, values, original) => {
    live.delete(each);
    scoped(owners.get(each), 'destroy');
    return original(...values);
  });
}
wrap(GPUDevice.prototype, 'destroy', (device, values, original) => {
  for (const [each, owner] of live) if (owner === device) live.delete(each);
  return original(...values);
});

/** The counts since the last call. */
export function takeCounts(): GpuCounts {
  const taken = counts;
  counts = zero();
  return taken;
}

/** The same of error scopes. */
export function takeScopes(): ScopeCounts {
  const taken = scopes;
  scopes = noScopes();
  return taken;
}

/** What went beyond the limits of its device since the last call. */
export function takeExcesses(): string[] {
  const taken = excesses;
  excesses = [];
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
