import { expect } from 'vitest';

/**
 * That `gradient` is the derivative of `value` by each number of `x`, within 1e-6 of its largest, by central differences in float64. With
 * steps of 1e-5 their error is some 1e-10 of the value and of its third derivative.
 */
export function expectGradient(
  value: () => number,
  x: Float64Array,
  gradient: ArrayLike<number>,
  label: string,
  among: readonly number[] = [...x.keys()],
): void {
  expect(gradient.length, label).toBe(x.length);
  const largest = Math.max(1e-3, ...Array.from(gradient, Math.abs));
  for (const i of among) {
    const [before, step] = [x[i]!, 1e-5 * Math.max(1, Math.abs(x[i]!))];
    x[i] = before + step;
    const above = value();
    x[i] = before - step;
    const below = value();
    x[i] = before;
    const slope = (above - below) / (2 * step);
    expect(Math.abs(slope - gradient[i]!), `${label} ${i}: ${gradient[i]}, by differences ${slope}`).toBeLessThan(
      1e-6 * largest,
    );
  }
}

/** The sum of the products of two lists: a loss whose gradient by `y` is `dy`. */
export const product = (y: ArrayLike<number>, dy: ArrayLike<number>): number => {
  let sum = 0;
  for (let i = 0; i < dy.length; i++) sum += y[i]! * dy[i]!;
  return sum;
};
