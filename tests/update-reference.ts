import type { Numbers } from './reference.ts';

/** The CPU twins of what updates weights, in float64. update.test.ts holds them against torch. */

/** The length of a gradient, and what it is multiplied by: torch.nn.utils.clip_grad_norm_. */
export function clip(gradient: Numbers, maxNorm: number): { norm: number; factor: number } {
  let sum = 0;
  for (let i = 0; i < gradient.length; i++) sum += gradient[i]! ** 2;
  const norm = Math.sqrt(sum);
  return { norm, factor: maxNorm === 0 ? 1 : Math.min(1, maxNorm / (norm + 1e-6)) };
}

export interface AdamWOptions {
  kind: 'torch' | 'bert';
  learningRate: number;
  beta1: number;
  beta2: number;
  epsilon: number;
  decay: number;
}

export interface AdamWState {
  weight: Float64Array;
  m: Float64Array;
  v: Float64Array;
}

/** Step number `t`, counted from 1, in place. */
export function adamw({ weight, m, v }: AdamWState, gradient: Numbers, t: number, options: AdamWOptions): void {
  const { kind, learningRate, beta1, beta2, epsilon, decay } = options;
  for (let i = 0; i < weight.length; i++) {
    const g = gradient[i]!;
    m[i] = beta1 * m[i]! + (1 - beta1) * g;
    v[i] = beta2 * v[i]! + (1 - beta2) * g * g;
    if (kind === 'torch') {
      const root = Math.sqrt(v[i]!) / Math.sqrt(1 - beta2 ** t);
      weight[i]! *= 1 - learningRate * decay;
      weight[i]! -= ((learningRate / (1 - beta1 ** t)) * m[i]!) / (root + epsilon);
    } else {
      weight[i]! -= learningRate * (m[i]! / (Math.sqrt(v[i]!) + epsilon) + decay * weight[i]!);
    }
  }
}
