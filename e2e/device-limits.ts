/** Limits of devices, and what goes beyond them, as plain data: nothing here touches a device. */

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

const BYTES: Record<string, number> = { vec4f: 16, vec4u: 16, vec4i: 16, vec2f: 8, vec2u: 8, f32: 4, u32: 4, i32: 4 };

/** The bytes of the workgroup memory of a shader whose arrays are of numbers and vectors, as all of ours are. */
function workgroupBytes(code: string): number {
  let bytes = 0;
  for (const [whole, element = '', count] of code.matchAll(/var<workgroup>[^;]*?array<\s*([^,]+),\s*(\w+)\s*>;/g)) {
    const each = BYTES[element.trim()];
    if (!each || !(Number(count) > 0)) throw new Error(`device-limits.ts does not know the size of: ${whole}`);
    bytes += Math.ceil((each * Number(count)) / 16) * 16;
  }
  if (bytes === 0 && code.includes('var<workgroup>')) throw new Error('device-limits.ts does not see workgroup memory');
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
      if (sizes.some(size => !(size > 0))) throw new Error('device-limits.ts does not see the size of the workgroup');
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
