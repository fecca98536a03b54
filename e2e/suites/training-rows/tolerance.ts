import type { Tolerance } from '../../harness.ts';

/** Of what a row alone decides. */
export const ofRow = (label: string): Tolerance => ({ label, absolute: 1e-5, relative: 1e-5 });

/** Of a sum over `rows` rows, whose terms are about `size`. */
export const ofSum = (label: string, rows: number, size = 1): Tolerance => ({
  label,
  absolute: 2e-5 * Math.sqrt(rows) * size,
});
