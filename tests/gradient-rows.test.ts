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

  // By autograd of torch 2.
  it.each<[kind: string, slopes: Record<number, number>]>([
    ['relu', { 0: 0 }],
    ['elu', { 0: 1 }],
    ['hardshrink', { 0.5: 0, [-0.5]: 0 }],
    ['hardsigmoid', { 3: 0, [-3]: 0 }],
    ['hardswish', { 3: 1, [-3]: 0 }],
    ['hardtanh', { 1: 0, [-1]: 0 }],
    ['leaky_relu', { 0: 0.01 }],
    ['relu6', { 0: 0, 6: 0 }],
    ['rrelu', { 0: 0.22916666666666666 }],
    ['selu', { 0: 1.758099340847377 }],
    ['softshrink', { 0.5: 0, [-0.5]: 0 }],
  ])("has torch's value at the corners of %s", (kind, corners) => {
    for (const [x, slope] of Object.entries(corners)) expect(gradient.slopes[kind]!(Number(x))).toBeCloseTo(slope, 14);
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

describe('the twin of', () => {
  it('rows of length 1', () => {
    const numbers = make(3);
    const [x, dy] = [numbers(5 * 7), numbers(5 * 7)];
    const loss = () => product(reference.l2Norm(x, 7), dy);
    expectGradient(loss, x, gradient.l2NormBackward(x, dy, 7), 'dx');
    // Below the floor a row is divided by it.
    expect([...gradient.l2NormBackward([1e-14, 0], [1, 2], 2)]).toEqual([1e12, 2e12]);
  });

  it.each([['mean'], ['cls'], ['max'], ['mean_sqrt'], ['last'], ['weighted'], ['cls', 'max', 'mean']])(
    'pooling %s',
    (...pooling) => {
      const numbers = make(4);
      const [lengths, C] = [[1, 4, 9, 3], 5];
      for (const unpooled of [
        [0, 0, 0, 0],
        [0, 2, 1, 5],
      ]) {
        for (const kept of pooling.length > 1 ? [C * pooling.length] : [C, 3]) {
          const [x, dy] = [numbers(17 * C), numbers(lengths.length * kept)];
          const loss = () => product(reference.pool(x, lengths, { C, kept, pooling, normalize: false, unpooled }), dy);
          const dx = gradient.poolBackward(x, dy, lengths, { C, kept, pooling, unpooled });
          expectGradient(loss, x, dx, 'dx');
        }
      }
    },
  );

  it('picked rows', () => {
    const numbers = make(5);
    const [T, C, picked] = [6, 3, [1, 2, 5]];
    const [x, dy] = [numbers(T * C), numbers(picked.length * C)];
    const loss = () =>
      product(
        picked.flatMap(t => [...x.slice(t * C, (t + 1) * C)]),
        dy,
      );
    expectGradient(loss, x, gradient.gatherBackward(dy, picked, T, C), 'dx');
  });

  it('a table', () => {
    const numbers = make(6);
    const [rows, C, ids] = [4, 3, [3, 0, 3, 3, 1]];
    const [table, dx] = [numbers(rows * C), numbers(ids.length * C)];
    const loss = () => product(reference.embed([[table, ids]], C), dx);
    expectGradient(loss, table, gradient.tableGradient(dx, ids, rows, C), 'the table');
  });

  it.each(['columns', 'rows'] as const)('neighbours side by side, in the order of %s', order => {
    const numbers = make(8);
    const options = { C: 3, width: 5, order };
    // Gaps, and tokens that stand before the others because none attends to them.
    const places = [[0], [0, 1, 3, 4, 7], [4, 5, 0, 1, 2, 3]];
    const [x, dy] = [numbers(12 * 3), numbers(12 * 15)];
    const loss = () => product(reference.unfold(x, places, options), dy);
    expectGradient(loss, x, gradient.unfoldBackward(dy, places, options), 'dx');
  });

  it.each([false, true])('turned pairs, interleaved: %s', interleaved => {
    const numbers = make(7);
    const [T, heads, D] = [3, 3, 5];
    const [qkv, dy] = [numbers(T * heads * D), numbers(T * heads * D)];
    const options = { heads, turned: 2, D, frequencies: [1, 0.3], interleaved };
    const loss = () => product(reference.rotary(qkv, [0, 7, 2], options), dy);
    expectGradient(loss, qkv, gradient.rotaryBackward(dy, [0, 7, 2], options), 'dqkv');
  });
});

describe('the random words of the twin', () => {
  it('are those of pcg4d', () => {
    // From the lines of the paper in Python's integers.
    expect(gradient.pcg4d([0, 0, 0, 0])).toEqual([251852841, 760645481, 850445371, 3542436074]);
    expect(gradient.pcg4d([1, 2, 3, 4])).toEqual([908250390, 4044648920, 3775961919, 45698095]);
    expect(gradient.pcg4d([0xffffffff, 7, 0x80000000, 123456789])).toEqual([
      1787668222, 3432992719, 2557289305, 1426230194,
    ]);
  });

  it('drop as many as they are told, in all rows, columns, sites and steps', () => {
    const keys = Array.from({ length: 500 }, (_, r) => r);
    for (const p of [0.1, 0.5]) {
      for (const [site, step] of [
        [0, 0],
        [1, 0],
        [0, 1],
      ] as const) {
        const factors = gradient.dropoutFactors(keys, { C: 40, p, site, seed: 42, step });
        const dropped = factors.filter(factor => factor === 0).length;
        // Four standard deviations of a binomial distribution.
        expect(Math.abs(dropped - 20_000 * p)).toBeLessThan(4 * Math.sqrt(20_000 * p * (1 - p)));
      }
    }
  });
});
