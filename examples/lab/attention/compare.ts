import { thumbnailDifference } from './thumbnails.ts';
import type { AttentionView } from './types.ts';

/** Two views of as many heads and tokens: the first, whose maps are now the differences from the second. */
export interface Comparison {
  readonly view: AttentionView;
  /** [layers x heads, side, side], -1 to 1. */
  readonly differences: Float32Array;
}

/** Why two views cannot be laid over each other, as a sentence; undefined where they can. */
export function mismatch(one: AttentionView, other: AttentionView): string | undefined {
  if (one.layers !== other.layers || one.heads !== other.heads) {
    return `${one.name} has ${one.layers} × ${one.heads} heads and ${other.name} ${other.layers} × ${other.heads}: only models of one shape have a difference.`;
  }
  const [here, there] = [one.tokens.length, other.tokens.length];
  if (here === there) return undefined;
  return `The texts have ${here} and ${there} tokens: a difference needs as many in both. Change a word for one of as many pieces.`;
}

export function compared(one: AttentionView, other: AttentionView): Comparison | undefined {
  const differences = mismatch(one, other) ? undefined : thumbnailDifference(one.thumbnails, other.thumbnails);
  if (!differences) return undefined;
  const view: AttentionView = {
    ...one,
    guesses: new Map(),
    async map(layer, head, signal) {
      const [here, there] = await Promise.all([one.map(layer, head, signal), other.map(layer, head, signal)]);
      return here.map((value, k) => value - there[k]!);
    },
  };
  return { view, differences };
}
