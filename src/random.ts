import { wrong } from './errors.ts';

/**
 * Random numbers that are the same bits in every engine: whole numbers, and of floating point nothing but + - * / and the square root,
 * which IEEE 754 rounds in one way. (Math.log, Math.sin and their like differ from engine to engine in the last bit.)
 */

export type Word4 = readonly [x: number, y: number, z: number, w: number];

/** How many words there are. */
export const TWO_32 = 2 ** 32;

/**
 * Four words hashed to four words (each 0 to 2^32 - 1), by Jarzynski and Olano, Hash Functions for GPU Rendering (JCGT 9(3), 2020): the
 * bits of `pcg4d` in shaders/random.ts. It is a bijection: other inputs give other outputs.
 */
export function pcg4d([a, b, c, d]: Word4): Word4 {
  let x = Math.imul(a, 1664525) + 1013904223;
  let y = Math.imul(b, 1664525) + 1013904223;
  let z = Math.imul(c, 1664525) + 1013904223;
  let w = Math.imul(d, 1664525) + 1013904223;
  x += Math.imul(y, w);
  y += Math.imul(z, x);
  z += Math.imul(x, y);
  w += Math.imul(y, z);
  x ^= x >>> 16;
  y ^= y >>> 16;
  z ^= z >>> 16;
  w ^= w >>> 16;
  x += Math.imul(y, w);
  y += Math.imul(z, x);
  z += Math.imul(x, y);
  w += Math.imul(y, z);
  return [x >>> 0, y >>> 0, z >>> 0, w >>> 0];
}

/** The number itself if it is a seed. Throws InputError. */
export function checkSeed(name: string, seed: unknown): number {
  if (typeof seed === 'number' && Number.isInteger(seed) && seed >= 0 && seed < TWO_32) return seed;
  throw wrong(name, seed, 'a whole number from 0 to 4294967295');
}

/** 1/21, 1/19, ..., 1/3, 1: those of the series of the inverse hyperbolic tangent. */
const SERIES = /* @__PURE__ */ Array.from({ length: 11 }, (_, i) => 1 / (21 - 2 * i));

/**
 * ln x for x from 2^-64 to 1. x is m / 2^k with m from 0.7 to 1.4, and ln m = 2 artanh((m - 1) / (m + 1)) (Abramowitz and Stegun, Handbook
 * of Mathematical Functions, 4.1.27), whose argument is below 0.177: the first term that is left out is below 2^-59 of the sum.
 */
export function naturalLogarithm(x: number): number {
  let m = x;
  let k = 0;
  for (; m < 0.7; k++) m *= 2;
  const t = (m - 1) / (m + 1);
  let sum = 0;
  for (const coefficient of SERIES) sum = sum * (t * t) + coefficient;
  return 2 * t * sum - k * Math.LN2;
}

/**
 * Returns a function that gives one number of the normal distribution with mean 0 and standard deviation 1 after the other, of random words
 * (0 to 2^32 - 1): by the polar method (Marsaglia and Bray, SIAM Review 6(3), 1964), which needs no sine.
 */
export function normalNumbers(next: () => number): () => number {
  /** An odd multiple of 2^-32 from -1 to 1: never 0, and as often negative as positive. */
  const signed = () => (2 * next() + 1) / TWO_32 - 1;
  let spare: number | undefined;
  return () => {
    const other = spare;
    spare = undefined;
    if (other !== undefined) return other;
    for (;;) {
      const x = signed();
      const y = signed();
      const square = x * x + y * y;
      if (square >= 1) continue;
      const factor = Math.sqrt((-2 * naturalLogarithm(square)) / square);
      spare = y * factor;
      return x * factor;
    }
  };
}

/**
 * Returns a function that gives the random words of a seed and a name, by hashing both and a count. Those of another seed or name are
 * unrelated, so it does not matter in which order several are drawn from.
 */
export function namedWords(seed: number, name: string): () => number {
  let [a, b, c, d]: Word4 = [seed, 0, 0, name.length];
  for (let i = 0; i < name.length; i++) [a, b, c, d] = pcg4d([a ^ name.charCodeAt(i), b, c, d]);
  let words: Word4 = [a, b, c, d];
  let count = 0;
  return () => {
    const i = count++ & 3;
    if (i === 0) words = pcg4d([a, b, c, d + (count >>> 2)]);
    return words[i]!;
  };
}
