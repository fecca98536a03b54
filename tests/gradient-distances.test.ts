import { describe, expect, it } from 'vitest';
import { attentionMoments } from '../shaders/attention-moments.ts';
import { disentangledKeyGradient, disentangledQueryGradient } from '../shaders/disentangled-backward.ts';
import { distancePartials, distanceSums, TABLE_PARTS } from '../shaders/disentangled-tables.ts';
import { distanceTable } from '../shaders/distance-table.ts';
import type { Kernel } from '../shaders/kernel.ts';
import { distanceSpans } from '../src/gradients/distances.ts';
import { distanceRows } from '../src/model/disentangled.ts';
import { profileOf } from '../src/plan/profiles.ts';
import { GPU, LLVMPIPE, SWIFTSHADER } from './caps.ts';
import { picker } from './drawn-configs.ts';
import { dropoutFactors } from './gradient-reference-attention.ts';
import { type DistanceCase, distanceBackward, distanceForward } from './gradient-reference-distances.ts';

const numbers = (count: number, seed: string): Float64Array => {
  const pick = picker(seed);
  return Float64Array.from({ length: count }, () => pick(-1000, 1000) / 700);
};

const clamped = (farthest: number) => (distance: number) =>
  Math.max(0, Math.min(2 * farthest - 1, farthest - distance));
const LENGTHS = [1, 7, 4];
const PLACES = [0, 0, 1, 2, 3, 5, 6, 7, 0, 1, 2, 4];

const CASES: Record<string, Partial<DistanceCase> & { tables: 'both' | 'keys' | 'queries' }> = {
  'with both tables': { tables: 'both' },
  'with keys of distances': { tables: 'keys' },
  'with queries of distances': { tables: 'queries' },
  'with dropout': {
    tables: 'both',
    factor: dropoutFactors({ probability: 0.3, site: 5, seed: 4_000_000_000, step: 77, keys: [9, 4_294_967_295, 0] }),
  },
  'with tokens that none attends to': {
    tables: 'both',
    unattended: [0, 3, 1],
    places: [0, 5, 6, 7, 0, 1, 3, 4, 3, 0, 1, 2],
  },
};

describe('the twin of disentangled attention backward', () => {
  it.each(Object.entries(CASES))('has the gradients that differences show: %s', (_, { tables, ...more }) => {
    const [H, D, count] = [2, 3, 8];
    const options: DistanceCase = {
      H,
      D,
      lengths: LENGTHS,
      scale: 0.4,
      rowOf: clamped(count / 2),
      count,
      places: PLACES,
      ...more,
    };
    const T = LENGTHS.reduce((a, b) => a + b);
    const operands = {
      qkv: numbers(T * 3 * H * D, 'qkv'),
      keys: tables === 'queries' ? undefined : numbers(count * H * D, 'keys'),
      queries: tables === 'keys' ? undefined : numbers(count * H * D, 'queries'),
    };
    const dcontext = numbers(T * H * D, 'dcontext');
    const loss = (changed: Partial<typeof operands>) =>
      distanceForward({ ...operands, ...changed }, options).context.reduce((sum, c, i) => sum + c * dcontext[i]!, 0);
    const { dqkv, dkeys, dqueries, delta } = distanceBackward(operands, dcontext, options);
    for (const [name, gradient] of [
      ['qkv', dqkv],
      ['keys', dkeys],
      ['queries', dqueries],
    ] as const) {
      const own = operands[name];
      if (!own) continue;
      gradient.forEach((found, i) => {
        const at = (h: number) => loss({ [name]: own.map((v, j) => (j === i ? v + h : v)) });
        const expected = (at(1e-5) - at(-1e-5)) / 2e-5;
        expect(Math.abs(found - expected), `${name} ${i}`).toBeLessThan(1e-6 * Math.max(1, Math.abs(expected)));
      });
    }
    const { context } = distanceForward(operands, options);
    delta.forEach((found, i) => {
      let sum = 0;
      for (let d = 0; d < D; d++) sum += context[i * D + d]! * dcontext[i * D + d]!;
      expect(found).toBeCloseTo(sum, 12);
    });
  });
});

describe('the distances of each row', () => {
  it.each([
    { count: 16, buckets: 0, maxDistance: 8 },
    { count: 12, buckets: 6, maxDistance: 40 },
    { count: 512, buckets: 256, maxDistance: 512 },
  ])('are neighbours, and are all: $count rows, $buckets buckets', terms => {
    const rows = distanceRows(terms);
    const spans = new Int32Array(distanceSpans({ rows, count: terms.count }).buffer);
    const farthest = (rows.length - 1) / 2;
    for (let distance = -farthest - 9; distance <= farthest + 9; distance++) {
      const row = rows[Math.max(-farthest, Math.min(farthest, distance)) + farthest]!;
      const found = [...new Array(terms.count).keys()].filter(
        r => spans[2 * r]! <= distance && distance <= spans[2 * r + 1]!,
      );
      expect(found).toEqual([row]);
    }
  });

  it('that are no neighbours are a mistake', () => {
    expect(() => distanceSpans({ rows: Uint32Array.of(1, 0, 1), count: 2 })).toThrow(/not neighbours/);
  });
});

describe('the kernels of disentangled attention in training', () => {
  it('have an invocation for every row of a tile, and of a table', () => {
    for (const caps of [GPU, SWIFTSHADER, LLVMPIPE]) {
      for (const headSize of [8, 20, 64, 128, 256]) {
        const { attention, target } = profileOf(caps);
        const shape = attention(headSize);
        const variant = { heads: 3, headSize, keys: true, queries: true, count: 70 };
        for (const make of [disentangledQueryGradient, disentangledKeyGradient]) {
          const { workgroups, code } = make({ ...variant, farthest: 70 }, shape, target.texture);
          const [tiles, heads, slices] = workgroups({ tiles: 7 });
          expect([tiles, heads]).toEqual([7, 3]);
          const rows = Number(/first = tile\.z \+ group\.z \* (\d+)u/.exec(code)![1]);
          expect(rows * slices).toBe(shape.lanes * shape.queries);
        }
        const [parts, heads, rows] = distancePartials(variant, shape, target.texture).workgroups({ tiles: 7 });
        expect([parts, heads]).toEqual([TABLE_PARTS, 3]);
        expect(rows / Math.ceil(headSize / 64)).toBe(Math.ceil(70 / shape.lanes));
      }
    }
  });

  it('bind eight buffers at most, by the names that the plan gives', () => {
    const names = ({ bindings }: Kernel) => bindings.map(({ name }) => name).join(' ');
    const shape = profileOf(GPU).attention(64);
    const variant = { heads: 3, headSize: 64, keys: true, queries: true, count: 8 };
    const gradients = 'tiles qkv tokens distance_rows distance_tables dcontext moments dqkv';
    expect(names(disentangledQueryGradient({ ...variant, farthest: 8 }, shape, undefined))).toBe(gradients);
    expect(names(disentangledKeyGradient({ ...variant, farthest: 8 }, shape, undefined))).toBe(gradients);
    const partials = 'tiles qkv tokens spans distance_tables dcontext moments partials';
    expect(names(distancePartials(variant, shape, undefined))).toBe(partials);
    expect(names(distanceSums({ columns: 24 }))).toBe('partials dtables');
    expect(names(distanceTable({ columns: 24 }))).toBe('x y');
    expect(names(attentionMoments({ heads: 3, headSize: 64 }))).toBe('dcontext context statistics moments');
    expect(() => distanceTable({ columns: 6 })).toThrow(/6 columns/);
    const none = { ...variant, keys: false, queries: false };
    expect(() => distancePartials(none, shape, undefined)).toThrow(/without a table/);
  });
});
