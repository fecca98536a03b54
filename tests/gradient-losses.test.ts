import { describe, expect, it } from 'vitest';
import { random } from '../e2e/dispatch.ts';
import { expectGradient } from './central-differences.ts';
import * as losses from './gradient-reference-losses.ts';

/** The twins of the losses: their gradients against central differences, their values against what torch gave. */
const make = (seed: number) => {
  const numbers = random(seed);
  return (count: number, scale = 1) => Float64Array.from(numbers(count, scale));
};
const sum = (values: Iterable<number>): number => [...values].reduce((a, b) => a + b, 0);

describe('the gradient of', () => {
  it.each([
    { smoothing: 0, weighted: false },
    { smoothing: 0.1, weighted: false },
    { smoothing: 0, weighted: true },
    { smoothing: 0.3, weighted: true },
  ])('the cross-entropy, smoothing $smoothing, weights $weighted', ({ smoothing, weighted }) => {
    const numbers = make(1);
    const [N, labels] = [7, [0, 6, -1, 3]];
    const logits = numbers(N * labels.length, 2);
    const options = { N, smoothing, weights: weighted ? numbers(N).map(v => v * v) : undefined, scale: 0.25 };
    const value = () => sum(losses.crossEntropy(logits, labels, options).loss);
    expectGradient(value, logits, losses.crossEntropy(logits, labels, options).dlogits, 'dlogits');
  });

  it.each([losses.binaryCrossEntropy, losses.squaredError])('%o', twin => {
    const numbers = make(2);
    const [logits, targets] = [numbers(15, 3), numbers(15).map(v => 1 / (1 + Math.exp(-v)))];
    const value = () => sum(twin(logits, targets, 5, 0.5).loss);
    expectGradient(value, logits, twin(logits, targets, 5, 0.5).dlogits, 'dlogits');
  });

  it('the cross-entropy of spans', () => {
    const logits = make(3)(2 * 11, 2);
    const [lengths, spans] = [
      [4, 1, 6],
      [
        [1, 3],
        [0, 0],
        [-1, 5],
      ] as const,
    ];
    const value = () => sum(losses.spanCrossEntropy(logits, lengths, spans, 1 / 3).loss);
    expectGradient(value, logits, losses.spanCrossEntropy(logits, lengths, spans, 1 / 3).dlogits, 'dlogits');
  });
});

describe('the gradient of a loss in a batch:', () => {
  it('every row against every row', () => {
    const numbers = make(4);
    const [C, labels] = [5, [0, 1, 2]];
    const [a, b] = [numbers(3 * C), numbers(4 * C)];
    const options = { N: 4, scale: 1 / 3 };
    const value = () => sum(losses.crossEntropy(losses.pairScores(a, b, C, 2), labels, options).loss);
    const { dlogits } = losses.crossEntropy(losses.pairScores(a, b, C, 2), labels, options);
    const { da, db } = losses.pairScoresBackward(a, b, dlogits, C, 2);
    expectGradient(value, a, da, 'da');
    expectGradient(value, b, db, 'db');
  });

  it('pairs of rows', () => {
    const numbers = make(5);
    const C = 5;
    const [a, b, targets] = [numbers(4 * C), numbers(4 * C), numbers(4)];
    const value = () => sum(losses.squaredError(losses.rowDot(a, b, C), targets, 1).loss);
    const { dlogits } = losses.squaredError(losses.rowDot(a, b, C), targets, 1);
    const { da, db } = losses.rowDotBackward(a, b, dlogits, C);
    expectGradient(value, a, da, 'da');
    expectGradient(value, b, db, 'db');
  });

  it('CoSENT', () => {
    const cosines = make(6)(7, 0.3);
    const targets = [0, 1, 0.5, 0.5, 0.2, 1, 0];
    const value = () => losses.cosent(cosines, targets, { scale: 0.5 }).loss;
    expectGradient(value, cosines, losses.cosent(cosines, targets, { scale: 0.5 }).dlogits, 'dlogits');
  });
});

describe('the value of', () => {
  const logits = [0.5, -1, 2, 0, 3, 1, -2, 0.25, 1, 1, 1, -1];
  const labels = [2, -1, 3];
  const weights = [0.5, 2, 1, 0.25];

  // torch.nn.functional.cross_entropy(logits, labels, weight, label_smoothing) of torch 2, ignore_index for -1, in float64.
  it.each([
    { smoothing: 0, weighted: false, mean: 1.7425428495784836, rows: [0.342349582389822, 0, 3.142736116767145] },
    { smoothing: 0.1, weighted: false, mean: 1.7487928495784837, rows: [0.504849582389822, 0, 2.992736116767145] },
    { smoothing: 0, weighted: true, mean: 0.9024268892652867, rows: [0.342349582389822, 0, 0.7856840291917863] },
    { smoothing: 0.3, weighted: true, mean: 1.4308431047960182, rows: [0.8796805277200128, 0, 0.90887335327501] },
  ])("the cross-entropy is torch's, smoothing $smoothing, weights $weighted", ({ smoothing, weighted, mean, rows }) => {
    const options = { N: 4, smoothing, weights: weighted ? weights : undefined };
    const { loss } = losses.crossEntropy(logits, labels, options);
    rows.forEach((value, r) => {
      expect(loss[r]).toBeCloseTo(value, 12);
    });
    // The mean is divided by the weights of the labels.
    expect(sum(loss) / (weighted ? 1 + 0.25 : 2)).toBeCloseTo(mean, 12);
  });

  it("CoSENT is sentence-transformers'", () => {
    const cosines = [0.1, -0.3, 0.8, 0.5];
    expect(losses.cosent(cosines, [0.2, 0.9, 0.9, 0]).loss).toBeCloseTo(16.000670813024644, 12);
  });

  it("the others is torch's mean", () => {
    const targets = Array.from({ length: 12 }, (_, i) => [0, 1, 0.5, 1][i % 4]!);
    expect(sum(losses.binaryCrossEntropy(logits, targets, 4, 1 / 12).loss)).toBeCloseTo(1.0770980902823266, 12);
    expect(sum(losses.squaredError(logits, targets, 4, 1 / 12).loss)).toBeCloseTo(2.3802083333333335, 12);
  });
});
