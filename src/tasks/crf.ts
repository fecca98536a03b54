import { argmax, softmax } from './scores.ts';

/** The parameters of a linear-chain CRF over n labels, under the names of pytorch-crf. */
export interface Crf {
  /** [n] */
  start_transitions: ArrayLike<number>;
  /** [n] */
  end_transitions: ArrayLike<number>;
  /** [n, n]: from the row's label to the column's. */
  transitions: ArrayLike<number>;
}

/** Emissions [L, n] by token. */
const rowsOf = (emissions: ArrayLike<number>, n: number): number[][] =>
  Array.from({ length: emissions.length / n }, (_, t) => Array.from({ length: n }, (_, j) => emissions[t * n + j]!));

/** For every token and label what `over` makes of the scores of all paths that lead there. */
function scan(
  rows: readonly (readonly number[])[],
  start: ArrayLike<number>,
  transition: (from: number, to: number) => number,
  over: (scores: readonly number[]) => number,
): number[][] {
  let last: number[] | undefined;
  return rows.map(row => {
    const lead = (to: number) => (last ? over(last.map((score, from) => score + transition(from, to))) : start[to]!);
    last = row.map((emission, to) => lead(to) + emission);
    return last;
  });
}

/** The likeliest labels of all tokens together; emissions [L, n]. Of equal paths, that of the lower labels. */
export function viterbi(emissions: ArrayLike<number>, crf: Crf): number[] {
  const n = crf.start_transitions.length;
  const transition = (from: number, to: number) => crf.transitions[from * n + to]!;
  const best = scan(rowsOf(emissions, n), crf.start_transitions, transition, scores => Math.max(...scores));
  let next: number | undefined;
  const path = best.reverse().map(scores => {
    const to = next;
    next = argmax(scores.map((score, j) => score + (to === undefined ? crf.end_transitions[j]! : transition(j, to))));
    return next;
  });
  return path.reverse();
}

/** The probability of every label at every token, [L, n], all paths considered (forward-backward); rows sum to 1. */
export function marginals(emissions: ArrayLike<number>, crf: Crf): Float64Array {
  const n = crf.start_transitions.length;
  const { transitions } = crf;
  const rows = rowsOf(emissions, n);
  const there = scan(rows, crf.start_transitions, (from, to) => transitions[from * n + to]!, logSumExp);
  const back = scan(rows.toReversed(), crf.end_transitions, (from, to) => transitions[to * n + from]!, logSumExp);
  // Both count the token's own emission.
  const scores = rows.map((row, t) => row.map((own, j) => there[t]![j]! + back.at(-1 - t)![j]! - own));
  return Float64Array.from(scores.flatMap(row => [...softmax(row)]));
}

/** Of forbidden paths alone minus infinity, as their own scores are: the difference of two such would be NaN. */
function logSumExp(terms: readonly number[]): number {
  const greatest = Math.max(...terms);
  if (greatest === Number.NEGATIVE_INFINITY) return greatest;
  return greatest + Math.log(terms.reduce((sum, value) => sum + Math.exp(value - greatest), 0));
}
