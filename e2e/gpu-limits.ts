/**
 * What devices are asked for, and what goes beyond it. A device has the limits of its `requestDevice`, those that are not named by
 * their defaults; a test may give it smaller ones, which it then claims, and which gpu-watch.ts enforces.
 */

/** The defaults of the WebGPU specification, of what a library that computes can meet with. */
export const DEFAULTS = {
  maxTextureDimension2D: 8192,
  maxBindingsPerBindGroup: 1000,
  maxSampledTexturesPerShaderStage: 16,
  maxStorageBuffersPerShaderStage: 8,
  maxStorageTexturesPerShaderStage: 4,
  maxUniformBuffersPerShaderStage: 12,
  maxUniformBufferBindingSize: 65536,
  maxStorageBufferBindingSize: 134217728,
  minUniformBufferOffsetAlignment: 256,
  minStorageBufferOffsetAlignment: 256,
  maxBufferSize: 268435456,
  maxComputeWorkgroupStorageSize: 16384,
  maxComputeInvocationsPerWorkgroup: 256,
  maxComputeWorkgroupSizeX: 256,
  maxComputeWorkgroupSizeY: 256,
  maxComputeWorkgroupSizeZ: 64,
  maxComputeWorkgroupsPerDimension: 65535,
};
export type Limits = typeof DEFAULTS;

/** Less than any device has: whatever is written for the defaults shows here. */
export const SMALL: Limits = {
  ...DEFAULTS,
  maxBufferSize: 4 << 20,
  maxStorageBufferBindingSize: 4 << 20,
  maxComputeInvocationsPerWorkgroup: 128,
  maxComputeWorkgroupSizeX: 128,
  maxComputeWorkgroupSizeY: 128,
  maxComputeWorkgroupStorageSize: 16384,
};

const asked = new WeakMap<GPUDevice, Limits>();
/** What a device claims in place of what it has. */
const claims = new WeakMap<GPUDevice, Partial<Limits>>();
/** What is refused though the real device would take it. */
const enforced = new WeakMap<GPUDevice, Partial<Limits>>();
/** What adapters claim, and all devices that are made of them. */
let claimed: Partial<Limits> | undefined;

const every = (limits: GPUSupportedLimits, more: Partial<Limits>): GPUSupportedLimits => {
  const numbers: Record<string, number> = {};
  for (const name in limits) numbers[name] = limits[name as keyof GPUSupportedLimits] as number;
  return { ...numbers, ...more } as unknown as GPUSupportedLimits;
};

const ofDevice = Object.getOwnPropertyDescriptor(GPUDevice.prototype, 'limits')!.get!;
Object.defineProperty(GPUDevice.prototype, 'limits', {
  configurable: true,
  get(this: GPUDevice) {
    const own = claims.get(this);
    const real = ofDevice.call(this) as GPUSupportedLimits;
    return own ? every(real, own) : real;
  },
});
const ofAdapter = Object.getOwnPropertyDescriptor(GPUAdapter.prototype, 'limits')!.get!;
Object.defineProperty(GPUAdapter.prototype, 'limits', {
  configurable: true,
  get(this: GPUAdapter) {
    const real = ofAdapter.call(this) as GPUSupportedLimits;
    return claimed ? every(real, claimed) : real;
  },
});
const { requestDevice } = GPUAdapter.prototype;
GPUAdapter.prototype.requestDevice = async function (this: GPUAdapter, descriptor = {}) {
  const { requiredLimits, ...others } = descriptor;
  // Where adapters claim something, a device is asked for nothing: it has the defaults, or claims less.
  const device = await requestDevice.call(this, claimed ? others : descriptor);
  const named = Object.entries(requiredLimits ?? {}).filter(([, limit]) => limit !== undefined);
  asked.set(device, { ...DEFAULTS, ...(claimed ? {} : Object.fromEntries(named)) });
  if (claimed && claimed !== DEFAULTS) restrict(device, claimed);
  return device;
};

/** From now on the device has these limits: it says so, and what goes beyond them is refused. */
export function restrict(device: GPUDevice, limits: Partial<Limits>): GPUDevice {
  claims.set(device, { ...claims.get(device), ...limits });
  return enforce(device, limits);
}

/** From now on what goes beyond these limits is refused, of which the device says nothing. */
export function enforce(device: GPUDevice, limits: Partial<Limits>): GPUDevice {
  enforced.set(device, { ...enforced.get(device), ...limits });
  return device;
}

/** From now on no adapter, and no device, has more than the defaults, or than SMALL. */
export function claimEverywhere(limits: 'default' | 'small'): void {
  claimed = limits === 'small' ? SMALL : DEFAULTS;
}

/** Whether devices of this page have less than the defaults. */
export const isSmall = (): boolean => claimed !== undefined && claimed !== DEFAULTS;

export const limitsOf = (device: GPUDevice): Limits => ({
  ...(asked.get(device) ?? DEFAULTS),
  ...enforced.get(device),
});
export const restricted = (device: GPUDevice): boolean => enforced.has(device);

const BYTES: Record<string, number> = { vec4f: 16, vec4u: 16, vec4i: 16, vec2f: 8, vec2u: 8, f32: 4, u32: 4, i32: 4 };

/** The bytes of the workgroup memory of a shader whose arrays are of numbers and vectors, as all of ours are. */
function workgroupBytes(code: string): number {
  let bytes = 0;
  for (const [whole, element = '', count] of code.matchAll(/var<workgroup>[^;]*?array<\s*([^,]+),\s*(\w+)\s*>;/g)) {
    const each = BYTES[element.trim()];
    if (!each || !(Number(count) > 0)) throw new Error(`gpu-limits.ts does not know the size of: ${whole}`);
    bytes += Math.ceil((each * Number(count)) / 16) * 16;
  }
  if (bytes === 0 && code.includes('var<workgroup>')) throw new Error('gpu-limits.ts does not see workgroup memory');
  return bytes;
}

const over = (limits: Limits, wanted: [keyof Limits, number][]): string[] =>
  wanted.filter(([name, value]) => value > limits[name]).map(([name, value]) => `${value} > ${name} ${limits[name]}`);

/** For every call what of it goes beyond limits. */
export const refusalsOf = {
  buffer:
    ({ size }: GPUBufferDescriptor) =>
    (limits: Limits) =>
      over(limits, [['maxBufferSize', size]]),

  texture:
    ({ size }: GPUTextureDescriptor) =>
    (limits: Limits) => {
      const [width = 1, height = 1] = [...(size as Iterable<number>)];
      return over(limits, [
        ['maxTextureDimension2D', width],
        ['maxTextureDimension2D', height],
      ]);
    },

  bindGroup:
    ({ entries }: GPUBindGroupDescriptor) =>
    (limits: Limits) => {
      const list = [...entries];
      return [
        ...over(limits, [['maxBindingsPerBindGroup', list.length]]),
        ...list.flatMap(({ resource }) => {
          if (!('buffer' in resource)) return [];
          const { buffer, offset = 0, size = buffer.size - offset } = resource;
          const isUniform = (buffer.usage & GPUBufferUsage.UNIFORM) !== 0;
          const [most, align] = isUniform
            ? (['maxUniformBufferBindingSize', 'minUniformBufferOffsetAlignment'] as const)
            : (['maxStorageBufferBindingSize', 'minStorageBufferOffsetAlignment'] as const);
          const found = over(limits, [[most, size]]);
          if (offset % limits[align] !== 0) found.push(`offset ${offset} is no multiple of ${limits[align]}`);
          return found.map(text => `${buffer.label}: ${text}`);
        }),
      ];
    },

  shader:
    ({ code }: GPUShaderModuleDescriptor) =>
    (limits: Limits) => {
      const sizes = /@workgroup_size\(([^)]*)\)/.exec(code)?.[1]?.split(',').map(Number) ?? [1];
      if (sizes.some(size => !(size > 0))) throw new Error('gpu-limits.ts does not see the size of the workgroup');
      const [x = 1, y = 1, z = 1] = sizes;
      const count = (pattern: RegExp) => code.match(pattern)?.length ?? 0;
      return over(limits, [
        ['maxComputeWorkgroupSizeX', x],
        ['maxComputeWorkgroupSizeY', y],
        ['maxComputeWorkgroupSizeZ', z],
        ['maxComputeInvocationsPerWorkgroup', x * y * z],
        ['maxComputeWorkgroupStorageSize', workgroupBytes(code)],
        ['maxStorageBuffersPerShaderStage', count(/var<storage/g)],
        ['maxUniformBuffersPerShaderStage', count(/var<uniform/g)],
        ['maxSampledTexturesPerShaderStage', count(/: texture_2d</g)],
        ['maxStorageTexturesPerShaderStage', count(/: texture_storage_2d</g)],
      ]);
    },

  dispatch: (counts: readonly number[]) => (limits: Limits) =>
    over(
      limits,
      counts.map((count): [keyof Limits, number] => ['maxComputeWorkgroupsPerDimension', count]),
    ),
};
