import { padded } from '../../../shaders/kernel.ts';
import { POOLINGS, type Pooling, packPoolings } from '../../../shaders/pool.ts';
import { poolBackward } from '../../../shaders/pool-backward.ts';
import { packBatch } from '../../../src/plan/batch.ts';
import * as gradient from '../../../tests/gradient-reference-rows.ts';
import { dispatch, padRows, random, unpadRows } from '../../dispatch.ts';
import { check, expectClose } from '../../harness.ts';
import { ofRow } from './tolerance.ts';

const POOLS: Pooling[][] = [
  ...(Object.keys(POOLINGS) as Pooling[]).map(pooling => [pooling]),
  ['cls', 'mean', 'max'],
  ['max', 'mean_sqrt', 'cls', 'weighted', 'last', 'mean'],
];

for (const pooling of POOLS) {
  check(`pool ${pooling.join(' and ')} backward`, async log => {
    const lengths = [1, 7, 63, 65, 257];
    const T = lengths.reduce((a, b) => a + b);
    let worst = 0;
    for (const C of [36, 5, 384]) {
      for (const kept of pooling.length > 1 ? [C * pooling.length] : [C, Math.ceil(C * 0.6)]) {
        const make = random(C);
        // Numbers that occur more than once: the first of the greatest counts.
        const x = make(T * C).map(v => Math.round(v * 4) / 4);
        const dy = make(lengths.length * kept);
        for (const unpooled of [
          [0, 0, 0, 0, 0],
          [0, 3, 63, 70, 5],
        ]) {
          const batch = packBatch(
            lengths.map((L, b) => {
              const row = new Array<number>(L).fill(0);
              return { ids: row, positions: row, types: row, unpooled: unpooled[b] };
            }),
            16,
          );
          const max = pooling.includes('max');
          const { dx } = await dispatch(
            poolBackward({ columns: C, poolings: pooling.length, kept, max }),
            {
              sequences: batch.sequences,
              dy: padRows(dy, kept),
              dx: { floats: T * padded(C) },
              ...(max && { x: padRows(x, C) }),
            },
            { sequences: lengths.length, pooling: packPoolings(pooling) },
          );
          const expected = gradient.poolBackward(x, dy, lengths, { C, kept, pooling, unpooled });
          const label = `${C}>${kept} without ${unpooled}`;
          worst = Math.max(worst, expectClose(unpadRows(dx!, C), expected, ofRow(label)));
        }
      }
    }
    log(`largest difference ${worst.toExponential(1)}`);
  });
}
