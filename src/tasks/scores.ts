/** Float64 throughout: a softmax over a vocabulary has many terms, and its callers compare with Python to 1e-4 and less. */
export const softmax = (logits: ArrayLike<number>): Float64Array => Float64Array.from(logits, softmaxOf(logits));

/** The softmax among `logits` of any one of them. */
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

/** What becomes of logits; the names of Python's `function_to_apply`. */
export const FUNCTION_NAMES = ['sigmoid', 'softmax', 'none'] as const;
export type ScoreFunction = (typeof FUNCTION_NAMES)[number];

export function toScores(logits: ArrayLike<number>, name: ScoreFunction): Float64Array {
  return name === 'softmax'
    ? softmax(logits)
    : Float64Array.from(logits, value => (name === 'sigmoid' ? sigmoid(value) : value));
}

/** The `size` items of the greatest scores among all that are offered, in O(n log size) and room for 2 `size` items. */
export class Ranking<T> {
  readonly #size: number;
  #found: { score: number; item: T }[] = [];
  /** Nothing is `<= NaN`: as long as there is room all is taken. */
  #floor = Number.NaN;

  constructor(size: number) {
    this.#size = size;
  }

  /** Whether an item of this score would be kept: of equals, the ones offered first are. */
  takes(score: number): boolean {
    return !(score <= this.#floor);
  }

  offer(score: number, item: T): void {
    if (this.takes(score) && this.#found.push({ score, item }) >= 2 * this.#size) this.best();
  }

  /** Greatest first, equals in the order in which they were offered. */
  best(): readonly { score: number; item: T }[] {
    this.#found = this.#found.sort((a, b) => b.score - a.score).slice(0, this.#size);
    if (this.#found.length === this.#size) this.#floor = this.#found.at(-1)!.score;
    return this.#found;
  }
}

/** The places of the `count` greatest scores, greatest first, equals from the left. */
export function ranked(scores: ArrayLike<number>, count = scores.length): number[] {
  const ranking = new Ranking<number>(count);
  for (let i = 0; i < scores.length; i++) ranking.offer(scores[i]!, i);
  return ranking.best().map(({ item }) => item);
}

/** The place of the greatest score, of equals the first, as numpy's argmax. */
export function argmax(scores: ArrayLike<number>): number {
  let best = 0;
  for (let i = 1; i < scores.length; i++) if (scores[i]! > scores[best]!) best = i;
  return best;
}
