import { padded } from '../../../shaders/kernel.ts';
import { l2Norm } from '../../../shaders/l2-norm.ts';
import { type NormVariant, normLabel } from '../../../shaders/norm.ts';
import { rowNorm } from '../../../shaders/row-norm.ts';
import * as reference from '../../../tests/reference.ts';
import { dispatch, padRows, random, unpadRows } from '../../dispatch.ts';
import { check, expect, expectClose, expectEqual } from '../../harness.ts';
import { casesFor, FULL_TIERS, LAYER_NORM, profileFor, ROWS } from './tiers.ts';

const RMS_NORM: NormVariant = { kind: 'rms', beta: false, unitOffset: false };

const NORMS: [C: number, norm: NormVariant, residual: boolean, addend: boolean][] = [
  [384, LAYER_NORM, true, false],
  [48, LAYER_NORM, false, false],
  [37, LAYER_NORM, true, false],
  [5, LAYER_NORM, false, true],
  [37, { ...LAYER_NORM, beta: false }, true, true],
  [37, { ...LAYER_NORM, unitOffset: true }, false, true],
  [384, RMS_NORM, false, false],
  [37, { ...RMS_NORM, unitOffset: true }, true, true],
  [130, { ...RMS_NORM, beta: true }, false, false],
  [384, { kind: 'affine', beta: true, unitOffset: false }, true, false],
  [5, { kind: 'affine', beta: false, unitOffset: true }, false, true],
];

for (const tier of FULL_TIERS) {
  for (const [C, norm, residual, addend] of casesFor(tier, NORMS)) {
    const name = `${normLabel(norm)} norm ${C}${residual ? ' + residual' : ''}${addend ? ' + addend' : ''}`;
    check(`${name} (${tier})`, async log => {
      const kernel = rowNorm({ columns: C, norm, residual, addend }, (await profileFor(tier)).norm);
      const make = random(C);
      // The mean of a layer norm's rows is 100 with a deviation of 1: E[x^2] - E[x]^2 would lose three digits here. A deviation of 1
      // then carries 100 x 2^-24 = 6e-6 of rounding from the inputs' sum alone. The other norms subtract no mean.
      const [mean, tolerance] =
        norm.kind === 'layer' ? [100, { absolute: 5e-5, relative: 2e-5 }] : [0, { absolute: 2e-6, relative: 1e-6 }];
      const eps = norm.kind === 'layer' ? 1e-12 : 1e-5;
      let worst = 0;
      for (const T of ROWS) {
        const x = make(T * C).map(v => v + mean);
        const r = make(T * C);
        const a = make(T * C);
        const gamma = make(C);
        const beta = make(C);
        const { y } = await dispatch(
          kernel,
          {
            x: padRows(x, C),
            gamma: padRows(gamma, C),
            y: { floats: T * padded(C) },
            ...(norm.beta && { beta: padRows(beta, C) }),
            ...(residual && { residual: padRows(r, C) }),
            ...(addend && { addend: padRows(a, C) }),
          },
          { rows: T, ...(norm.kind !== 'affine' && { eps }) },
        );
        const expected = reference.norm(x, {
          ...norm,
          gamma,
          beta: norm.beta ? beta : undefined,
          eps,
          residual: residual ? r : undefined,
          addend: addend ? a : undefined,
        });
        worst = Math.max(worst, expectClose(unpadRows(y!, C), expected, { label: `T = ${T}`, ...tolerance }));
      }
      log(`largest difference ${worst.toExponential(1)}`);
    });
  }

  for (const kind of ['layer', 'rms'] as const) {
    check(`a row whose squares overflow is NaN after a ${kind} norm (${tier})`, async () => {
      const norm = { kind, beta: false, unitOffset: false };
      const kernel = rowNorm({ columns: 8, norm, residual: false, addend: false }, (await profileFor(tier)).norm);
      const x = Float32Array.from({ length: 16 }, (_, i) => (i < 8 ? (-1) ** i * 1e25 : i));
      const operands = { x, gamma: new Float32Array(8).fill(1), y: { floats: 16 } };
      const { y } = await dispatch(kernel, operands, { rows: 2, eps: 1e-5 });
      expect([...y!.subarray(0, 8)].every(Number.isNaN), `${y!.subarray(0, 8)}, not NaN`);
      expect([...y!.subarray(8)].every(Number.isFinite), 'the other row has its numbers');
    });
  }

  for (const C of [384, 37, 5]) {
    check(`rows of length 1, ${C} columns (${tier})`, async () => {
      const kernel = l2Norm({ columns: C }, (await profileFor(tier)).norm);
      const make = random(C);
      for (const T of ROWS) {
        // The first row is zero, the second so small that it is divided by the least length.
        const x = make(T * C).map((v, i) => (i < C ? 0 : i < 2 * C ? v * 1e-14 : v));
        const operands = { x: padRows(x, C), y: { floats: T * padded(C) } };
        const { y } = await dispatch(kernel, operands, { rows: T, floor: 1e-12 });
        expectClose(unpadRows(y!, C), reference.l2Norm(x, C), { label: `T = ${T}`, absolute: 1e-6 });
        expectEqual(
          [...y!].filter((_, i) => i % padded(C) >= C && y![i] !== 0),
          [],
          'the padding stays zero',
        );
      }
      const overflow = { x: padRows(new Float32Array(C).fill(3e38), C), y: { floats: padded(C) } };
      const { y } = await dispatch(kernel, overflow, { rows: 1, floor: 1e-12 });
      expect(Number.isNaN(y![0]), `${y![0]}, not NaN, where the length overflows`);
    });
  }
}
