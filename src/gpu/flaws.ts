import { FLAWS, type FlawKind, inspect, WORDS_OF_FLAWS } from '../../shaders/inspect.ts';
import type { Kernel } from '../../shaders/kernel.ts';
import { originOf, type Weight } from '../plan/index.ts';

/** A number of a weight that no kernel can compute with. */
export interface Flaw {
  readonly tensor: string;
  /** The first such number of the tensor: [row, column], or [row] of a vector. */
  readonly index: readonly number[];
  readonly kind: FlawKind;
}

/** The kernel that looks for flaws. Every load needs it, so it is worth compiling ahead. */
export const loadKernel = (): Kernel => inspect();

/**
 * The first flaw of every weight that has one. `words` is what the kernel has written: WORDS_OF_FLAWS for each weight, in the order of
 * their indices. A word is 0, or the complement of the index of the first number of its kind.
 */
export function flawsOf(words: Uint32Array, weights: readonly { weight: Weight; index: number }[]): Flaw[] {
  return weights.flatMap(({ weight, index }) => {
    const ofWeight = words.subarray(index * WORDS_OF_FLAWS, (index + 1) * WORDS_OF_FLAWS);
    const first = Math.max(...ofWeight);
    const origin = first > 0 ? originOf(weight, ~first >>> 0) : undefined;
    return origin ? [{ ...origin, kind: FLAWS[ofWeight.indexOf(first)]! }] : [];
  });
}
