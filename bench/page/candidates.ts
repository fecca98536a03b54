import type { Tiling } from '../../shaders/tiling.ts';

/**
 * Tilings of linears that may suit a GPU. First the one that the profile of GPUs has; then larger tiles, 64 x 64 with few invocations,
 * small and skinny ones; then some in registers alone: wide, square, and one whose rows of x a subgroup of 32 shares.
 */
export const TILINGS: readonly Tiling[] = [
  { kind: 'workgroup', rows: 4, columns: 4, lanes: 16, down: 16 },
  { kind: 'workgroup', rows: 8, columns: 4, lanes: 16, down: 16 },
  { kind: 'workgroup', rows: 8, columns: 8, lanes: 8, down: 8 },
  { kind: 'workgroup', rows: 4, columns: 4, lanes: 8, down: 8 },
  { kind: 'workgroup', rows: 2, columns: 4, lanes: 8, down: 8 },
  { kind: 'register', rows: 4, columns: 4, lanes: 64 },
  { kind: 'register', rows: 8, columns: 8, lanes: 32 },
  { kind: 'register', rows: 32, columns: 4, lanes: 32 },
];
