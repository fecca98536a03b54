import { padded, WHOLE_GRID } from '../../../shaders/kernel.ts';
import { topK } from '../../../shaders/top-k.ts';
import * as reference from '../../../tests/reference.ts';
import { dispatch, padRows, random, unpadRows } from '../../dispatch.ts';
import { check, expectClose } from '../../harness.ts';

for (const [V, k] of [
  [640, 5],
  [3, 3],
  [1001, 70],
] as const) {
  check(`top ${k} of ${V}, with ties`, async () => {
    const R = 7;
    // Rounded to quarters: many values are equal, and their order must be that of their indices.
    const x = random(V)(R * V, 3).map(v => Math.round(v * 4) / 4);
    const { y } = await dispatch(
      topK({ columns: V, k }),
      { x: padRows(x, V), y: { floats: R * padded(2 * k + 2) } },
      { rows: R, ...WHOLE_GRID },
      { fill: 0 },
    );
    const rows = unpadRows(y!, 2 * k + 2);
    reference.topK(x, { V, k }).forEach(({ logSumExp, best }, r) => {
      const [top, sum, ...pairs] = rows.subarray(r * (2 * k + 2), (r + 1) * (2 * k + 2));
      // The sum of up to 1,001 exponentials: 1,001^0.5 2^-24 of it.
      expectClose([top! + Math.log(sum!)], [logSumExp], { label: 'log-sum-exp', absolute: 4e-6 });
      expectClose(
        pairs,
        best.flatMap(({ value, index }) => [value, index]),
        { label: `row ${r}` },
      );
    });
  });
}
