import { IGNORED } from '../../../shaders/cross-entropy.ts';
import { padded } from '../../../shaders/kernel.ts';
import { linearInput, linearInputParams } from '../../../shaders/linear-input.ts';
import { linearWeight, linearWeightParams } from '../../../shaders/linear-weight.ts';
import { softmaxGradient, softmaxStatistics } from '../../../shaders/softmax-tiles.ts';
import * as linears from '../../../tests/gradient-reference-linear.ts';
import { crossEntropy } from '../../../tests/gradient-reference-losses.ts';
import { dispatch, padRows, random, unpadRows } from '../../dispatch.ts';
import { check, expect, expectClose, expectSameBits } from '../../harness.ts';
import { packRows } from '../../packed.ts';
import { FULL_TIERS, profileFor } from '../kernels/tiers.ts';
import { ofRow, ofSum } from '../training-rows/tolerance.ts';

/** The kernels of a vocabulary in tiles: their tolerances are those of the cross-entropy of the whole (training-losses.ts). */

/** Rows, classes, and the columns of a tile. */
const SHAPES: [R: number, N: number, columns: number][] = [
  [1, 9, 4],
  [65, 37, 16],
  [17, 301, 64],
  [2, 40_003, 16_384],
];

/** Reads the tiles of logits in order, then makes the gradient of each in its place, from the last to the first. */
async function runTiles(
  logits: Float32Array,
  labels: Uint32Array<ArrayBuffer>,
  { R, N, columns: most, smoothing }: { R: number; N: number; columns: number; smoothing: number },
  tier: string,
) {
  const shape = (await profileFor(tier)).norm;
  const rowShape = N > 10_000 ? { lanes: 64, rows: 1 } : shape;
  const variant = { smoothing: smoothing > 0 };
  const tiles = Array.from({ length: Math.ceil(N / most) }, (_, t) => {
    const first = t * most;
    const columns = Math.min(most, N - first);
    const part = new Float32Array(R * columns);
    for (let r = 0; r < R; r++) part.set(logits.subarray(r * N + first, r * N + first + columns), r * columns);
    const params = { rows: R, first, columns, scale: 0.5, ...(smoothing > 0 && { classes: N, smoothing }) };
    return { columns, first, rows: padRows(part, columns), params };
  });
  let statistics = new Float32Array(4 * R).fill(Number.NaN);
  let loss = new Float32Array(R);
  for (const { rows, params } of tiles) {
    const found = await dispatch(
      softmaxStatistics(variant, rowShape),
      { logits: rows, labels, statistics, loss: { floats: R } },
      params,
    );
    [statistics, loss] = [found.statistics!, found.loss!];
  }
  const dlogits = new Float32Array(R * N);
  for (const { rows, columns, first, params } of tiles.toReversed()) {
    const found = await dispatch(softmaxGradient(variant), { labels, statistics, dlogits: rows }, params);
    const own = unpadRows(found.dlogits!, columns);
    for (let r = 0; r < R; r++) dlogits.set(own.subarray(r * columns, (r + 1) * columns), r * N + first);
  }
  return { loss, dlogits };
}

for (const tier of FULL_TIERS) {
  for (const smoothing of [0, 0.1]) {
    check(`cross-entropy in tiles${smoothing ? ', smoothing' : ''} (${tier})`, async log => {
      let worst = 0;
      for (const [R, N, columns] of SHAPES) {
        const logits = random(N)(R * N, 4).map((v, i) => v + (Math.floor(i / N) % 3 === 1 ? 100 : 0));
        const labels = Array.from({ length: R }, (_, r) => (r % 4 === 2 ? -1 : (r * 7919 + N - 1) % N));
        const bits = Uint32Array.from(labels, label => (label >= 0 ? label : IGNORED));
        const { loss, dlogits } = await runTiles(logits, bits, { R, N, columns, smoothing }, tier);
        const expected = crossEntropy(logits, labels, { N, smoothing, scale: 0.5 });
        const label = `R = ${R}, N = ${N}`;
        worst = Math.max(
          worst,
          expectClose(loss, expected.loss, ofRow(`loss, ${label}`)),
          expectClose(dlogits, expected.dlogits, ofRow(`dlogits, ${label}`)),
        );
        expectClose(dlogits, expected.dlogits, { label, absolute: 2e-6 / N, relative: 3e-5 });
        const again = await runTiles(logits, bits, { R, N, columns, smoothing }, tier);
        expectSameBits(again.dlogits, dlogits, 'the gradient, computed again');
      }
      log(`largest difference ${worst.toExponential(1)}`);
    });
  }

  check(`a logit of a tile that is not finite is seen in the loss and the gradient (${tier})`, async () => {
    const [R, N, columns] = [2, 21, 8];
    for (const place of [1, 10, 20]) {
      for (const wrong of [Number.NaN, Number.POSITIVE_INFINITY]) {
        const logits = Float32Array.from({ length: R * N }, (_, i) => (i === place ? wrong : i % 5));
        const { loss, dlogits } = await runTiles(logits, Uint32Array.of(3, 3), { R, N, columns, smoothing: 0 }, tier);
        expect(!Number.isFinite(loss[0]) && Number.isFinite(loss[1]), `${place}, ${wrong}: ${loss}`);
        expect(!Number.isFinite(dlogits[place]) && Number.isFinite(dlogits[N]), `${place}, ${wrong}: ${dlogits}`);
      }
    }
    // A whole tile of classes that are ruled out.
    const logits = Float32Array.from({ length: N }, (_, i) => (i < 8 ? Number.NEGATIVE_INFINITY : i % 5));
    const { loss, dlogits } = await runTiles(logits, Uint32Array.of(9), { R: 1, N, columns, smoothing: 0 }, tier);
    const rest = crossEntropy(logits.subarray(8), [1], { N: N - 8 });
    expectClose(loss, [0.5 * rest.loss[0]!], ofRow('the loss of the others'));
    expectClose(dlogits, [...new Float32Array(8), ...rest.dlogits.map(v => 0.5 * v)], ofRow('their gradient'));
  });

  check(`gradients of some outputs of a linear (${tier})`, async log => {
    const { tiling, target } = await profileFor(tier);
    const [K, V] = [37, 150];
    let worst = 0;
    for (const [R, from, N] of [
      [1, 0, 8],
      [17, 64, 64],
      [65, 100, 50],
    ] as const) {
      const make = random(R);
      const [dy, x, other] = [make(R * N), make(R * K), make(R * K)];
      const weight = packRows(make(V * K, 1.5 / Math.sqrt(N)), K, 'f32', padded(V));
      const rows = weight.values.subarray(from * K, (from + N) * K);
      const label = `R = ${R}, rows ${from} to ${from + N}`;
      for (const residual of [false, true]) {
        for (const shape of [{}, { inner: N, outputs: K }]) {
          const { y } = await dispatch(
            linearInput({ ...shape, residual, sliced: true }, tiling, target),
            {
              dy: padRows(dy, N),
              weight: weight.operand,
              y: { floats: R * padded(K) },
              ...(residual && { residual: padRows(other, K) }),
            },
            { rows: R, ...linearInputParams(N, K), from4: from / 4 },
          );
          const expected = linears.linearInput(dy, rows, { K, N, ...(residual && { residual: other }) });
          worst = Math.max(worst, expectClose(unpadRows(y!, K), expected, ofRow(label)));
        }
      }
      const [before, biasBefore] = [make(V * K), make(V)];
      const found = await dispatch(
        linearWeight({ bias: true, weight: true, sliced: true }, tiling, target),
        {
          dy: padRows(dy, N),
          x: padRows(x, K),
          gradient: packRows(before, K, 'f32', padded(V)).operand,
          bias_gradient: padRows(biasBefore, V),
        },
        { rows: R, ...linearWeightParams(K, N), from4: from / 4 },
      );
      const sums = linears.linearWeight(dy, x, { K, N });
      const added = before.map((v, i) => v + (sums.gradient[i - from * K] ?? 0));
      const biasAdded = biasBefore.map((v, i) => v + (sums.biasGradient[i - from] ?? 0));
      const { gradient, bias_gradient } = found;
      expectClose(unpadRows(gradient!.subarray(0, V * padded(K)), K), added, ofSum(`weight, ${label}`, R + 1));
      expectClose(unpadRows(bias_gradient!, V), biasAdded, ofSum(`bias, ${label}`, R + 1));
    }
    log(`largest difference of dx ${worst.toExponential(1)}`);
  });
}
