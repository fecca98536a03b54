import { describe, expect, it } from 'vitest';
import { random } from '../e2e/dispatch.ts';
import { expectGradient, product } from './central-differences.ts';
import * as gradient from './gradient-reference-rows.ts';
import * as reference from './reference.ts';

/** The twins of the gradients against central differences of the twins of what they are the gradients of. */
const make = (seed: number) => {
  const numbers = random(seed);
  return (count: number, scale = 1) => Float64Array.from(numbers(count, scale));
};

describe('the twin of an activation', () => {
  it.each(Object.keys(reference.activations))('%s', kind => {
    const numbers = make(1);
    // Away from corners, where differences from both sides are no derivative.
    const u = numbers(200, 3).map(v => (Math.abs((2 * v) % 1) < 1e-3 ? v + 0.01 : v));
    const [dy, gate] = [numbers(200), numbers(200)];
    const loss = () => product(gradient.activate(u, kind, gate), dy);
    const { du, dgate } = gradient.activateBackward(u, dy, kind, gate);
    expectGradient(loss, u, du, 'du');
    expectGradient(loss, gate, dgate, 'dgate');
  });

  it("has torch's value at the corner of relu", () => {
    expect(gradient.slopes.relu!(0)).toBe(0);
  });
});

describe('the twin of a norm', () => {
  it.each(['layer', 'rms', 'affine'].flatMap(kind => [false, true].map(unitOffset => ({ kind, unitOffset }))))(
    '$kind, from 1: $unitOffset',
    ({ kind, unitOffset }) => {
      const numbers = make(2);
      const [R, C] = [5, 9];
      const [x, residual, dy] = [numbers(R * C).map(v => v + 2), numbers(R * C), numbers(R * C)];
      const [gamma, beta] = [numbers(C), numbers(C)];
      const options = { kind, gamma, beta, eps: 1e-3, unitOffset, residual };
      const loss = () => product(reference.norm(x, options), dy);
      const { dx, dgamma, dbeta } = gradient.normBackward(x, dy, options);
      expectGradient(loss, x, dx, 'dx');
      expectGradient(loss, residual, dx, 'the residual');
      expectGradient(loss, gamma, dgamma, 'dgamma');
      expectGradient(loss, beta, dbeta, 'dbeta');
    },
  );
});
