/**
 * Logistic regression with an L2 penalty, as sklearn's LogisticRegression has it with its defaults (C = 1, an intercept that is not penalised):
 * the minimum of
 *
 *   1/2 sum of squares of the weights + C sum of -log p(class of the row)
 *
 * which is convex, so there is one. Of two classes sklearn has one row of weights, for the second class; here each class has its own row, half
 * of it and minus half of it: the same probabilities.
 */

export interface LogisticHead {
  /** [classes, columns] */
  readonly weight: Float64Array;
  /** [classes] */
  readonly bias: Float64Array;
  readonly classes: number;
  readonly columns: number;
}

/** The largest number of the gradient where the search ends, of the number of rows. */
const TOLERANCE = 1e-9;
/** It ends long before: the function is smooth and convex. */
const MOST_ITERATIONS = 2000;
/** Pairs of differences that L-BFGS keeps. */
const MEMORY = 12;

/** @param rows one for each example, all of the same length @param labels the class of each */
export function fitLogistic(
  rows: readonly ArrayLike<number>[],
  labels: readonly number[],
  { classes, C = 1 }: { readonly classes: number; readonly C?: number },
): LogisticHead {
  const columns = rows[0]?.length ?? 0;
  // Two rows of opposite sign have half the sum of squares of the one row that sklearn has.
  const penalty = classes === 2 ? 2 : 1;
  const size = classes * columns;
  const objective = (at: Float64Array, gradient: Float64Array): number => {
    let value = 0;
    for (let i = 0; i < size; i++) {
      value += (penalty * at[i]! ** 2) / 2;
      gradient[i] = penalty * at[i]!;
    }
    gradient.fill(0, size);
    for (const [r, row] of rows.entries()) {
      const scores = scoresOf(row, at, { classes, columns });
      const most = Math.max(...scores);
      const sum = scores.reduce((total, score) => total + Math.exp(score - most), 0);
      value += C * (most + Math.log(sum) - scores[labels[r]!]!);
      for (const [k, score] of scores.entries()) {
        const error = C * (Math.exp(score - most) / sum - Number(k === labels[r]));
        for (let c = 0; c < columns; c++) gradient[k * columns + c]! += error * row[c]!;
        gradient[size + k]! += error;
      }
    }
    return value;
  };
  const found = minimum(objective, new Float64Array(size + classes), TOLERANCE * Math.max(1, rows.length));
  // The mean of the intercepts does not matter, so it is 0.
  const bias = found.slice(size);
  const mean = bias.reduce((a, b) => a + b, 0) / classes;
  return { weight: found.slice(0, size), bias: bias.map(value => value - mean), classes, columns };
}

const scoresOf = (
  row: ArrayLike<number>,
  at: Float64Array,
  { classes, columns }: Pick<LogisticHead, 'classes' | 'columns'>,
): number[] =>
  Array.from({ length: classes }, (_, k) => {
    let score = at[classes * columns + k]!;
    for (let c = 0; c < columns; c++) score += at[k * columns + c]! * row[c]!;
    return score;
  });

/** The logits of a row. */
export function logisticScores(head: LogisticHead, row: ArrayLike<number>): number[] {
  const at = new Float64Array(head.weight.length + head.bias.length);
  at.set(head.weight);
  at.set(head.bias, head.weight.length);
  return scoresOf(row, at, head);
}

type Objective = (at: Float64Array, gradient: Float64Array) => number;

const dot = (a: Float64Array, b: Float64Array): number => {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
};

/** The place of the least value of a smooth convex function, by L-BFGS (Nocedal and Wright, Numerical Optimization, algorithm 7.5). */
function minimum(objective: Objective, start: Float64Array, tolerance: number): Float64Array {
  let at = start;
  let gradient = new Float64Array(at.length);
  let value = objective(at, gradient);
  const steps: { s: Float64Array; y: Float64Array; inverse: number }[] = [];
  for (let i = 0; i < MOST_ITERATIONS; i++) {
    if (gradient.every(g => Math.abs(g) <= tolerance)) break;
    const direction = towards(gradient, steps);
    const slope = dot(direction, gradient);
    // Armijo's condition; the step of 1 suits once there are differences.
    let length = steps.length ? 1 : 1 / Math.sqrt(dot(gradient, gradient));
    let next = at;
    let nextGradient = gradient;
    let nextValue = value;
    for (let tries = 0; tries < 60; tries++) {
      next = at.map((x, j) => x + length * direction[j]!);
      nextGradient = new Float64Array(at.length);
      nextValue = objective(next, nextGradient);
      if (nextValue <= value + 1e-4 * length * slope) break;
      length /= 2;
    }
    // No step makes it less in float64.
    if (nextValue >= value) break;
    const s = next.map((x, j) => x - at[j]!);
    const y = nextGradient.map((g, j) => g - gradient[j]!);
    const curvature = dot(s, y);
    if (curvature > 0) {
      steps.push({ s, y, inverse: 1 / curvature });
      if (steps.length > MEMORY) steps.shift();
    }
    [at, gradient, value] = [next, nextGradient, nextValue];
  }
  return at;
}

/** The direction of a step: minus the gradient times what the last differences say of the inverse of the second derivatives. */
function towards(
  gradient: Float64Array,
  steps: readonly { s: Float64Array; y: Float64Array; inverse: number }[],
): Float64Array {
  const q = gradient.slice();
  const factors: number[] = [];
  for (const { s, y, inverse } of [...steps].reverse()) {
    const factor = inverse * dot(s, q);
    factors.push(factor);
    for (let i = 0; i < q.length; i++) q[i]! -= factor * y[i]!;
  }
  const last = steps.at(-1);
  const scale = last ? 1 / (last.inverse * dot(last.y, last.y)) : 1;
  for (let i = 0; i < q.length; i++) q[i]! *= scale;
  for (const [i, { s, y, inverse }] of steps.entries()) {
    const factor = factors[steps.length - 1 - i]! - inverse * dot(y, q);
    for (let j = 0; j < q.length; j++) q[j]! += factor * s[j]!;
  }
  return q.map(value => -value);
}
