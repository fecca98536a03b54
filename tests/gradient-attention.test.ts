import { describe, expect, it } from 'vitest';
import { attention } from '../shaders/attention.ts';
import { attentionBiasPartials, attentionKeyGradient, attentionQueryGradient } from '../shaders/attention-backward.ts';
import { attentionBiasGradient } from '../shaders/attention-bias-gradient.ts';
import { bucketOf } from '../shaders/attention-buckets.ts';
import { attentionDelta } from '../shaders/attention-delta.ts';
import type { Kernel } from '../shaders/kernel.ts';
import { profileOf } from '../src/plan/profiles.ts';
import { bucketTable } from '../src/plan/relative.ts';
import { GPU, LLVMPIPE, SWIFTSHADER } from './caps.ts';
import {
  type AttentionCase,
  attentionBackward,
  attentionForward,
  dropoutFactors,
} from './gradient-reference-attention.ts';
import { attention as inference, relativeBucket } from './reference.ts';

/** Numbers of about 1 that are the same in every run. */
function numbers(count: number, seed: number): Float64Array {
  let state = seed;
  return Float64Array.from({ length: count }, () => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return (state / 2 ** 31 - 1) * 1.7;
  });
}

const DROPOUT = { probability: 0.3, site: 5, seed: 4_000_000_000, step: 77, keys: [9, 4_294_967_295, 0] };
const LENGTHS = [1, 7, 4];
const table = numbers(8 * 4, 3);

const CASES: Record<string, Omit<AttentionCase, 'lengths'>> = {
  plain: { H: 2, D: 3 },
  'with dropout': { H: 2, D: 4, factor: dropoutFactors(DROPOUT) },
  'with fewer key heads': { H: 4, G: 2, D: 3, factor: dropoutFactors(DROPOUT) },
  'in a window': { H: 2, D: 2, window: 2, places: [0, 0, 1, 2, 3, 5, 6, 7, 0, 1, 2, 4] },
  'with slopes': { H: 2, D: 3, bias: (distance, head) => -Math.abs(distance) / 2 ** (head + 1) },
  'with a relative bias': { H: 4, D: 2, bias: (distance, head) => table[relativeBucket(distance, 8) * 4 + head]! },
  'with tokens that none attends to': { H: 2, D: 3, unattended: [0, 3, 1], factor: dropoutFactors(DROPOUT) },
};

describe('the twin of attention backward', () => {
  it.each(Object.entries(CASES))('has the gradients that differences show: %s', (_, options) => {
    const all = { ...options, lengths: LENGTHS };
    const { H, G = H, D } = all;
    const T = LENGTHS.reduce((a, b) => a + b);
    const qkv = numbers(T * (H + 2 * G) * D, 1);
    const dcontext = numbers(T * H * D, 2);
    const loss = (x: Float64Array, more: Partial<AttentionCase> = {}) =>
      attentionForward(x, { ...all, ...more }).context.reduce((sum, c, i) => sum + c * dcontext[i]!, 0);
    const biases = new Map<string, number>();
    const { dqkv, delta } = attentionBackward(qkv, dcontext, all, (distance, head, dS) => {
      const name = `${distance} ${head}`;
      biases.set(name, (biases.get(name) ?? 0) + dS);
    });
    const difference = (at: (h: number) => number) => {
      const h = 1e-5;
      return (at(h) - at(-h)) / (2 * h);
    };
    const close = (found: number, expected: number) =>
      expect(Math.abs(found - expected)).toBeLessThan(1e-6 * Math.max(1, Math.abs(expected)));
    dqkv.forEach((found, i) => {
      close(
        found,
        difference(h => loss(qkv.map((v, j) => (j === i ? v + h : v)))),
      );
    });
    for (const [name, found] of biases) {
      const moved = (h: number) => (distance: number, head: number) =>
        (all.bias?.(distance, head) ?? 0) + (`${distance} ${head}` === name ? h : 0);
      close(
        found,
        difference(h => loss(qkv, { bias: moved(h) })),
      );
    }
    // What the kernel attentionDelta computes.
    const { context } = attentionForward(qkv, all);
    delta.forEach((found, i) => {
      let sum = 0;
      for (let d = 0; d < D; d++) sum += context[i * D + d]! * dcontext[i * D + d]!;
      expect(found).toBeCloseTo(sum, 12);
    });
  });

  it('goes forward as the twin of inference does', () => {
    const [H, G, D] = [4, 2, 3];
    const qkv = numbers(12 * (H + 2 * G) * D, 1);
    const bias = (distance: number, head: number) => distance / (head + 3);
    const { context } = attentionForward(qkv, { H, G, D, bias, window: 3, lengths: LENGTHS });
    const expected = inference(qkv, LENGTHS, { H, G, D, bias, seen: distance => Math.abs(distance) <= 3 });
    context.forEach((found, i) => {
      expect(found).toBeCloseTo(expected.context[i]!, 12);
    });
  });

  it('drops about as many as it is told to', () => {
    const factor = dropoutFactors(DROPOUT);
    let kept = 0;
    for (let query = 0; query < 100; query++)
      for (let key = 0; key < 100; key++) kept += Math.sign(factor(1, 3, query, key));
    // Four standard deviations of 10,000 draws.
    expect(Math.abs(kept - 7000)).toBeLessThan(4 * Math.sqrt(10_000 * 0.3 * 0.7));
  });
});

describe('the kernels of attention in training', () => {
  const variants = [
    {},
    { keyHeads: 2 },
    { window: true, slopes: true, dropout: true },
    { buckets: bucketTable(32), dropout: true },
  ];
  const made = [GPU, SWIFTSHADER, LLVMPIPE].flatMap(caps =>
    [8, 20, 32, 64, 128, 256, 320].flatMap(headSize => {
      const { attention: shapeOf, target } = profileOf(caps);
      const shape = shapeOf(headSize);
      const tile = shape.lanes * shape.queries;
      return variants.flatMap(more => {
        const variant = { heads: 4, headSize, ...more };
        const args = [shape, target.texture] as const;
        return [
          attentionQueryGradient(variant, ...args),
          attentionKeyGradient(variant, ...args),
          ...(more.buckets ? [attentionBiasPartials({ ...variant, buckets: more.buckets, rows: 32 }, ...args)] : []),
        ].map(kernel => ({ kernel, tile, variant }));
      });
    }),
  );

  it('have an invocation for every row of a tile', () => {
    for (const { kernel, tile, variant } of made) {
      const [tiles, heads, slices] = kernel.workgroups({ tiles: 7 });
      expect(tiles).toBe(7);
      expect(heads).toBe(kernel.name.includes(' key ') ? (variant.keyHeads ?? 4) : 4);
      const rows = /slice_first = tile\.z \+ (?:group\.z|slice) \* (\d+)u/.exec(kernel.code)![1];
      const rounds = kernel.name.includes(' bias ') ? /slice < (\d+)u/.exec(kernel.code)![1] : slices;
      expect(Number(rows) * Number(rounds)).toBe(tile);
    }
  });

  it('bind what the plan binds, by these names', () => {
    const names = ({ bindings }: Kernel) => bindings.map(({ name }) => name).join(' ');
    const shape = profileOf(GPU).attention(64);
    const variant = { heads: 3, headSize: 64 };
    const buckets = bucketTable(32);
    const gradients = 'tiles qkv dcontext statistics delta dqkv';
    expect(names(attentionQueryGradient(variant, shape, undefined))).toBe(gradients);
    expect(names(attentionKeyGradient(variant, shape, undefined))).toBe(gradients);
    expect(names(attentionKeyGradient({ ...variant, slopes: true }, shape, undefined))).toBe(
      'tiles qkv tokens slopes dcontext statistics delta dqkv',
    );
    expect(names(attentionKeyGradient({ ...variant, buckets }, shape, undefined))).toBe(
      'tiles qkv tokens bias dcontext statistics delta dqkv',
    );
    expect(names(attentionBiasPartials({ ...variant, buckets, rows: 32 }, shape, undefined))).toBe(
      'tiles qkv tokens bias dcontext statistics delta partials',
    );
    expect(names(attentionBiasGradient({ heads: 3, rows: 32 }))).toBe('partials gradient');
    expect(names(attentionDelta(variant))).toBe('dcontext context delta');
    const forward = attention(
      { ...variant, probabilities: false, relative: false, statistics: true, dropout: true },
      shape,
      undefined,
    );
    expect(names(forward)).toBe('tiles qkv context statistics');
    expect(forward.params.map(({ name }) => name)).toEqual(
      'tiles scale dropout dropout_scale site seed step first_x first_y'.split(' '),
    );
    expect(() =>
      attention({ ...variant, probabilities: true, relative: false, dropout: true }, shape, undefined),
    ).toThrow(/no probabilities/);
  });

  it('have the steps of the table of buckets in their text', () => {
    for (const count of [8, 32, 33]) {
      const table = bucketTable(count);
      const text = bucketOf(table);
      const lists = Object.fromEntries(
        ['before', 'after'].map(side => [
          side,
          [...text.matchAll(new RegExp(`${side} \\+= .*far >= vec4u\\((.*?)\\)`, 'g'))].flatMap(([, list]) =>
            list!.split(', ').map(word => Number.parseInt(word, 10)),
          ),
        ]),
      ) as { before: number[]; after: number[] };
      const [, before, after] = /select\((\d+)u \+ .*?, (\d+)u \+/.exec(text)!;
      for (let distance = -200; distance <= 200; distance++) {
        const counted = (list: number[]) => list.filter(step => Math.abs(distance) >= step).length;
        const bucket =
          distance === 0
            ? Number(/, (\d+)u, distance == 0/.exec(text)![1])
            : distance > 0
              ? Number(after) + counted(lists.after)
              : Number(before) + counted(lists.before);
        expect(bucket).toBe(table[Math.max(-128, Math.min(128, distance)) + 128]);
      }
    }
    expect(() => bucketOf(Uint32Array.from({ length: 257 }, (_, i) => i))).toThrow(/less than the one before/);
    expect(() => bucketOf([1, 2])).toThrow(/257 distances/);
  });
});
