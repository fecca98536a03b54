import { padded } from '../../../shaders/kernel.ts';
import { queryKeyNorm } from '../../../shaders/query-key-norm.ts';
import * as reference from '../../../tests/reference.ts';
import { dispatch, padRows, random, unpadRows } from '../../dispatch.ts';
import { check, expectClose } from '../../harness.ts';
import { FULL_TIERS, profileFor, ROWS } from './tiers.ts';

/** Columns `from` to `to` of x [T, C]. */
const columnsOf = (x: ArrayLike<number>, C: number, from: number, to: number): number[] =>
  Array.from(x).filter((_, i) => i % C >= from && i % C < to);

for (const tier of FULL_TIERS) {
  for (const [H, G, D, span, kind, beta, unitOffset] of [
    [2, 2, 8, 'head', 'layer', true, false],
    [4, 2, 25, 'head', 'rms', false, false],
    [3, 1, 64, 'head', 'rms', false, true],
    [6, 2, 18, 'head', 'layer', false, true],
    [2, 2, 25, 'row', 'layer', true, true],
    [4, 2, 5, 'row', 'rms', true, true],
    [12, 12, 32, 'row', 'layer', true, false],
    [1, 1, 3, 'row', 'rms', false, false],
  ] as const) {
    const words = `${beta ? ' with beta' : ''}${unitOffset ? ' from 1' : ''}`;
    check(`query key norm ${H}/${G}x${D}, ${kind} of a ${span}${words} (${tier})`, async log => {
      const variant = { heads: H, keyHeads: G, headSize: D, span, kind, beta, unitOffset };
      const kernel = queryKeyNorm(variant, (await profileFor(tier)).norm);
      const make = random(H * D);
      // As for row norms: a layer norm's rows lie around 10, whose rounding, 10 x 2^-24, a deviation of 1 carries.
      const [mean, tolerance] =
        kind === 'layer' ? [10, { absolute: 1e-5, relative: 4e-6 }] : [0, { absolute: 2e-6, relative: 1e-6 }];
      const C = (H + 2 * G) * D;
      let worst = 0;
      for (const T of ROWS) {
        const qkv = make(T * C).map(v => v + mean);
        const [queryEps, keyEps] = [1e-5, 1e-2];
        const gains = (heads: number) => make((span === 'head' ? 1 : heads) * D);
        const [queryGamma, queryBeta, keyGamma, keyBeta] = [gains(H), gains(H), gains(G), gains(G)];
        const { y } = await dispatch(
          kernel,
          {
            qkv: padRows(qkv, D),
            query_gamma: padRows(queryGamma, D),
            key_gamma: padRows(keyGamma, D),
            ...(beta && { query_beta: padRows(queryBeta, D), key_beta: padRows(keyBeta, D) }),
            y: { floats: T * (H + 2 * G) * padded(D) },
          },
          { rows: T, query_eps: queryEps, key_eps: keyEps },
        );
        const found = unpadRows(y!, D);
        const label = (part: string) => `${part}, T = ${T}`;
        for (const [part, from, to, gamma, shift, eps] of [
          ['q', 0, H, queryGamma, queryBeta, queryEps],
          ['k', H, H + G, keyGamma, keyBeta, keyEps],
        ] as const) {
          const expected = reference.norm(columnsOf(qkv, C, from * D, to * D), {
            kind,
            gamma,
            beta: beta ? shift : undefined,
            eps,
            unitOffset,
          });
          const actual = columnsOf(found, C, from * D, to * D);
          worst = Math.max(worst, expectClose(actual, expected, { label: label(part), ...tolerance }));
        }
        const values = columnsOf(qkv, C, (H + G) * D, C);
        expectClose(columnsOf(found, C, (H + G) * D, C), values, { label: label('v') });
      }
      log(`largest difference ${worst.toExponential(1)}`);
    });
  }
}
