/** The parameters of a linear-chain CRF over n labels, under the names of pytorch-crf. */
export interface Crf {
  /** [n] */
  start_transitions: ArrayLike<number>;
  /** [n] */
  end_transitions: ArrayLike<number>;
  /** [n, n]: from the row's label to the column's. */
  transitions: ArrayLike<number>;
}

/** The likeliest labels of all tokens together; emissions [L, n]. Of equal paths, that of the lower labels. */
export function viterbi(emissions: ArrayLike<number>, crf: Crf): number[] {
  const n = crf.start_transitions.length;
  const length = emissions.length / n;
  if (length === 0) return [];
  // from[t n + j]: the label before j on the best path to j at t.
  const from = new Uint32Array(length * n);
  let score = Float64Array.from(crf.start_transitions, (value, j) => value + emissions[j]!);
  for (let t = 1; t < length; t++) {
    score = score.map((_, j) => {
      let best = Number.NEGATIVE_INFINITY;
      for (let i = 0; i < n; i++) {
        const value = score[i]! + crf.transitions[i * n + j]!;
        if (value > best) [best, from[t * n + j]] = [value, i];
      }
      return best + emissions[t * n + j]!;
    });
  }
  const path = [0];
  for (let j = 1; j < n; j++) {
    const [best, value] = [path[0]!, score[j]! + crf.end_transitions[j]!];
    if (value > score[best]! + crf.end_transitions[best]!) path[0] = j;
  }
  for (let t = length - 1; t > 0; t--) path.push(from[t * n + path.at(-1)!]!);
  return path.reverse();
}

/** The probability of every label at every token, [L, n], all paths considered (forward-backward); rows sum to 1. */
export function marginals(emissions: ArrayLike<number>, crf: Crf): Float64Array {
  const n = crf.start_transitions.length;
  const length = emissions.length / n;
  const forward = new Float64Array(length * n);
  const backward = new Float64Array(length * n);
  for (let t = 0; t < length; t++) {
    const [now, last] = [t * n, length - 1 - t];
    for (let j = 0; j < n; j++) {
      const before =
        t === 0 ? crf.start_transitions[j]! : logSumExp(n, i => forward[now - n + i]! + crf.transitions[i * n + j]!);
      forward[now + j] = before + emissions[now + j]!;
      const next = (last + 1) * n;
      backward[last * n + j] =
        t === 0
          ? crf.end_transitions[j]!
          : logSumExp(n, i => crf.transitions[j * n + i]! + emissions[next + i]! + backward[next + i]!);
    }
  }
  const whole = logSumExp(n, j => forward[(length - 1) * n + j]! + crf.end_transitions[j]!);
  return forward.map((value, i) => Math.exp(value + backward[i]! - whole));
}

function logSumExp(n: number, term: (i: number) => number): number {
  const terms = Array.from({ length: n }, (_, i) => term(i));
  const greatest = Math.max(...terms);
  return greatest + Math.log(terms.reduce((sum, value) => sum + Math.exp(value - greatest), 0));
}
