import { count } from './arguments.ts';

export const dot = (a: Float32Array, b: Float32Array): number => a.reduce((sum, value, i) => sum + value * b[i]!, 0);

/** The L2 norm of a row, at least 1e-12, so that a row of zeros can be divided by it. */
export const norm = (row: Float32Array): number => Math.max(Math.sqrt(dot(row, row)), 1e-12);

/** Scales every row of [rows, columns] to length 1, in place: row / max(norm, 1e-12), as torch.nn.functional.normalize. */
export function normalizeRows(data: Float32Array, columns: number): void {
  for (let start = 0; start < data.length; start += columns) {
    const row = data.subarray(start, start + columns);
    const scale = 1 / norm(row);
    for (let i = 0; i < columns; i++) row[i]! *= scale;
  }
}

/**
 * The first `dimensions` columns of [rows, columns]; a copy, if that is not all. For models whose first columns are trained to be an
 * embedding by themselves (Matryoshka, arXiv:2205.13147). The caller normalises the cut rows, not the whole ones.
 * Throws InputError if there are fewer columns.
 */
export function truncateRows(data: Float32Array, columns: number, dimensions: number): Float32Array {
  if (dimensions === columns) return data;
  const kept = count('truncate_dim', dimensions, { fallback: columns, max: columns });
  return data.filter((_, i) => i % columns < kept);
}
