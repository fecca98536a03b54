import { padded } from '../../../shaders/kernel.ts';
import {
  queryKeyNormBackward,
  queryKeyNormPartials,
  queryKeyNormWeights,
} from '../../../shaders/query-key-norm-backward.ts';
import { type AngleSource, rotary, rotarySteps } from '../../../shaders/rotary.ts';
import { ROWS_OF_PARTIAL } from '../../../shaders/row-norm-backward.ts';
import * as gradient from '../../../tests/gradient-reference-rows.ts';
import { dispatch, type Operand, padRows, random, unpadRows } from '../../dispatch.ts';
import { check, expectClose, expectEqual } from '../../harness.ts';
import { casesFor, FULL_TIERS, profileFor } from '../kernels/tiers.ts';
import { ofRow, ofSum } from './tolerance.ts';

/** Columns `from` to `to` of x [T, C]. */
const columnsOf = (x: ArrayLike<number>, C: number, from: number, to: number): number[] =>
  Array.from(x).filter((_, i) => i % C >= from && i % C < to);

const ANGLES: Readonly<Record<AngleSource, (positions: number[], frequencies: number[]) => Operand>> = {
  steps: (_, frequencies) => rotarySteps(frequencies),
  phases: (positions, frequencies) =>
    Uint32Array.from(
      positions.flatMap(position =>
        frequencies.map(frequency => {
          const turns = (position * frequency) / (2 * Math.PI);
          return Math.round((turns - Math.floor(turns)) * 2 ** 32) % 2 ** 32;
        }),
      ),
    ),
  frequencies: (_, frequencies) => Float32Array.from(frequencies),
  table: (positions, frequencies) =>
    padRows(
      Array.from({ length: Math.max(...positions) + 1 }, (_, position) => [
        ...frequencies.map(frequency => Math.sin(position * frequency)),
        ...frequencies.map(frequency => Math.cos(position * frequency)),
      ]).flat(),
      2 * frequencies.length,
    ),
};

for (const [H, G, D, d, interleaved, turnsValues] of [
  [3, 1, 20, 20, false, false],
  [4, 2, 25, 12, false, true],
  [2, 2, 10, 10, true, true],
] as const) {
  for (const angles of Object.keys(ANGLES) as AngleSource[]) {
    const words = `${interleaved ? ', interleaved' : ''}${turnsValues ? ', values too' : ''}`;
    check(`rotary ${H}/${G}x${D}, ${d} columns${words}, backward by ${angles}`, async () => {
      const heads = H + 2 * G;
      const frequencies = Array.from({ length: d / 2 }, (_, i) => 100 ** ((-2 * i) / d));
      const sizes = { heads: H, keyHeads: G, headSize: D, pairs: d / 2 };
      const kernel = rotary({ ...sizes, interleaved, turnsValues, angles, inverse: true });
      for (const T of [1, 17, 65]) {
        const dy = random(D)(T * heads * D);
        const positions = Array.from({ length: T }, (_, t) => (t * 7) % 50);
        const tokens = Uint32Array.from(positions.flatMap(position => [0, position, 0, 0]));
        const { y } = await dispatch(
          kernel,
          {
            ...(angles !== 'phases' && { tokens }),
            [angles]: ANGLES[angles](positions, frequencies),
            qkv: padRows(dy, D),
            y: { floats: T * heads * padded(D) },
          },
          { rows: T },
        );
        const turned = H + (turnsValues ? 2 : 1) * G;
        const expected = gradient.rotaryBackward(dy, positions, { heads, turned, D, frequencies, interleaved });
        expectClose(unpadRows(y!, D), expected, ofRow(`T = ${T}`));
      }
    });
  }
}

const NORMS = [
  [2, 2, 8, 'head', 'layer', true, false],
  [4, 2, 25, 'head', 'rms', false, false],
  [3, 1, 64, 'head', 'rms', false, true],
  [6, 2, 18, 'head', 'layer', false, true],
  [2, 2, 25, 'row', 'layer', true, true],
  [4, 2, 5, 'row', 'rms', true, true],
  [12, 12, 32, 'row', 'layer', true, false],
  [1, 1, 3, 'row', 'rms', false, false],
] as const;

for (const tier of FULL_TIERS) {
  for (const [H, G, D, span, kind, beta, unitOffset] of casesFor(tier, NORMS)) {
    const words = `${beta ? ' with beta' : ''}${unitOffset ? ' from 1' : ''}`;
    check(`query key norm ${H}/${G}x${D}, ${kind} of a ${span}${words}, backward (${tier})`, async log => {
      const variant = { heads: H, keyHeads: G, headSize: D, span, kind, beta, unitOffset };
      const shape = (await profileFor(tier)).norm;
      const make = random(H * D);
      const C = (H + 2 * G) * D;
      const norms = span === 'head' ? H + G : 2;
      let [worst, worstSum] = [0, 0];
      for (const T of [1, 3, 17, 300]) {
        const qkv = make(T * C).map(v => v + (kind === 'layer' ? 2 : 0));
        const dy = make(T * C);
        const eps = { query: 1e-3, key: 1e-2 };
        const gains = (heads: number) => make((span === 'head' ? 1 : heads) * D);
        const gamma = { query: gains(H), key: gains(G) };
        const operands = { qkv: padRows(qkv, D), dy: padRows(dy, D) };
        const { dx, statistics } = await dispatch(
          queryKeyNormBackward(variant, shape),
          {
            ...operands,
            query_gamma: padRows(gamma.query, D),
            key_gamma: padRows(gamma.key, D),
            dx: { floats: T * (H + 2 * G) * padded(D) },
            statistics: { floats: 2 * T * norms },
          },
          { rows: T, query_eps: eps.query, key_eps: eps.key },
        );
        const floats = 2 * (padRows(gamma.query, D).length + padRows(gamma.key, D).length);
        const { partials } = await dispatch(
          queryKeyNormPartials(variant),
          {
            ...operands,
            statistics: statistics!,
            partials: { floats: Math.ceil(T / ROWS_OF_PARTIAL) * floats },
          },
          { rows: T },
        );
        const before = { query: make(gamma.query.length), key: make(gamma.key.length) };
        const weights = await dispatch(
          queryKeyNormWeights(variant),
          {
            partials: partials!,
            query_gamma_gradient: padRows(before.query, D),
            key_gamma_gradient: padRows(before.key, D),
            ...(beta && {
              query_beta_gradient: padRows(before.query, D),
              key_beta_gradient: padRows(before.key, D),
            }),
          },
          { rows: T },
        );
        const found = unpadRows(dx!, D);
        for (const [part, from, to] of [
          ['query', 0, H],
          ['key', H, H + G],
        ] as const) {
          const [x, d] = [qkv, dy].map(values => columnsOf(values, C, from * D, to * D));
          const options = { kind, gamma: gamma[part], eps: eps[part], unitOffset };
          const expected = gradient.normBackward(x!, d!, options);
          const label = `${part}, T = ${T}`;
          const actual = columnsOf(found, C, from * D, to * D);
          worst = Math.max(worst, expectClose(actual, expected.dx, ofRow(label)));
          const rows = span === 'head' ? T * (to - from) : T;
          for (const [name, sums] of [
            ['gamma', expected.dgamma],
            ...(beta ? ([['beta', expected.dbeta]] as const) : []),
          ] as const) {
            const wanted = sums.map((v, i) => v + before[part][i]!);
            const sum = unpadRows(weights[`${part}_${name}_gradient`]!, D);
            const difference = expectClose(sum, wanted, ofSum(`${name} of ${label}`, rows));
            worstSum = Math.max(worstSum, difference / Math.sqrt(rows));
          }
        }
        const values = Float32Array.from(columnsOf(dy, C, (H + G) * D, C));
        expectEqual(Float32Array.from(columnsOf(found, C, (H + G) * D, C)), values, `v, T = ${T}`);
      }
      log(`largest difference of a row ${worst.toExponential(1)}, of a sum ${worstSum.toExponential(1)} sqrt(T)`);
    });
  }
}
