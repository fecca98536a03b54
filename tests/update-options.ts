import type { UpdateOptions } from '../src/gradients/index.ts';

/** The update of a step with torch's defaults, of all tensors alike. */
export const UPDATE: UpdateOptions = {
  kind: 'torch',
  beta1: 0.9,
  beta2: 0.999,
  epsilon: 1e-8,
  maxNorm: 1,
  tensor: () => ({ group: 0, decay: 0 }),
};
