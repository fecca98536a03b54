import { dropout } from '../../../shaders/dropout.ts';
import { padded } from '../../../shaders/kernel.ts';
import * as gradient from '../../../tests/gradient-reference-rows.ts';
import { dispatch, padRows, random, unpadRows } from '../../dispatch.ts';
import { check, expectClose } from '../../harness.ts';

check('dropout, with the factors of the twin', async () => {
  for (const [R, C] of [
    [1, 36],
    [17, 5],
    [65, 384],
  ] as const) {
    for (const residual of [false, true]) {
      for (const p of [0.1, 0.5]) {
        const make = random(C);
        const [x, r] = [make(R * C), make(R * C)];
        const keys = Array.from({ length: R }, (_, row) => (row * 0x9e3779b1) >>> 0);
        const options = { C, p, site: 5, seed: 0xdeadbeef, step: 1234 };
        const { y } = await dispatch(
          dropout({ columns: C, residual }),
          {
            x: padRows(x, C),
            keys: Uint32Array.from(keys.flatMap(key => [key, 0, 0, 0])),
            ...(residual && { residual: padRows(r, C) }),
            y: { floats: R * padded(C) },
          },
          { rows: R, threshold: Math.ceil(p * 2 ** 32), scale: 1 / (1 - p), site: 5, seed: 0xdeadbeef, step: 1234 },
        );
        const factors = gradient.dropoutFactors(keys, options);
        const expected = x.map((v, i) => v * factors[i]! + (residual ? r[i]! : 0));
        // The same factors: a product and a sum.
        expectClose(unpadRows(y!, C), expected, { label: `${R} x ${C}, p = ${p}`, absolute: 5e-7, relative: 5e-7 });
      }
    }
  }
});
