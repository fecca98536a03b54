import { cosent } from '../../../shaders/cosent.ts';
import { crossEntropy } from '../../../shaders/cross-entropy.ts';
import { padded } from '../../../shaders/kernel.ts';
import { pairScores, pairScoresBackward } from '../../../shaders/pair-scores.ts';
import { rowDot, rowDotBackward } from '../../../shaders/row-dot.ts';
import * as reference from '../../../tests/gradient-reference-losses.ts';
import { l2Norm } from '../../../tests/reference.ts';
import { dispatch, padRows, random, unpadRows } from '../../dispatch.ts';
import { check, expect, expectClose } from '../../harness.ts';
import { FULL_TIERS, profileFor } from '../kernels/tiers.ts';
import { ofRow } from '../training-rows/tolerance.ts';

/** Rows of length 1, as embeddings are. */
const unit = (x: Float32Array, C: number): Float32Array<ArrayBuffer> => Float32Array.from(l2Norm(x, C));

const SIZES: [M: number, P: number, C: number][] = [
  [1, 1, 36],
  [3, 5, 20],
  [17, 34, 37],
  [65, 65, 384],
];

for (const tier of FULL_TIERS) {
  check(`multiple negatives ranking: scores, loss, gradients of both (${tier})`, async log => {
    const shape = (await profileFor(tier)).norm;
    let worst = 0;
    for (const [M, P, C] of SIZES) {
      const make = random(C);
      const [a, b] = [unit(make(M * C), C), unit(make(P * C), C)];
      const sizes = { rows: M, others: P, factor: 20 };
      const x = padRows([...a, ...b], C);
      const scores = { scores: { floats: M * padded(P) } };
      const forward = await dispatch(pairScores({ columns: C }), { x, ...scores }, sizes);
      const twin = reference.pairScores(a, b, C, 20);
      const label = `${M} x ${P}, C = ${C}`;
      worst = Math.max(worst, expectClose(unpadRows(forward.scores!, P), twin, ofRow(`scores, ${label}`)));
      const labels = Array.from({ length: M }, (_, i) => i % P);
      const { loss, dlogits } = await dispatch(
        crossEntropy({ columns: 'param', smoothing: false, weights: false }, shape),
        {
          logits: forward.scores!,
          labels: Uint32Array.from(labels),
          loss: { floats: M },
          dlogits: { floats: M * padded(P) },
        },
        { rows: M, columns: P, scale: 1 / M },
      );
      const expected = reference.crossEntropy(twin, labels, { N: P, scale: 1 / M });
      worst = Math.max(
        worst,
        expectClose(loss!, expected.loss, ofRow(`loss, ${label}`)),
        expectClose(unpadRows(dlogits!, P), expected.dlogits, ofRow(`dscores, ${label}`)),
      );
      const { da, db } = reference.pairScoresBackward(a, b, expected.dlogits, C, 20);
      for (const [to, rows, twin] of [
        ['a', M, da],
        ['b', P, db],
      ] as const) {
        const found = await dispatch(
          pairScoresBackward({ columns: C, to }),
          { dscores: dlogits!, x, dx: { floats: (M + P) * padded(C) } },
          sizes,
        );
        // It writes its own part alone: the other is NaN, as it was before.
        const first = to === 'a' ? 0 : M * padded(C);
        const own = found.dx!.slice(first, first + rows * padded(C));
        expect(found.dx!.filter(Number.isNaN).length === (M + P - rows) * padded(C), `only d${to} is written`);
        // The factor of 20 is in the gradient.
        const tolerance = { label: `d${to}, ${label}`, absolute: 5e-5, relative: 1e-5 };
        worst = Math.max(worst, expectClose(unpadRows(own, C), twin, tolerance));
      }
    }
    log(`largest difference ${worst.toExponential(1)}`);
  });

  check(`dot products of pairs of rows, and back (${tier})`, async log => {
    const shape = (await profileFor(tier)).norm;
    let worst = 0;
    for (const [R, , C] of SIZES) {
      const make = random(C);
      const [a, b, dy] = [unit(make(R * C), C), unit(make(R * C), C), make(R)];
      const x = padRows([...a, ...b], C);
      const { y } = await dispatch(rowDot({ columns: C }, shape), { x, y: { floats: 4 * R } }, { rows: R });
      worst = Math.max(worst, expectClose(unpadRows(y!, 1), reference.rowDot(a, b, C), ofRow(`R = ${R}`)));
      const { dx } = await dispatch(
        rowDotBackward({ columns: C }, shape),
        { x, dy: padRows(dy, 1), dx: { floats: 2 * R * padded(C) } },
        { rows: R },
      );
      const { da, db } = reference.rowDotBackward(a, b, dy, C);
      worst = Math.max(worst, expectClose(unpadRows(dx!, C), [...da, ...db], ofRow(`dx, R = ${R}`)));
    }
    log(`largest difference ${worst.toExponential(1)}`);
  });
}

check('CoSENT', async log => {
  let worst = 0;
  for (const R of [1, 2, 9, 65, 200]) {
    const make = random(R);
    const cosines = make(R, 0.3);
    const targets = make(R).map(v => Math.round(v * 2) / 2);
    const { loss, dlogits } = await dispatch(
      cosent(),
      {
        logits: padRows(cosines, 1),
        targets: padRows(targets, 1),
        loss: { floats: 1 },
        dlogits: { floats: 4 * R },
      },
      { rows: R, scale: 0.5, factor: 20 },
    );
    const expected = reference.cosent(cosines, targets, { scale: 0.5 });
    worst = Math.max(
      worst,
      expectClose(loss!, [expected.loss], ofRow(`loss, R = ${R}`)),
      // Up to 10: the factor, halved. An exponent of up to 40 carries 40 roundings of 2^-24.
      expectClose(unpadRows(dlogits!, 1), expected.dlogits, { label: `R = ${R}`, absolute: 5e-5, relative: 1e-5 }),
    );
  }
  log(`largest difference ${worst.toExponential(1)}`);
  const logits = padRows([0.1, Number.NaN, 0.2], 1);
  const operands = { logits, targets: padRows([0, 1, 2], 1), loss: { floats: 1 }, dlogits: { floats: 12 } };
  const { loss, dlogits } = await dispatch(cosent(), operands, { rows: 3, scale: 1, factor: 20 });
  expect(Number.isNaN(loss![0]) && Number.isNaN(dlogits![0]), `${loss}, ${dlogits}: a cosine is NaN`);
});
