/** Computed in float64: a softmax over a vocabulary has many terms, and its callers compare with Python to 1e-4 and less. */
export const softmax = (logits: ArrayLike<number>): Float64Array => Float64Array.from(logits, softmaxOf(logits));

/** A function from any one of `logits` to its softmax among them. */
export function softmaxOf(logits: ArrayLike<number>): (logit: number) => number {
  let shift = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < logits.length; i++) shift = Math.max(shift, logits[i]!);
  let sum = 0;
  for (let i = 0; i < logits.length; i++) sum += Math.exp(logits[i]! - shift);
  return logit => Math.exp(logit - shift) / sum;
}

export function sigmoid(logit: number): number {
  return 1 / (1 + Math.exp(-logit));
}

/** The functions that make scores of logits, under the names of Python's `function_to_apply`. */
export const FUNCTION_NAMES = ['sigmoid', 'softmax', 'none'] as const;
export type ScoreFunction = (typeof FUNCTION_NAMES)[number];

export function toScores(logits: ArrayLike<number>, name: ScoreFunction): Float64Array {
  if (name === 'softmax') return softmax(logits);
  return name === 'sigmoid' ? Float64Array.from(logits, sigmoid) : Float64Array.from(logits);
}

/** The `size` items with the greatest scores among all that are offered: O(n log size) time, memory for 2 `size` items. */
export class Ranking<T> {
  readonly #size: number;
  #candidates: { score: number; item: T }[] = [];
  /** A score must be above this to be kept. NaN until `size` items are there: no score is `<= NaN`, so all are kept. */
  #floor = Number.NaN;

  constructor(size: number) {
    this.#size = size;
  }

  /** Whether an item of this score would be kept. Of items with equal scores, those offered first are kept. */
  takes(score: number): boolean {
    return !(score <= this.#floor);
  }

  offer(score: number, item: T): void {
    if (this.takes(score) && this.#candidates.push({ score, item }) >= 2 * this.#size) this.best();
  }

  /** Greatest score first, equal scores in the order in which they were offered. */
  best(): readonly { score: number; item: T }[] {
    this.#candidates = this.#candidates.sort((a, b) => b.score - a.score).slice(0, this.#size);
    if (this.#candidates.length === this.#size) this.#floor = this.#candidates.at(-1)!.score;
    return this.#candidates;
  }
}

/** The indices of the `count` greatest scores, greatest first; of equal scores the lower index first. */
export function ranked(scores: ArrayLike<number>, count = scores.length): number[] {
  const ranking = new Ranking<number>(count);
  for (let i = 0; i < scores.length; i++) ranking.offer(scores[i]!, i);
  return ranking.best().map(({ item }) => item);
}

/** The index of the greatest score; of equal scores the first, as numpy's argmax. */
export function argmax(scores: ArrayLike<number>): number {
  let best = 0;
  for (let i = 1; i < scores.length; i++) if (scores[i]! > scores[best]!) best = i;
  return best;
}
