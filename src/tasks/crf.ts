import type { WantedTensor } from '../checkpoint/file/index.ts';
import { type EncoderConfig, labelCount } from '../model/index.ts';
import { argmax, softmax } from './scores.ts';

/** The parameters of a linear-chain CRF (conditional random field) over n labels, under the names of pytorch-crf. */
export interface Crf {
  /** [n]: the score of a path that begins with the label. */
  start_transitions: ArrayLike<number>;
  /** [n]: the score of a path that ends with the label. */
  end_transitions: ArrayLike<number>;
  /** [n, n]: the score of the step from the row's label to the column's. */
  transitions: ArrayLike<number>;
}

const TENSOR_NAMES = {
  transitions: 'crf.transitions',
  start_transitions: 'crf.start_transitions',
  end_transitions: 'crf.end_transitions',
} as const;

/** The tensors of a CRF in a checkpoint. They are read to the CPU at load (`Engine.host`), where the checkpoint has all of them. */
export function crfTensors(config: EncoderConfig): WantedTensor[] {
  const n = labelCount(config);
  return [
    { tensor: TENSOR_NAMES.transitions, shape: [n, n] },
    { tensor: TENSOR_NAMES.start_transitions, shape: [n] },
    { tensor: TENSOR_NAMES.end_transitions, shape: [n] },
  ];
}

/** The CRF among the tensors that were read to the CPU; undefined where the checkpoint has none. */
export function crfOf(tensors: ReadonlyMap<string, ArrayLike<number>>): Crf | undefined {
  const transitions = tensors.get(TENSOR_NAMES.transitions);
  const start_transitions = tensors.get(TENSOR_NAMES.start_transitions);
  const end_transitions = tensors.get(TENSOR_NAMES.end_transitions);
  if (!transitions || !start_transitions || !end_transitions) return undefined;
  return { transitions, start_transitions, end_transitions };
}

/** Emissions [L, n] as one list of n scores for each token. */
const rowsOf = (emissions: ArrayLike<number>, n: number): number[][] =>
  Array.from({ length: emissions.length / n }, (_, t) => Array.from({ length: n }, (_, j) => emissions[t * n + j]!));

/** [L, n]: for every token and label, `reduce` of the scores of all paths that lead to that label at that token. */
function scan(
  rows: readonly (readonly number[])[],
  start: ArrayLike<number>,
  transition: (from: number, to: number) => number,
  reduce: (scores: readonly number[]) => number,
): number[][] {
  let previous: number[] | undefined;
  return rows.map(row => {
    const scoreBefore = (to: number) =>
      previous ? reduce(previous.map((score, from) => score + transition(from, to))) : start[to]!;
    previous = row.map((emission, to) => scoreBefore(to) + emission);
    return previous;
  });
}

/** The labels [L] of the likeliest path, from emissions [L, n] (Viterbi). Of paths with equal scores, the one with lower labels. */
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

/** The probability of every label at every token, [L, n], over all paths (forward-backward). Each row sums to 1. */
export function marginals(emissions: ArrayLike<number>, crf: Crf): Float64Array {
  const n = crf.start_transitions.length;
  const { transitions } = crf;
  const rows = rowsOf(emissions, n);
  const forward = scan(rows, crf.start_transitions, (from, to) => transitions[from * n + to]!, logSumExp);
  const backward = scan(rows.toReversed(), crf.end_transitions, (from, to) => transitions[to * n + from]!, logSumExp);
  // Both directions count the token's emission, so one is subtracted.
  const scores = rows.map((row, t) => row.map((emission, j) => forward[t]![j]! + backward.at(-1 - t)![j]! - emission));
  return Float64Array.from(scores.flatMap(row => [...softmax(row)]));
}

/** log(sum(exp(terms))). Forbidden paths have scores of -Infinity; if all are forbidden, so is the sum (not NaN). */
function logSumExp(terms: readonly number[]): number {
  const greatest = Math.max(...terms);
  if (greatest === Number.NEGATIVE_INFINITY) return greatest;
  return greatest + Math.log(terms.reduce((sum, value) => sum + Math.exp(value - greatest), 0));
}
