import type { Thumbnails } from './types.ts';

/** A head's picture has at most so many rows and columns; longer texts are pooled. */
export const LARGEST_SIDE = 48;

export const thumbnailSide = (length: number): number => Math.min(length, LARGEST_SIDE);

/** The level of an attention in a thumbnail: the root makes weak attention visible. */
export const levelOf = (attention: number): number => Math.round(255 * Math.sqrt(Math.min(1, Math.max(0, attention))));
export const attentionOf = (level: number): number => (level / 255) ** 2;

/**
 * Writes the picture of one head: where several tokens share a pixel, the largest attention is taken, so that a diagonal stays one.
 * @param map [L, L] @param into [side, side]
 */
export function writeThumbnail(map: Float32Array, length: number, into: Uint8Array): void {
  const side = thumbnailSide(length);
  into.fill(0);
  for (let i = 0; i < length; i++) {
    const row = Math.floor((i * side) / length) * side;
    for (let j = 0; j < length; j++) {
      const at = row + Math.floor((j * side) / length);
      const level = levelOf(map[i * length + j]!);
      if (level > into[at]!) into[at] = level;
    }
  }
}

/** The picture of one head, [side, side]. */
export const thumbnailOf = ({ side, data }: Thumbnails, index: number): Uint8Array =>
  data.subarray(index * side * side, (index + 1) * side * side);

/**
 * The differences of two sets of pictures, [heads, side, side]: the first's attention minus the second's, as -1 to 1. Undefined where
 * they are not alike: another number of heads, or of tokens.
 */
export function thumbnailDifference(one: Thumbnails, other: Thumbnails): Float32Array | undefined {
  if (one.side !== other.side || one.data.length !== other.data.length) return undefined;
  return Float32Array.from(one.data, (level, k) => attentionOf(level) - attentionOf(other.data[k]!));
}
