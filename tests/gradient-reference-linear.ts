import type { Numbers } from './reference.ts';

/**
 * The CPU twins of the kernels of training that multiply matrices: the obvious loops in float64 on plain unpadded arrays.
 * gradient-linear.test.ts checks each against central differences of `linear` in reference.ts.
 */

/** dy [R, N], weight [N, K], residual [R, K] -> dx [R, K], the gradient of the input of a linear. */
export function linearInput(
  dy: Numbers,
  weight: Numbers,
  { K, N, residual }: { K: number; N: number; residual?: Numbers },
): Float64Array {
  const R = dy.length / N;
  const dx = new Float64Array(R * K);
  for (let r = 0; r < R; r++) {
    for (let k = 0; k < K; k++) {
      let sum = residual?.[r * K + k] ?? 0;
      for (let n = 0; n < N; n++) sum += dy[r * N + n]! * weight[n * K + k]!;
      dx[r * K + k] = sum;
    }
  }
  return dx;
}

/** dy [R, N], x [R, K] -> the gradients of the weight [N, K] and of the bias [N] of a linear. */
export function linearWeight(
  dy: Numbers,
  x: Numbers,
  { K, N }: { K: number; N: number },
): { gradient: Float64Array; biasGradient: Float64Array } {
  const R = dy.length / N;
  const gradient = new Float64Array(N * K);
  const biasGradient = new Float64Array(N);
  for (let n = 0; n < N; n++) {
    for (let r = 0; r < R; r++) {
      biasGradient[n]! += dy[r * N + n]!;
      for (let k = 0; k < K; k++) gradient[n * K + k]! += dy[r * N + n]! * x[r * K + k]!;
    }
  }
  return { gradient, biasGradient };
}
