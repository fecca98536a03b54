import { padded } from '../../../shaders/kernel.ts';
import { weigh } from '../../../shaders/weigh.ts';
import { dispatch, padRows, random, unpadRows } from '../../dispatch.ts';
import { check, expectClose } from '../../harness.ts';
import { FULL_TIERS, profileFor, ROWS } from './tiers.ts';

for (const tier of FULL_TIERS) {
  for (const [C, count] of [
    [384, 13],
    [37, 2],
    [5, 4],
  ] as const) {
    check(`terms of a weighted mean of ${count}, ${C} columns (${tier})`, async () => {
      const make = random(C);
      const { norm } = await profileFor(tier);
      const factors = make(count).map(v => v + 2);
      const total = factors.reduce((sum, v) => sum + v, 0);
      for (const T of ROWS) {
        const [x, sum] = [make(T * C), make(T * C)];
        for (const hasSum of [false, true]) {
          const index = count - 1;
          const operands = {
            x: padRows(x, C),
            ...(hasSum && { sum: padRows(sum, C) }),
            factors: padRows(factors, count),
            y: { floats: T * padded(C) },
          };
          const { y } = await dispatch(weigh({ columns: C, count, sum: hasSum }, norm), operands, { rows: T, index });
          const expected = Array.from(x, (v, i) => (hasSum ? sum[i]! : 0) + (v * factors[index]!) / total);
          expectClose(unpadRows(y!, C), expected, { label: `T = ${T}`, absolute: 2e-6 });
        }
      }
    });
  }
}
