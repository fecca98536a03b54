import { choice } from './arguments.ts';

/** The poolings that the GPU does (shaders/pool.ts), by the names that users give them. */
const KERNEL_POOLINGS = {
  mean: 'mean',
  cls: 'cls',
  first_token: 'cls',
  max: 'max',
  last_token: 'last',
  eos: 'last',
  lasttoken: 'last',
  mean_sqrt_len_tokens: 'mean_sqrt',
  weightedmean: 'weighted',
} as const;

/** A pooling under the name of the kernel. */
export type KernelPooling = (typeof KERNEL_POOLINGS)[keyof typeof KERNEL_POOLINGS];

/**
 * How the rows of a text's tokens become one row: the names of transformers.js and of sentence-transformers; 'none' leaves one row
 * for each token; 'model' is the pooling that the checkpoint's modules.json names.
 */
export type PoolingName = 'none' | keyof typeof KERNEL_POOLINGS | 'model';
export const POOLING_NAMES: readonly PoolingName[] = [
  'none',
  ...(Object.keys(KERNEL_POOLINGS) as (keyof typeof KERNEL_POOLINGS)[]),
  'model',
];

/** The pooling under the name of the kernel; undefined for 'none' and 'model'. Throws UnsupportedError with the list of names. */
export function poolingOf(name: string): KernelPooling | undefined {
  const pooling = choice('pooling', name, { names: POOLING_NAMES, fallback: 'none' });
  return pooling === 'none' || pooling === 'model' ? undefined : KERNEL_POOLINGS[pooling];
}
