import { expect, test } from 'vitest';
import { fitLogistic, logisticScores } from '../src/training/logistic.ts';
import cases from './fixtures/logistic.json' with { type: 'json' };

/** The probabilities of sklearn 1.9's LogisticRegression by C, with a tolerance of 1e-12, for rows drawn by numpy. */

const runs = cases.flatMap(({ probabilities, ...given }) =>
  Object.entries(probabilities).map(([C, expected]) => ({ ...given, C: Number(C), probabilities: expected })),
);

test.each(runs)('logistic regression of $classes classes with C = $C has the probabilities of sklearn', given => {
  const { classes, rows, labels, probes, probabilities, C } = given;
  const head = fitLogistic(rows, labels, { classes, C });
  for (const [i, probe] of probes.entries()) {
    const scores = logisticScores(head, probe).map(Math.exp);
    const sum = scores.reduce((a, b) => a + b, 0);
    for (const [k, expected] of probabilities[i]!.entries()) expect(scores[k]! / sum).toBeCloseTo(expected, 6);
  }
});
