import { describe, expect, test } from 'vitest';
import { PCG4D } from '../shaders/random.ts';
import { rowKey } from '../src/gradients/batch.ts';
import { namedWords, naturalLogarithm, normalNumbers } from '../src/random.ts';
import {
  checkSeed,
  dropoutKeeps,
  dropoutThreshold,
  normalWeights,
  Pcg32,
  pcg4d,
  permutation,
  randomStream,
  rowDropout,
} from '../src/training/index.ts';
import python from './fixtures/training-host.json' with { type: 'json' };
import { dropoutFactors } from './gradient-reference-rows.ts';
import { digestOfNormals, NORMALS } from './normal-digest.ts';

type Word4 = [number, number, number, number];

describe('pcg4d', () => {
  test('gives the words of 32-bit arithmetic in numpy', () => {
    for (const { words, hash } of python.hashes) expect(pcg4d(words as Word4)).toEqual(hash);
  });

  test('is written in WGSL in the same order', () => {
    // Statement by statement, run in whole numbers of any size modulo 2^32.
    const statements = /var v = .*;\n([\s\S]*?)return v;/.exec(PCG4D)![1]!.trim().split(/;\s*/).filter(Boolean);
    for (const { words, hash } of python.hashes) {
      const v = Object.fromEntries(
        [...'xyzw'].map((name, i) => [name, (BigInt(words[i]!) * 1664525n + 1013904223n) % 2n ** 32n]),
      );
      for (const statement of statements) {
        const sum = /^v\.(\w) \+= v\.(\w) \* v\.(\w)$/.exec(statement);
        if (sum) v[sum[1]!] = (v[sum[1]!]! + v[sum[2]!]! * v[sum[3]!]!) % 2n ** 32n;
        else {
          expect(statement).toBe('v ^= v >> vec4u(16u)');
          for (const name of 'xyzw') v[name]! ^= v[name]! >> 16n;
        }
      }
      expect([...'xyzw'].map(name => Number(v[name]))).toEqual(hash);
    }
  });
});

describe('dropout', () => {
  const mask = { site: 19, seed: 42, step: 7, p: 0.1 };

  test('has the factors of the twin of the kernel', () => {
    const C = 20;
    const keys = [rowKey(3, 5), rowKey(2 ** 18 - 2, 2 ** 14 - 1), 0];
    for (const seed of [0, 42, 2 ** 32 - 1]) {
      const factors = keys.flatMap(key =>
        Array.from({ length: C / 4 }, (_, i) => rowDropout(i, key, { ...mask, seed })),
      );
      const twin = dropoutFactors(keys, { C, ...mask, seed });
      expect(factors.flat()).toEqual([...twin].map(Math.fround));
    }
  });

  test('says of every element whether it is kept', () => {
    const factors = rowDropout(6, rowKey(3, 5), { ...mask, p: 0.5 });
    expect(factors.map((_, i) => dropoutKeeps(24 + i, rowKey(3, 5), { ...mask, p: 0.5 }))).toEqual(
      factors.map(factor => factor > 0),
    );
  });

  test('drops nothing at 0, and about its share at other rates, whatever number goes on', () => {
    expect(dropoutThreshold(0)).toBe(0);
    expect(dropoutThreshold(1 - 2 ** -40)).toBe(2 ** 32 - 1);
    for (const p of [0, 0.1, 0.5, 0.9]) {
      const draws: ((i: number) => number[])[] = [
        i => rowDropout(i, rowKey(3, 5), { ...mask, p }),
        i => rowDropout(3, rowKey(i >> 6, i & 63), { ...mask, p }),
        i => rowDropout(3, rowKey(3, 5), { ...mask, p, step: i }),
        i => rowDropout(3, rowKey(3, 5), { ...mask, p, site: i }),
      ];
      for (const draw of draws) {
        const n = 20_000;
        let dropped = 0;
        for (let i = 0; i < n; i++) dropped += draw(i).filter(factor => factor === 0).length;
        // Five standard deviations of 4 n draws.
        expect(Math.abs(dropped / (4 * n) - p)).toBeLessThanOrEqual(5 * Math.sqrt((p * (1 - p)) / (4 * n)));
      }
    }
  });

  test('has a key for every row', () => {
    const keys = [-1, 0, 1, 511, 2 ** 18 - 2].flatMap(sequence =>
      [0, 1, 8191, 2 ** 14 - 1].map(token => rowKey(sequence, token)),
    );
    expect(new Set(keys).size).toBe(keys.length);
    expect(Math.min(...keys)).toBe(0);
    expect(Math.max(...keys)).toBe(2 ** 32 - 1);
  });
});

describe('PCG32', () => {
  test("gives the numbers of O'Neill's demonstration (pcg32-demo: state 42, sequence 54)", () => {
    const stream = new Pcg32([0, 42], [0, 54]);
    const words = [0xa15c02b7, 0x7b47f409, 0xba1d3330, 0x83d2f293, 0xbfa4784b, 0xcbed606e];
    expect(words.map(() => stream.next())).toEqual(words);
  });

  test('gives the numbers of 64-bit arithmetic in Python, and the orders', () => {
    for (const { state, sequence, words, below, order } of python.streams) {
      const stream = new Pcg32(state as [number, number], sequence as [number, number]);
      expect(words.map(() => stream.next())).toEqual(words);
      expect([1, 2, 6, 1000, 3e9, 2 ** 32].map(bound => stream.below(bound))).toEqual(below);
      expect([...permutation(23, stream)]).toEqual(order);
    }
  });

  test('has other numbers for another seed, epoch, index and purpose, and the same for the same', () => {
    const key = { seed: 42, purpose: 'order', epoch: 1, index: 2 } as const;
    const words = (of: Partial<Parameters<typeof randomStream>[0]>) => {
      const stream = randomStream({ ...key, ...of });
      return Array.from({ length: 4 }, () => stream.next()).join();
    };
    expect(words({})).toBe(words({}));
    const others = [{}, { seed: 43 }, { epoch: 2 }, { index: 3 }, { purpose: 'mask' } as const].map(words);
    expect(new Set(others).size).toBe(others.length);
  });

  test('makes every order of three about as often', () => {
    const counts = new Map<string, number>();
    for (let epoch = 0; epoch < 6000; epoch++) {
      const order = permutation(3, randomStream({ seed: 7, purpose: 'order', epoch })).join('');
      counts.set(order, (counts.get(order) ?? 0) + 1);
    }
    expect(counts.size).toBe(6);
    // Five standard deviations of a binomial distribution with 1/6.
    for (const count of counts.values()) expect(Math.abs(count - 1000)).toBeLessThan(5 * Math.sqrt(6000 * (5 / 36)));
    expect([...permutation(0, randomStream({ seed: 7, purpose: 'order' }))]).toEqual([]);
    expect(() => permutation(1.5, randomStream({ seed: 7, purpose: 'order' }))).toThrow(/the length of an order/);
  });

  test('draws uniform and normal numbers with the moments that these have', () => {
    const stream = randomStream({ seed: 3, purpose: 'weights' });
    const n = 50_000;
    const uniform = Array.from({ length: n }, () => stream.uniform());
    expect(Math.min(...uniform.slice(0, 10_000))).toBeGreaterThanOrEqual(0);
    expect(Math.max(...uniform.slice(0, 10_000))).toBeLessThan(1);
    expect(Math.abs(uniform.reduce((a, b) => a + b) / n - 0.5)).toBeLessThan(5 * Math.sqrt(1 / 12 / n));
    const weights = normalWeights(n, 0.02, stream);
    const moment = (power: number) => weights.reduce((sum, w) => sum + (w / 0.02) ** power, 0) / n;
    expect(Math.abs(moment(1))).toBeLessThan(5 / Math.sqrt(n));
    expect(Math.abs(moment(2) - 1)).toBeLessThan(5 * Math.sqrt(2 / n));
    expect(Math.abs(moment(4) - 3)).toBeLessThan(5 * Math.sqrt(96 / n));
    expect(() => normalWeights(3, Number.NaN, stream)).toThrow(/standard deviation/);
  });

  test('takes whole numbers below 2^32 as seeds', () => {
    expect(checkSeed('seed', 0)).toBe(0);
    for (const seed of [-1, 1.5, 2 ** 32, Number.NaN, '4', null]) {
      expect(() => checkSeed('seed', seed)).toThrow(/seed is wrong: .* expected a whole number from 0 to 4294967295/);
    }
  });
});

describe('normal numbers', () => {
  const N = 200_000;
  const numbers = (seed: number, name = 'classifier.weight') => {
    const next = normalNumbers(namedWords(seed, name));
    return Float64Array.from({ length: N }, next);
  };

  test('have the moments of the distribution, and none beyond what so many may have', () => {
    const drawn = numbers(42);
    const moment = (power: number) => drawn.reduce((sum, x) => sum + x ** power, 0) / N;
    // Five standard deviations of each.
    for (const [power, mean, variance] of [
      [1, 0, 1],
      [2, 1, 2],
      [3, 0, 15],
      [4, 3, 96],
    ] as const) {
      expect(Math.abs(moment(power) - mean)).toBeLessThan(5 * Math.sqrt(variance / N));
    }
    const largest = drawn.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
    expect(largest).toBeGreaterThan(3.9);
    expect(largest).toBeLessThan(6.5);
  });

  test('follow its distribution function (Kolmogorov and Smirnov)', () => {
    for (const seed of [0, 42, 2 ** 32 - 1]) {
      const sorted = numbers(seed).sort();
      let farthest = 0;
      for (const [i, x] of sorted.entries()) {
        const p = normalDistribution(x);
        farthest = Math.max(farthest, p - i / N, (i + 1) / N - p);
      }
      // Exceeded by one in a million samples: sqrt(ln(2e6) / 2).
      expect(farthest * Math.sqrt(N)).toBeLessThan(2.7);
    }
  });

  test('say nothing of the next ones, nor of those of another name or seed', () => {
    const drawn = numbers(42);
    const correlation = (a: Float64Array, b: Float64Array) => a.reduce((sum, x, i) => sum + x * (b[i] ?? 0), 0) / N;
    for (const lag of [1, 2, 3, 4, 8, 768]) {
      expect(Math.abs(correlation(drawn, drawn.subarray(lag)))).toBeLessThan(5 / Math.sqrt(N));
    }
    for (const other of [numbers(43), numbers(42, 'classifier.bias'), numbers(42, 'classifier.weigh')]) {
      expect(Math.abs(correlation(drawn, other))).toBeLessThan(5 / Math.sqrt(N));
    }
  });

  test('are the same bits in every engine', () => {
    // The same sums are computed in the browsers: e2e/suites/training.ts.
    expect(digestOfNormals(42, 'classifier.weight')).toBe(NORMALS);
  });

  test('have a logarithm that is right to two units of the last place', () => {
    for (let i = 0; i < 1000; i++) {
      const x = 2 ** (-i / 16) * (1 - i / 4000);
      if (x === 1) continue;
      expect(Math.abs(naturalLogarithm(x) / Math.log(x) - 1)).toBeLessThan(2 * Number.EPSILON);
    }
    expect(naturalLogarithm(1)).toBe(0);
  });
});

/** The distribution function, by the series of Abramowitz and Stegun, 26.2.10, whose terms cancel no more than 1e-9 here. */
function normalDistribution(x: number): number {
  let term = x;
  let sum = x;
  for (let n = 1; Math.abs(term) > 1e-17 && n < 500; n++) {
    term *= (-x * x) / (2 * n);
    sum += term / (2 * n + 1);
  }
  return Math.min(1, Math.max(0, 0.5 + sum / Math.sqrt(2 * Math.PI)));
}
