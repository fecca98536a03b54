import { describe, expect, test } from 'vitest';
import { InputError } from '../src/errors.ts';
import {
  type Average,
  accuracy,
  classification_report,
  f1,
  mrr,
  ndcg,
  pearson,
  perplexity,
  seqeval,
  spearman,
} from '../src/training/index.ts';
import python from './fixtures/training-host.json' with { type: 'json' };

describe('metrics of classes', () => {
  test.each(python.classes)('are those of sklearn', ({ references, predictions, ...expected }) => {
    const given = { references, predictions };
    expect(accuracy(given).accuracy).toBeCloseTo(expected.accuracy, 14);
    for (const average of Object.keys(expected.f1) as Average[]) {
      const scores = f1(given, { average });
      for (const name of ['f1', 'precision', 'recall'] as const) {
        expect([average, name, scores[name]]).toEqual([average, name, expect.closeTo(expected[name][average]!, 14)]);
      }
    }
  });

  test('of several labels at once are those of sklearn', () => {
    const { accuracy: right, f1: scores, ...given } = python.multi;
    expect(accuracy(given).accuracy).toBeCloseTo(right, 14);
    for (const [average, score] of Object.entries(scores)) {
      expect(f1(given, { average: average as Average }).f1).toBeCloseTo(score, 14);
    }
  });

  test('may be given the logits that a Trainer has', () => {
    const single = { predictions: [Float32Array.of(2, 1), [0, 3]], label_ids: [0, 0] };
    expect(accuracy(single)).toEqual({ accuracy: 0.5 });
    const many = {
      predictions: [Float32Array.of(2, -1), Float32Array.of(-1, 1)],
      label_ids: [
        [1, 0],
        [1, 1],
      ],
    };
    expect(accuracy(many)).toEqual({ accuracy: 0.5 });
    expect(f1(many, { average: 'micro' }).f1).toBeCloseTo(0.8, 14);
    const tokens = {
      predictions: [
        [
          [0, 1],
          [1, 0],
          [5, 1],
        ],
      ],
      label_ids: [[-100, 0, 1]],
    };
    expect(accuracy(tokens)).toEqual({ accuracy: 0.5 });
  });

  test('are refused for what cannot be compared', () => {
    expect(() => accuracy({ predictions: [], references: [] })).toThrow(InputError);
    expect(() => accuracy({ predictions: [1], references: [1, 2] })).toThrow(/two lists of the same length/);
    for (const [prediction, reference] of [
      ['yes', 'yes'],
      [0.7, 1],
      [Number.NaN, 0],
      [1, [1, 0]],
      [
        [0.9, 0.2],
        [1, 0],
      ],
      [
        [1, 0],
        [1, 0, 1],
      ],
    ]) {
      const given = { predictions: [prediction as number], references: [reference as number] };
      for (const metric of [accuracy, f1])
        expect(() => metric(given)).toThrow(/prediction and reference 0 are no classes/);
    }
    expect(() => f1({ predictions: [1], references: [2] }, { average: 'binary' })).toThrow(/'binary' is for/);
    expect(() => f1({ predictions: [1], references: [1] }, { average: 'mean' as Average })).toThrow(/average is wrong/);
  });
});

describe('seqeval', () => {
  test.each(python.tags)('has the numbers of the package', ({ references, predictions, types, ...expected }) => {
    const given = { references, predictions };
    const scores = seqeval(given);
    for (const name of ['accuracy', 'f1', 'precision', 'recall'] as const) {
      expect(scores[name]).toBeCloseTo(expected[name], 14);
    }
    const report = Object.entries(classification_report(given)).map(([type, { f1: score, ...rest }]) => [
      type,
      { ...rest, 'f1-score': score },
    ]);
    const close = Object.entries(types).map(([type, own]) => [
      type,
      Object.fromEntries(
        Object.entries(own as Record<string, number>).map(([name, value]) => [name, expect.closeTo(value, 14)]),
      ),
    ]);
    expect(Object.fromEntries(report)).toEqual(Object.fromEntries(close));
  });

  test('takes the logits of tokens, and leaves out those without a label', () => {
    const given = {
      predictions: [
        [
          [9, 0, 0],
          [0, 9, 0],
          [0, 0, 9],
          [9, 0, 0],
        ],
      ],
      label_ids: [[-100, 1, 2, 0]],
      id2label: ['O', 'B-PER', 'I-PER'],
    };
    expect(seqeval(given)).toEqual({ precision: 1, recall: 1, f1: 1, accuracy: 1 });
    expect(() => seqeval({ ...given, id2label: undefined! })).toThrow(/id2label is wrong/);
    expect(() => seqeval({ predictions: [['O']], references: [['O', 'O']] })).toThrow(/text 0 has not the same number/);
  });
});

describe('metrics of numbers', () => {
  test.each(python.pairs)('are those of scipy, ties too', ({ x, y, ...expected }) => {
    const given = { predictions: x, references: y };
    expect(pearson(given).pearson).toBeCloseTo(expected.pearson, 12);
    expect(spearman(given).spearman).toBeCloseTo(expected.spearman, 12);
    const logits = { predictions: x.map(value => [value]), label_ids: y };
    expect(pearson(logits)).toEqual(pearson(given));
  });

  test('are NaN where there is nothing to tell', () => {
    const given = { predictions: [1, 1, 1], references: [1, 2, 3] };
    expect(pearson(given).pearson).toBeNaN();
    expect(spearman(given).spearman).toBeNaN();
    expect(spearman({ predictions: [1, Number.NaN], references: [1, 2] }).spearman).toBeNaN();
    expect(perplexity(Math.log(40))).toBeCloseTo(40, 12);
  });
});

describe('metrics of rankings', () => {
  test.each(python.rankings)('ndcg is that of sklearn, for k = $k', ({ relevance, scores, k, ndcg: expected }) => {
    const given = { predictions: scores, references: relevance };
    expect(ndcg(given, { k: k ?? Number.POSITIVE_INFINITY }).ndcg).toBeCloseTo(expected, 12);
  });

  test('mrr is 1 / the place of the first that is relevant', () => {
    const given = {
      predictions: [
        [0.9, 0.5, 0.1],
        [0.1, 0.2, 0.3],
        [3, 2, 1],
      ],
      references: [
        [0, 1, 1],
        [0, 0, 1],
        [0, 0, 1],
      ],
    };
    expect(mrr(given).mrr).toBeCloseTo((1 / 2 + 1 + 1 / 3) / 3, 14);
    expect(mrr(given, { k: 2 }).mrr).toBeCloseTo((1 / 2 + 1 + 0) / 3, 14);
    expect(() => mrr(given, { k: 0 })).toThrow(/k is wrong/);
    expect(() => ndcg({ predictions: [[Number.NaN]], references: [[1]] })).toThrow(/scores of query 0 are wrong/);
  });
});
