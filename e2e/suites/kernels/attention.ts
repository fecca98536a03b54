import { attention } from '../../../shaders/attention.ts';
import { padded, WHOLE_GRID } from '../../../shaders/kernel.ts';
import { packBatch } from '../../../src/plan/batch.ts';
import { bucketTable } from '../../../src/plan/relative.ts';
import type { Sequence } from '../../../src/plan/sequence.ts';
import { once } from '../../../tests/once.ts';
import * as reference from '../../../tests/reference.ts';
import { dispatch, padRows, random, unpadRows } from '../../dispatch.ts';
import { check, expect, expectClose } from '../../harness.ts';
import { casesFor, FULL_TIERS, profileFor } from './tiers.ts';

/** The numbers of a case and what the twin makes of them, once for all tiers. */
const plainNumbers = once((H: number, D: number) => {
  const lengths = [1, 7, 65, 16, 3, 63];
  // Scores with a deviation of about 3: some keys dominate.
  const qkv = random(H * D)(lengths.reduce((a, b) => a + b) * 3 * H * D, 1.7);
  return { lengths, qkv, expected: reference.attention(qkv, lengths, { H, D }) };
});

const HEADS = [
  [2, 25],
  [1, 64],
  [2, 8],
  [3, 12],
  [12, 32],
  [1, 128],
] as const;

for (const tier of FULL_TIERS) {
  for (const [H, D] of casesFor(tier, HEADS)) {
    for (const probabilities of [false, true]) {
      if (probabilities && D > 32) continue;
      check(`attention ${H}x${D}${probabilities ? ' with probabilities' : ''} (${tier})`, async log => {
        const variant = { heads: H, keyHeads: H, headSize: D, probabilities, relative: false };
        const { attention: shapeOf, target } = await profileFor(tier);
        const shape = shapeOf(D);
        const { lengths, qkv, expected } = plainNumbers(H, D);
        const T = lengths.reduce((a, b) => a + b);
        const blank = lengths.map(L => ({ ids: new Array(L).fill(0) as number[] }));
        const sequences: Sequence[] = blank.map(({ ids }) => ({ ids, positions: ids, types: ids }));
        const batch = packBatch(sequences, shape.lanes * shape.queries);
        const { context, probabilities: found } = await dispatch(
          attention(variant, shape, target.texture),
          {
            tiles: batch.tiles,
            qkv: padRows(qkv, D),
            context: { floats: T * H * padded(D) },
            ...(probabilities && { probabilities: { floats: H * batch.sizes.pairs } }),
          },
          { tiles: batch.sizes.tiles, scale: 1 / Math.sqrt(D), ...WHOLE_GRID },
        );
        const worst = expectClose(unpadRows(context!, D), expected.context, { label: 'context', absolute: 1e-5 });
        if (found) expectClose(found, expected.probabilities, { label: 'probabilities', absolute: 2e-6 });
        log(`largest difference ${worst.toExponential(1)}`);
      });
    }
  }
}

check('attention with a relative bias', async () => {
  const [H, D] = [3, 8];
  const variant = { heads: H, keyHeads: H, headSize: D, probabilities: true, relative: true };
  for (const tier of FULL_TIERS) {
    const { attention: shapeOf, target } = await profileFor(tier);
    const shape = shapeOf(D);
    const make = random(5);
    // Longer than the largest distance that is told apart.
    const lengths = [1, 150, 9];
    const T = lengths.reduce((a, b) => a + b);
    const qkv = make(T * 3 * H * D);
    const bias = make(32 * H, 2);
    const buckets = bucketTable(32);
    const rows = lengths.map(L => new Array<number>(L).fill(0));
    const batch = packBatch(
      // Every other place of the row was padding: distances are twice what they look.
      rows.map(ids => ({ ids, positions: ids, types: ids, places: ids.map((_, i) => 2 * i) })),
      shape.lanes * shape.queries,
    );
    const { context, probabilities } = await dispatch(
      attention(variant, shape, target.texture),
      {
        tiles: batch.tiles,
        qkv,
        tokens: batch.tokens,
        buckets,
        bias: padRows(bias, H),
        context: { floats: T * H * D },
        probabilities: { floats: H * batch.sizes.pairs },
      },
      { tiles: batch.sizes.tiles, scale: 1 / Math.sqrt(D), ...WHOLE_GRID },
    );
    const expected = reference.attention(qkv, lengths, {
      H,
      D,
      bias: (distance, head) => bias[reference.relativeBucket(2 * distance, 32) * H + head]!,
    });
    expectClose(context!, expected.context, { label: `context (${tier})`, absolute: 1e-5 });
    expectClose(probabilities!, expected.probabilities, { label: `probabilities (${tier})`, absolute: 2e-6 });
  }
});

type Case = readonly [
  H: number,
  G: number,
  D: number,
  window: number | undefined,
  bias: 'slopes' | 'buckets' | undefined,
  probabilities: boolean,
];

const CASES: readonly Case[] = [
  [4, 2, 8, undefined, undefined, true],
  [6, 2, 25, 9, undefined, true],
  [2, 2, 12, 0, undefined, true],
  [3, 3, 32, 64, undefined, false],
  [2, 1, 8, 1000, 'slopes', true],
  [3, 3, 8, undefined, 'slopes', true],
  [2, 2, 12, 5, 'buckets', true],
  [2, 1, 256, 20, undefined, false],
];

/** As above, with what decides which keys a query sees, and what is added to their scores. */
const numbersOf = once(([H, G, D, window, bias]: Case) => {
  const make = random(H * D);
  const lengths = [1, 7, 300, 16, 65];
  const qkv = make(lengths.reduce((a, b) => a + b) * (H + 2 * G) * D, 1.7);
  const table = make(32 * H, 2);
  const slopes = Float32Array.from({ length: H }, (_, h) => 2 ** -(h + 1));
  const biases = {
    none: () => 0,
    slopes: (distance: number, head: number) => -slopes[head]! * Math.abs(2 * distance),
    buckets: (distance: number, head: number) => table[reference.relativeBucket(2 * distance, 32) * H + head]!,
  };
  const expected = reference.attention(qkv, lengths, {
    H,
    G,
    D,
    bias: biases[bias ?? 'none'],
    seen: distance => window === undefined || Math.abs(2 * distance) <= window,
  });
  return { lengths, qkv, table, slopes, expected };
});

for (const tier of FULL_TIERS) {
  for (const one of casesFor(tier, CASES)) {
    const [H, G, D, window, bias, probabilities] = one;
    const words = `${bias ? ` ${bias}` : ''}${window === undefined ? '' : ` in a window of ${window}`}`;
    check(`attention ${H}/${G}x${D}${words}${probabilities ? ' with probabilities' : ''} (${tier})`, async log => {
      const { attention: shapeOf, target } = await profileFor(tier);
      const shape = shapeOf(D);
      const { lengths, qkv, table, slopes, expected } = numbersOf(one);
      const T = lengths.reduce((a, b) => a + b);
      const rows = lengths.map(L => new Array<number>(L).fill(0));
      // Every other place of the row was padding.
      const batch = packBatch(
        rows.map(ids => ({ ids, positions: ids, types: ids, places: ids.map((_, i) => 2 * i) })),
        shape.lanes * shape.queries,
      );
      const kernel = attention(
        {
          heads: H,
          keyHeads: G,
          headSize: D,
          probabilities,
          relative: bias === 'buckets',
          slopes: bias === 'slopes',
          window: window !== undefined,
        },
        shape,
        target.texture,
      );
      const results = await dispatch(
        kernel,
        {
          tiles: batch.tiles,
          qkv: padRows(qkv, D),
          ...((bias || window !== undefined) && { tokens: batch.tokens }),
          ...(bias === 'slopes' && { slopes }),
          ...(bias === 'buckets' && { buckets: bucketTable(32), bias: padRows(table, H) }),
          context: { floats: T * H * padded(D) },
          ...(probabilities && { probabilities: { floats: H * batch.sizes.pairs } }),
        },
        {
          tiles: batch.sizes.tiles,
          scale: 1 / Math.sqrt(D),
          ...(window !== undefined && { window }),
          ...WHOLE_GRID,
        },
      );
      // As without a window: probabilities are off by a few 2^-24 of the largest score.
      const worst = expectClose(unpadRows(results.context!, D), expected.context, { label: 'context', absolute: 1e-5 });
      if (probabilities) {
        expectClose(results.probabilities!, expected.probabilities, { label: 'probabilities', absolute: 2e-6 });
        expected.probabilities.forEach((p, i) => {
          if (p === 0)
            expect(results.probabilities![i] === 0, `probability ${i} is ${results.probabilities![i]}, not 0`);
        });
      }
      log(`largest difference ${worst.toExponential(1)}`);
    });
  }
}
