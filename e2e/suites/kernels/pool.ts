import { padded } from '../../../shaders/kernel.ts';
import { logitsPool } from '../../../shaders/logits-pool.ts';
import { POOLINGS, type Pooling, packPoolings, pool } from '../../../shaders/pool.ts';
import { packBatch } from '../../../src/plan/batch.ts';
import * as reference from '../../../tests/reference.ts';
import { dispatch, padRows, random, unpadRows } from '../../dispatch.ts';
import { check, expect, expectClose } from '../../harness.ts';

const POOLS: Pooling[][] = [
  ...(Object.keys(POOLINGS) as Pooling[]).map(pooling => [pooling]),
  ['cls', 'mean', 'max'],
  ['weighted', 'last'],
  ['max', 'mean_sqrt', 'cls', 'weighted', 'last', 'mean'],
];

for (const pooling of POOLS) {
  for (const normalize of [false, true]) {
    check(`pool ${pooling.join(' and ')}${normalize ? ', normalised' : ''}`, async () => {
      const lengths = [1, 7, 63, 65, 257];
      const T = lengths.reduce((a, b) => a + b);
      const several = pooling.length;
      for (const [C, kept] of several > 1
        ? [
            [384, 384 * several],
            [50, 50 * several],
            [7, 7 * several],
          ]
        : [
            [384, 384],
            [50, 50],
            [48, 31],
          ]) {
        const x = random(C!)(T * C!);
        // Nothing left out; some tokens, all of them, and more than there are.
        for (const unpooled of [
          [0, 0, 0, 0, 0],
          [0, 3, 63, 70, 5],
        ]) {
          const ids = lengths.map(L => new Array<number>(L).fill(0));
          const batch = packBatch(
            ids.map((row, i) => ({ ids: row, positions: row, types: row, unpooled: unpooled[i] })),
            16,
          );
          const { y } = await dispatch(
            pool({ columns: C!, poolings: several, kept: kept! }),
            { sequences: batch.sequences, x: padRows(x, C!), y: { floats: lengths.length * padded(kept!) } },
            { sequences: lengths.length, pooling: packPoolings(pooling), normalize: Number(normalize), floor: 1e-12 },
          );
          const expected = reference.pool(x, lengths, { C: C!, kept: kept!, pooling, normalize, unpooled });
          // A mean by the root of n is a mean times as much.
          const scale = pooling.includes('mean_sqrt') && !normalize ? 16 : 1;
          const label = `${C}>${kept} without ${unpooled}`;
          expectClose(unpadRows(y!, kept!), expected, { label, absolute: 2e-6 * scale });
        }
      }
    });
  }
}

for (const pooling of ['max', 'sum'] as const) {
  for (const logarithms of [1, 2] as const) {
    check(`logits ${pooling}, ${logarithms} log`, async () => {
      const [V, from, S] = [600, 256, 307];
      const lengths = [1, 7, 63, 65];
      const starts = lengths.map((_, b) => lengths.slice(0, b).reduce((a, length) => a + length, 0));
      const sequences = Uint32Array.from(lengths.flatMap((length, b) => [starts[b]!, starts[b]! + length, 0, 0]));
      const x = random(V)(136 * S, 3);
      // Small weights must not be lost to the rounding of 1 + x.
      x.forEach((v, i) => {
        if (i % 5 === 0) x[i] = v * 10 ** -(i % 30);
      });
      const { y } = await dispatch(
        logitsPool({ pooling, logarithms }),
        { sequences, x: padRows(x, S), y: { floats: lengths.length * V } },
        { sequences: lengths.length, from4: from / 4, slice4: padded(S) / 4, row4: V / 4 },
      );
      const expected = reference.vocabularyPool(x, lengths, { V: S, pooling, logarithms });
      for (const [b, length] of lengths.entries()) {
        const row = y!.subarray(b * V, (b + 1) * V);
        // The columns of other slices are not touched; the padding of this one is zero.
        expect(
          row.subarray(0, from).every(Number.isNaN) && row.subarray(from + padded(S)).every(Number.isNaN),
          'others',
        );
        expect(row[from + S] === 0, 'padding');
        const wanted = expected.subarray(b * S, (b + 1) * S);
        expectClose(row.subarray(from, from + S), wanted, { label: `${length} tokens`, relative: 4e-6 });
        expect(
          wanted.every((v, i) => v < 1e-37 || row[from + i]! > 0),
          'what is positive stays positive',
        );
      }
    });
  }
}
