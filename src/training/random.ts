import { InputError, wrong } from '../errors.ts';
import { normalNumbers, pcg4d, TWO_32, type Word4 } from '../random.ts';

/**
 * Random numbers that depend on nothing but what they are asked for: the same seed gives the same numbers on every engine, and training
 * that goes on from a checkpoint draws what it would have drawn.
 *
 * Masks of dropout come from a hash, so that a kernel can make them again on the way back: nothing is stored. What is drawn on the host
 * (orders, masks of words, weights of a new head) comes from PCG32 streams.
 */

/** From which random word on an element is kept: p * 2^32, so that a share of p is below it. */
export const dropoutThreshold = (p: number): number => Math.min(Math.round(p * TWO_32), TWO_32 - 1);

/** Which of the masks of a run is meant, and how much it drops. */
export interface DropoutMask {
  /** The place in the graph. */
  readonly site: number;
  /** `seed` of the arguments. */
  readonly seed: number;
  /** The number of the step, in the whole run. */
  readonly step: number;
  /** The probability of 0, below 1. */
  readonly p: number;
}

const STEP = 0x85ebca6b;

/** 0 for a word below the threshold, else 1 / (1 - p) in float32. */
function factorsOf(words: Word4, p: number): number[] {
  const [threshold, scale] = [dropoutThreshold(p), Math.fround(1 / (1 - p))];
  return words.map(word => (word >= threshold ? scale : 0));
}

/** The factors of elements 4 `group` to 4 `group` + 3 of the row with this key: the numbers of shaders/dropout.ts. */
export const rowDropout = (group: number, key: number, { site, seed, step, p }: DropoutMask): number[] =>
  factorsOf(pcg4d([group, key, site, seed + Math.imul(step, STEP)]), p);

/** Whether an element of a row is kept: one number of `rowDropout`. */
export const dropoutKeeps = (element: number, key: number, mask: DropoutMask): boolean =>
  rowDropout(element >>> 2, key, mask)[element & 3] !== 0;

/** What a stream is for, so that what is drawn for one purpose says nothing about another. */
const PURPOSES = ['order', 'mask', 'weights', 'pairs', 'other', 'adapters'] as const;
export type RandomPurpose = (typeof PURPOSES)[number];

export interface StreamKey {
  /** A whole number below 2^32. */
  readonly seed: number;
  readonly purpose: RandomPurpose;
  /** Default: 0. */
  readonly epoch?: number;
  /** Which of several things of one epoch: the example whose tokens are masked, or the weight that is drawn. Default: 0. */
  readonly index?: number;
}

/** The stream of random numbers of a seed, a purpose, an epoch and an index. Streams of other keys are unrelated. */
export function randomStream({ seed, purpose, epoch = 0, index = 0 }: StreamKey): Pcg32 {
  const [a, b, c, d] = pcg4d([seed, epoch, PURPOSES.indexOf(purpose), index]);
  return new Pcg32([a, b], [c, d]);
}

/** The upper half of the product of two words. */
function multiplyHigh(a: number, b: number): number {
  const [aHigh, aLow, bHigh, bLow] = [a >>> 16, a & 0xffff, b >>> 16, b & 0xffff];
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const carried = aLow * bHigh + (middle & 0xffff);
  return (aHigh * bHigh + Math.floor(middle / 0x10000) + Math.floor(carried / 0x10000)) >>> 0;
}

/** O'Neill's multiplier, 6364136223846793005, as two words. */
const MULTIPLIER = [0x5851f42d, 0x4c957f2d] as const;

/** PCG-XSH-RR 64/32 (O'Neill, PCG, 2014; pcg-random.org): the numbers of `pcg32_random_r` with the same state and sequence. */
export class Pcg32 {
  #high = 0;
  #low = 0;
  readonly #incrementHigh: number;
  readonly #incrementLow: number;
  readonly #normal = normalNumbers(() => this.next());

  /**
   * @param state `initstate` as [upper, lower] word
   * @param sequence `initseq` as [upper, lower] word; its upmost bit does not matter
   */
  constructor(state: readonly [number, number], sequence: readonly [number, number]) {
    this.#incrementHigh = ((sequence[0] << 1) | (sequence[1] >>> 31)) >>> 0;
    this.#incrementLow = ((sequence[1] << 1) | 1) >>> 0;
    this.#step();
    this.#add(state[0], state[1]);
    this.#step();
  }

  #add(high: number, low: number): void {
    const sum = this.#low + (low >>> 0);
    this.#high = (this.#high + high + (sum >= TWO_32 ? 1 : 0)) >>> 0;
    this.#low = sum >>> 0;
  }

  #step(): void {
    const [high, low] = [this.#high, this.#low];
    const [byHigh, byLow] = MULTIPLIER;
    this.#high = (multiplyHigh(low, byLow) + Math.imul(high, byLow) + Math.imul(low, byHigh)) >>> 0;
    this.#low = Math.imul(low, byLow) >>> 0;
    this.#add(this.#incrementHigh, this.#incrementLow);
  }

  /** The next word, 0 to 2^32 - 1. */
  next(): number {
    const [high, low] = [this.#high, this.#low];
    this.#step();
    // ((state >> 18) ^ state) >> 27, of which the lower word counts.
    const shiftedHigh = (high >>> 18) ^ high;
    const shiftedLow = ((high << 14) | (low >>> 18)) ^ low;
    const word = (shiftedHigh << 5) | (shiftedLow >>> 27);
    const turn = high >>> 27;
    return ((word >>> turn) | (word << (-turn & 31))) >>> 0;
  }

  /** A whole number from 0 to `bound` - 1, each as likely as the others; `pcg32_boundedrand_r`. `bound` is 1 to 2^32. */
  below(bound: number): number {
    const threshold = TWO_32 % bound;
    for (;;) {
      const word = this.next();
      if (word >= threshold) return word % bound;
    }
  }

  /** A number of [0, 1) with 53 random bits. */
  uniform(): number {
    const high = this.next() >>> 5;
    return (high * 2 ** 26 + (this.next() >>> 6)) / 2 ** 53;
  }

  /** A number of the normal distribution with mean 0 and standard deviation 1: see normalNumbers. */
  normal(): number {
    return this.#normal();
  }
}

/** The numbers 0 to n - 1 in a random order, by Fisher and Yates: every order is as likely. */
export function permutation(n: number, stream: Pcg32): Uint32Array {
  if (!(Number.isInteger(n) && n >= 0 && n <= TWO_32)) throw wrong('the length of an order', n, 'a whole number');
  const order = Uint32Array.from({ length: n }, (_, i) => i);
  for (let last = n - 1; last > 0; last--) {
    const other = stream.below(last + 1);
    const value = order[last]!;
    order[last] = order[other]!;
    order[other] = value;
  }
  return order;
}

/** `count` weights of a normal distribution with mean 0, as transformers draws those of new layers (`initializer_range`). */
export function normalWeights(count: number, deviation: number, stream: Pcg32): Float32Array {
  if (!(deviation >= 0 && Number.isFinite(deviation))) {
    throw new InputError({
      what: 'the standard deviation is wrong',
      actual: String(deviation),
      expected: 'at least 0',
    });
  }
  return Float32Array.from({ length: count }, () => deviation * stream.normal());
}
