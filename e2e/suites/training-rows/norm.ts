import { padded } from '../../../shaders/kernel.ts';
import { type NormVariant, normLabel } from '../../../shaders/norm.ts';
import { ROWS_OF_PARTIAL, rowNormBackward, rowNormWeights } from '../../../shaders/row-norm-backward.ts';
import * as gradient from '../../../tests/gradient-reference-rows.ts';
import { dispatch, padRows, random, unpadRows } from '../../dispatch.ts';
import { check, expect, expectClose, expectSameBits } from '../../harness.ts';
import { casesFor, FULL_TIERS, LAYER_NORM, profileFor } from '../kernels/tiers.ts';
import { ofRow, ofSum } from './tolerance.ts';

const RMS_NORM: NormVariant = { kind: 'rms', beta: false, unitOffset: false };

const NORMS: [C: number, norm: NormVariant, residual: boolean][] = [
  [36, LAYER_NORM, true],
  [5, LAYER_NORM, false],
  [384, LAYER_NORM, true],
  [37, { ...LAYER_NORM, unitOffset: true }, false],
  [20, { ...RMS_NORM, beta: true }, true],
  [130, { ...RMS_NORM, unitOffset: true }, false],
  [300, { ...LAYER_NORM, beta: false }, false],
  [7, { kind: 'affine', beta: true, unitOffset: false }, true],
  [36, { kind: 'affine', beta: false, unitOffset: true }, false],
];
/** Rows: few, many, and more than one partial sum. */
const ROWS = [1, 3, 17, 65, 129, 650];

for (const tier of FULL_TIERS) {
  for (const [C, norm, residual] of casesFor(tier, NORMS)) {
    check(`${normLabel(norm)} norm ${C}${residual ? ' + residual' : ''} backward (${tier})`, async log => {
      const shape = (await profileFor(tier)).norm;
      const make = random(C);
      const [eps, stride] = [1e-5, padded(C)];
      let [worst, worstSum] = [0, 0];
      for (const T of ROWS) {
        // Around 3: a mean that must be subtracted.
        const x = make(T * C).map(v => v + (norm.kind === 'layer' ? 3 : 0));
        const r = make(T * C);
        const dy = make(T * C);
        const gamma = make(C);
        const operands = { x: padRows(x, C), dy: padRows(dy, C), ...(residual && { residual: padRows(r, C) }) };
        const toInput = { gamma: padRows(gamma, C), dx: { floats: T * stride } };
        const toWeights = { partials: { floats: Math.ceil(T / ROWS_OF_PARTIAL) * 2 * stride } };
        const params = { rows: T, ...(norm.kind !== 'affine' && { eps }) };
        const variant = { columns: C, norm, residual };
        const expected = gradient.normBackward(x, dy, { ...norm, gamma, eps, residual: residual ? r : undefined });
        const both = await dispatch(
          rowNormBackward({ ...variant, input: true, weights: true }, shape),
          { ...operands, ...toInput, ...toWeights },
          params,
        );
        worst = Math.max(worst, expectClose(unpadRows(both.dx!, C), expected.dx, ofRow(`dx, T = ${T}`)));
        const before = [make(C), make(C)];
        const weights = await dispatch(
          rowNormWeights({ columns: C, beta: norm.beta }),
          {
            partials: both.partials!,
            gamma_gradient: padRows(before[0]!, C),
            ...(norm.beta && { beta_gradient: padRows(before[1]!, C) }),
          },
          { rows: T },
        );
        const sums = [
          ['gamma_gradient', expected.dgamma],
          ...(norm.beta ? ([['beta_gradient', expected.dbeta]] as const) : []),
        ] as const;
        for (const [k, [name, sum]] of sums.entries()) {
          const wanted = sum.map((v, c) => v + before[k]![c]!);
          const found = unpadRows(weights[name]!, C);
          worstSum = Math.max(worstSum, expectClose(found, wanted, ofSum(`${name}, T = ${T}`, T)) / Math.sqrt(T));
        }
        if (norm.beta) {
          const alone = await dispatch(
            rowNormWeights({ columns: C, gamma: false, beta: true }),
            { partials: both.partials!, beta_gradient: padRows(before[1]!, C) },
            { rows: T },
          );
          expectSameBits(alone.beta_gradient, weights.beta_gradient, `beta alone, T = ${T}`);
        }
        if (T > 65) continue;
        // Alone, each has the same bits.
        const input = rowNormBackward({ ...variant, input: true, weights: false }, shape);
        const { dx } = await dispatch(
          input,
          { ...(norm.kind === 'affine' ? { dy: operands.dy } : operands), ...toInput },
          params,
        );
        expectSameBits(dx, both.dx, `dx alone, T = ${T}`);
        const alone = rowNormBackward({ ...variant, input: false, weights: true }, shape);
        const { partials } = await dispatch(alone, { ...operands, ...toWeights }, params);
        expectSameBits(partials, both.partials, `partials alone, T = ${T}`);
      }
      log(`largest difference of a row ${worst.toExponential(1)}, of a sum ${worstSum.toExponential(1)} sqrt(T)`);
    });
  }

  check(`a row whose squares overflow has no finite gradient (${tier})`, async () => {
    const shape = (await profileFor(tier)).norm;
    for (const kind of ['layer', 'rms'] as const) {
      const norm = { kind, beta: false, unitOffset: false };
      const kernel = rowNormBackward({ columns: 8, norm, residual: false, input: true, weights: true }, shape);
      const ones = (n: number) => new Float32Array(n).fill(1);
      const x = Float32Array.from({ length: 16 }, (_, i) => (i < 8 ? (-1) ** i * 1e25 : i));
      const operands = { x, dy: ones(16), gamma: ones(8), dx: { floats: 16 }, partials: { floats: 16 } };
      const { dx, partials } = await dispatch(kernel, operands, { rows: 2, eps: 1e-5 });
      expect([...dx!.subarray(0, 8)].every(Number.isNaN), `${kind}: ${dx}`);
      expect([...dx!.subarray(8)].every(Number.isFinite), 'the other row has its numbers');
      expect([...partials!.subarray(0, 8)].every(Number.isNaN), `${kind}: ${partials}`);
    }
  });
}
