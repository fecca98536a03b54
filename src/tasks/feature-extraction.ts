import { choice, count } from './arguments.ts';

const ON_GPU = {
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

/** A pooling as the kernel calls it. */
export type OwnPooling = (typeof ON_GPU)[keyof typeof ON_GPU];

/**
 * How the rows of a text's tokens become one: the names of transformers.js, those of sentence-transformers, and `model`: what the
 * checkpoint's modules say.
 */
export type PoolingName = 'none' | keyof typeof ON_GPU | 'model';
export const POOLING_NAMES: readonly PoolingName[] = [
  'none',
  ...(Object.keys(ON_GPU) as (keyof typeof ON_GPU)[]),
  'model',
];

/** The pooling as the kernel calls it; undefined for `none`. Throws UnsupportedError with the list. */
export function poolingOf(name: string): OwnPooling | undefined {
  const pooling = choice('pooling', name, POOLING_NAMES, 'none');
  return pooling === 'none' || pooling === 'model' ? undefined : ON_GPU[pooling];
}

export const dot = (a: Float32Array, b: Float32Array): number => a.reduce((sum, value, i) => sum + value * b[i]!, 0);

/** Its length, of zeros nearly 0: what may be divided by. */
export const norm = (row: Float32Array): number => Math.max(Math.sqrt(dot(row, row)), 1e-12);

/** Every row of [rows, columns] scaled to length 1, in place; max(norm, 1e-12) as torch.nn.functional.normalize. */
export function normalizeRows(data: Float32Array, columns: number): void {
  for (let at = 0; at < data.length; at += columns) {
    const row = data.subarray(at, at + columns);
    const scale = 1 / norm(row);
    for (let i = 0; i < columns; i++) row[i]! *= scale;
  }
}

/**
 * The first `dimensions` columns of [rows, columns], for models trained so that these are embeddings of their own
 * (Matryoshka, arXiv:2205.13147). Normalise after this, not before. Throws InputError where there are not as many.
 */
export function truncateRows(data: Float32Array, columns: number, dimensions: number): Float32Array {
  if (dimensions === columns) return data;
  const kept = count('truncate_dim', dimensions, columns, 1, columns);
  return data.filter((_, i) => i % columns < kept);
}
