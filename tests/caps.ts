import type { Caps } from '../src/plan/caps.ts';

/** A GPU with the limits that every WebGPU device has, and no feature. */
export const GPU: Caps = {
  adapter: 'gpu',
  maxInvocations: 256,
  maxBindingBytes: 1 << 27,
  subgroup: 0,
  f16: false,
  dot4I8: false,
  storageTextures: false,
};

export const SWIFTSHADER: Caps = { ...GPU, adapter: 'swiftshader' };
export const LLVMPIPE: Caps = { ...GPU, adapter: 'llvmpipe', storageTextures: true };

/** Bytes of workgroup memory that every device has. */
export const WORKGROUP_BYTES = 16384;
