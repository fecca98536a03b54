import type { Weight } from '../src/plan/index.ts';
import { denseWeight, type Matrix, type TensorData } from './interpreter.ts';

/** What training in float64 has beside the interpreter: tensors that change, their gradients, AdamW. */

/** Tensors that a run trains, by canonical name, in float64. */
export type Tensors = Map<string, { readonly shape: readonly number[]; readonly data: Float64Array }>;

/** The tensors of weights, copied, so that training does not change the checkpoint. */
export function tensorsOf(weights: readonly Weight[], lookup: (tensor: string) => TensorData): Tensors {
  const names = new Set(weights.flatMap(({ parts }) => parts.map(({ tensor }) => tensor)));
  return new Map(
    [...names].map(name => {
      const { shape, data } = lookup(name);
      return [name, { shape, data: Float64Array.from(data) }];
    }),
  );
}

/** Gradients of weights as gradients of tensors. The place of each number is found by numbering those of the tensors. */
export function tensorGradients(gradients: ReadonlyMap<Weight, Matrix>, tensors: Tensors): Map<string, Float64Array> {
  const found = new Map<string, Float64Array>();
  for (const [weight, matrix] of gradients) {
    for (const part of weight.parts) {
      const { shape, data } = tensors.get(part.tensor)!;
      const numbers = { shape, data: data.map((_, i) => i + 1) };
      const places = denseWeight({ ...weight, parts: [part] }, () => numbers);
      const gradient = found.get(part.tensor) ?? new Float64Array(data.length);
      places.data.forEach((place, i) => {
        if (place > 0) gradient[place - 1]! += matrix.data[i]!;
      });
      found.set(part.tensor, gradient);
    }
  }
  return found;
}

/** The state of torch.optim.AdamW (Loshchilov and Hutter, arXiv 1711.05101). */
export class AdamW {
  readonly #moments = new Map<string, { m: Float64Array; v: Float64Array }>();
  #step = 0;

  step(tensors: Tensors, gradients: ReadonlyMap<string, Float64Array>, rate: number, decay: (name: string) => number) {
    this.#step++;
    const [c1, c2] = [1 - 0.9 ** this.#step, 1 - 0.999 ** this.#step];
    for (const [name, gradient] of gradients) {
      const { data } = tensors.get(name)!;
      const { m, v } = this.#moments.get(name) ?? {
        m: new Float64Array(data.length),
        v: new Float64Array(data.length),
      };
      this.#moments.set(name, { m, v });
      for (let i = 0; i < data.length; i++) {
        data[i]! *= 1 - rate * decay(name);
        m[i] = 0.9 * m[i]! + 0.1 * gradient[i]!;
        v[i] = 0.999 * v[i]! + 0.001 * gradient[i]! ** 2;
        data[i]! -= (rate / c1) * (m[i]! / (Math.sqrt(v[i]!) / Math.sqrt(c2) + 1e-8));
      }
    }
  }
}
