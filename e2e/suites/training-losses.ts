import { binaryCrossEntropy } from '../../shaders/binary-cross-entropy.ts';
import { crossEntropy, IGNORED } from '../../shaders/cross-entropy.ts';
import { padded } from '../../shaders/kernel.ts';
import { spanCrossEntropy } from '../../shaders/span-cross-entropy.ts';
import { squaredError } from '../../shaders/squared-error.ts';
import { sumRows } from '../../shaders/sum-rows.ts';
import * as reference from '../../tests/gradient-reference-losses.ts';
import { dispatch, padRows, random, unpadRows } from '../dispatch.ts';
import { check, expect, expectClose, expectEqual } from '../harness.ts';
import { FULL_TIERS, profileFor } from './kernels/tiers.ts';
import './training-losses/embeddings.ts';
import './training-losses/vocabulary.ts';
import { ofRow } from './training-rows/tolerance.ts';

/**
 * The losses of training against their float64 twins (tests/gradient-reference-losses.ts): within 1e-5 (1 + |x|) for a row. Of
 * 250,000 classes, a sum of exponentials has 1,000 terms in each of 256 parts: sqrt(1,000) roundings, 2e-6 of it.
 */

const SHAPES: [R: number, N: number][] = [
  [1, 2],
  [65, 2],
  [9, 5],
  [17, 36],
  [3, 301],
  [7, 4096],
];

for (const tier of FULL_TIERS) {
  for (const [smoothing, weighted] of [
    [0, false],
    [0.1, false],
    [0, true],
    [0.2, true],
  ] as const) {
    const words = `${smoothing ? ', smoothing' : ''}${weighted ? ', weights' : ''}`;
    check(`cross-entropy${words} (${tier})`, async log => {
      const shape = (await profileFor(tier)).norm;
      let worst = 0;
      for (const [R, N] of !smoothing && !weighted ? [...SHAPES, [2, 8193] as const, [2, 250_000] as const] : SHAPES) {
        const variant = { columns: N, smoothing: smoothing > 0, weights: weighted };
        const make = random(N);
        // Some rows far from 0: a softmax does not change where a number is added to all.
        const logits = make(R * N, 4).map((v, i) => v + (Math.floor(i / N) % 3 === 1 ? 100 : 0));
        const weights = make(N).map(v => v * v);
        const labels = Array.from({ length: R }, (_, r) => (r % 4 === 2 ? -1 : (r * 7919 + N - 1) % N));
        const { loss, dlogits } = await dispatch(
          crossEntropy(variant, shape),
          {
            logits: padRows(logits, N),
            // -100 as an i32, too.
            labels: Uint32Array.from(labels, (label, r) => (label >= 0 ? label : r % 8 === 2 ? IGNORED : 0xffffff9c)),
            ...(weighted && { class_weights: padRows(weights, N) }),
            loss: { floats: R },
            dlogits: { floats: R * padded(N) },
          },
          { rows: R, scale: 0.5, ...(smoothing > 0 && { smoothing }) },
        );
        const options = { N, smoothing, weights: weighted ? weights : undefined, scale: 0.5 };
        const expected = reference.crossEntropy(logits, labels, options);
        const label = `R = ${R}, N = ${N}`;
        worst = Math.max(
          worst,
          expectClose(loss!, expected.loss, ofRow(`loss, ${label}`)),
          expectClose(unpadRows(dlogits!, N), expected.dlogits, ofRow(`dlogits, ${label}`)),
        );
        // Small probabilities too: exp(x) has a few roundings, and one of x, which is up to 50, by 2^-24. A share of the smoothing, some
        // 1 / N, is taken off.
        expectClose(unpadRows(dlogits!, N), expected.dlogits, { label, absolute: 2e-6 / N, relative: 3e-5 });
      }
      log(`largest difference ${worst.toExponential(1)}`);
    });
  }

  check(`a logit that is not finite is seen in the loss (${tier})`, async () => {
    const shape = (await profileFor(tier)).norm;
    for (const N of [6, 40]) {
      const kernel = crossEntropy({ columns: N, smoothing: false, weights: false }, shape);
      for (const wrong of [Number.NaN, Number.POSITIVE_INFINITY]) {
        const logits = Float32Array.from({ length: 2 * N }, (_, i) => (i === 4 ? wrong : i % 5));
        const operands = {
          logits: padRows(logits, N),
          labels: Uint32Array.of(1, 1),
          loss: { floats: 2 },
          dlogits: { floats: 2 * padded(N) },
        };
        const { loss, dlogits } = await dispatch(kernel, operands, { rows: 2, scale: 1 });
        expect(!Number.isFinite(loss![0]) && Number.isFinite(loss![1]), `${N}, ${wrong}: ${loss}`);
        expect(!Number.isFinite(dlogits![4]), `${dlogits}`);
        unpadRows(dlogits!, N);
      }
      // A class that is ruled out has a logit of minus infinity, and neither probability nor gradient.
      const logits = Float32Array.from({ length: N }, (_, i) => (i < 3 ? Number.NEGATIVE_INFINITY : i % 5));
      const operands = { logits: padRows(logits, N), labels: Uint32Array.of(5) };
      const { loss, dlogits } = await dispatch(
        kernel,
        { ...operands, loss: { floats: 1 }, dlogits: { floats: padded(N) } },
        { rows: 1, scale: 1 },
      );
      const rest = reference.crossEntropy(logits.subarray(3), [2], { N: N - 3 });
      expectClose(loss!, rest.loss, ofRow('the loss of the others'));
      expectClose(unpadRows(dlogits!, N), [0, 0, 0, ...rest.dlogits], ofRow('the gradient of the others'));
    }
  });

  check(`what is not finite is seen in the other losses (${tier})`, async () => {
    const shape = (await profileFor(tier)).norm;
    for (const wrong of [Number.NaN, Number.POSITIVE_INFINITY]) {
      for (const kernel of [binaryCrossEntropy({ columns: 5 }, shape), squaredError({ columns: 40 }, shape)]) {
        const floats = kernel.name.includes('40') ? 40 : 8;
        const operands = { logits: new Float32Array(floats).fill(wrong, 2, 3), targets: new Float32Array(floats) };
        const { loss, dlogits } = await dispatch(
          kernel,
          { ...operands, loss: { floats: 1 }, dlogits: { floats } },
          { rows: 1, scale: 1 },
        );
        expect(!Number.isFinite(loss![0]) && !Number.isFinite(dlogits![2]), `${kernel.name}: ${loss}, ${dlogits}`);
      }
      const { loss, dlogits } = await dispatch(
        spanCrossEntropy(shape),
        {
          sequences: Uint32Array.of(0, 2, 0, 0, 2, 4, 0, 0),
          spans: new Uint32Array(8),
          logits: Float32Array.of(1, 1, 0, 0, 1, wrong, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0),
          loss: { floats: 2 },
          dlogits: { floats: 16 },
        },
        { sequences: 2, scale: 1 },
      );
      expect(!Number.isFinite(loss![0]) && Number.isFinite(loss![1]), `spans: ${loss}`);
      expect(!Number.isFinite(dlogits![5]), `spans: ${dlogits}`);
    }
  });

  for (const [name, make, twin] of [
    ['binary cross-entropy', binaryCrossEntropy, reference.binaryCrossEntropy],
    ['squared error', squaredError, reference.squaredError],
  ] as const) {
    check(`${name} (${tier})`, async log => {
      const shape = (await profileFor(tier)).norm;
      let worst = 0;
      for (const [R, N] of SHAPES.slice(0, 5).concat([[65, 1]])) {
        const numbers = random(N);
        const logits = numbers(R * N, 3).map((v, i) => (i % 13 === 5 ? v * 30 : v));
        const targets = numbers(R * N).map(v => (name === 'squared error' ? v : v > 0.5 ? 1 : v < -0.5 ? 0 : 0.3));
        const operands = { logits: padRows(logits, N), targets: padRows(targets, N) };
        const { loss, dlogits } = await dispatch(
          make({ columns: N }, shape),
          { ...operands, loss: { floats: R }, dlogits: { floats: R * padded(N) } },
          { rows: R, scale: 1 / N },
        );
        const expected = twin(logits, targets, N, 1 / N);
        const label = `R = ${R}, N = ${N}`;
        worst = Math.max(
          worst,
          expectClose(loss!, expected.loss, ofRow(`loss, ${label}`)),
          expectClose(unpadRows(dlogits!, N), expected.dlogits, ofRow(`dlogits, ${label}`)),
        );
      }
      log(`largest difference ${worst.toExponential(1)}`);
    });
  }

  check(`cross-entropy of spans (${tier})`, async log => {
    const shape = (await profileFor(tier)).norm;
    let worst = 0;
    for (const lengths of [[1], [3, 17, 65, 1, 130, 7, 300, 2, 9]]) {
      const T = lengths.reduce((a, b) => a + b);
      const starts = lengths.map((_, b) => lengths.slice(0, b).reduce((a, length) => a + length, 0));
      const logits = random(T)(2 * T, 3);
      const spans = lengths.map(
        (L, b) => [b % 5 === 3 ? (b % 2 === 0 ? L : -1) : L >> 1, b % 3 === 2 ? -1 : L - 1] as const,
      );
      const { loss, dlogits } = await dispatch(
        spanCrossEntropy(shape),
        {
          sequences: Uint32Array.from(lengths.flatMap((L, b) => [starts[b]!, starts[b]! + L, 0, 0])),
          spans: Uint32Array.from(spans.flatMap(([from, to]) => [from, to, 0, 0])),
          logits: padRows(logits, 2),
          loss: { floats: lengths.length },
          dlogits: { floats: 4 * T },
        },
        { sequences: lengths.length, scale: 0.25 },
      );
      const expected = reference.spanCrossEntropy(logits, lengths, spans, 0.25);
      worst = Math.max(
        worst,
        expectClose(loss!, expected.loss, ofRow('loss')),
        expectClose(unpadRows(dlogits!, 2), expected.dlogits, ofRow('dlogits')),
      );
    }
    log(`largest difference ${worst.toExponential(1)}`);
  });
}

check('the sum of the rows of a loss is added to a scalar', async () => {
  for (const R of [1, 63, 65, 1000]) {
    const loss = random(R)(R).map(Math.abs);
    const before = Float32Array.of(1, 2, 3, 4);
    const { scalars } = await dispatch(sumRows(), { loss, scalars: before }, { rows: R, index: 2 });
    const sum = loss.reduce((a, b) => a + b, 3);
    expectClose([scalars![2]!], [sum], { label: `${R} rows`, relative: 2e-6 });
    expectEqual([scalars![0], scalars![1], scalars![3]], [1, 2, 4], 'the other scalars');
  }
});
