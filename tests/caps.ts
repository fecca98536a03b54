import type { Caps } from '../shaders/kernel.ts';

/** An adapter with the limits that all have, and no feature. */
export const GPU: Caps = {
  adapter: 'gpu',
  maxInvocations: 256,
  workgroupStorageBytes: 16384,
  maxBindingBytes: 1 << 27,
  subgroup: 0,
  f16: false,
  dot4I8: false,
};
