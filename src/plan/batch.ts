import type { Sizes } from './sizes.ts';

/** One sequence as the model sees it: parallel arrays, one entry per token. */
export interface Sequence {
  readonly ids: ArrayLike<number>;
  readonly positions: ArrayLike<number>;
  readonly types: ArrayLike<number>;
  /** Where the tokens stood in their row before padding was taken out, which is what distances count; 0, 1, 2, ... where missing. */
  readonly places?: readonly number[] | undefined;
  /** The tokens that a head is wanted for alone, by their places in the sequence. */
  readonly masked?: readonly number[] | undefined;
  /** How many tokens at the start are left out where the sequence is pooled; 0 where missing. */
  readonly unpooled?: number | undefined;
}

/** The packed sequences of one pass, as the kernels read them. */
export interface Batch {
  readonly sizes: Sizes;
  /** T x (id, position, type, place) */
  readonly tokens: Uint32Array<ArrayBuffer>;
  /** B x (start, end, start of its pairs, tokens that are left out where it is pooled) */
  readonly sequences: Uint32Array<ArrayBuffer>;
  /** tiles x (start, end, first query, start of its pairs) */
  readonly tiles: Uint32Array<ArrayBuffer>;
  /** masked x (token of the pass, 0, 0, 0) */
  readonly masked: Uint32Array<ArrayBuffer>;
}

export function sizesOf(lengths: readonly number[], queryTile: number, masked = 0): Sizes {
  let tokens = 0;
  let tiles = 0;
  let pairs = 0;
  for (const length of lengths) {
    tokens += length;
    tiles += Math.ceil(length / queryTile);
    pairs += length * length;
  }
  return { tokens, sequences: lengths.length, tiles, pairs, masked };
}

/** Packs sequences one behind the other: no padding. */
export function packBatch(list: readonly Sequence[], queryTile: number): Batch {
  const sizes = sizesOf(
    list.map(({ ids }) => ids.length),
    queryTile,
    list.reduce((sum, { masked }) => sum + (masked?.length ?? 0), 0),
  );
  const tokens = new Uint32Array(4 * sizes.tokens);
  const sequences = new Uint32Array(4 * sizes.sequences);
  const tiles = new Uint32Array(4 * sizes.tiles);
  const masked = new Uint32Array(4 * sizes.masked);
  let start = 0;
  let tile = 0;
  let pairs = 0;
  let picked = 0;
  list.forEach(({ ids, positions, types, places, masked: wanted = [], unpooled = 0 }, b) => {
    const end = start + ids.length;
    for (let i = 0, at = 4 * start; i < ids.length; i++, at += 4) {
      tokens[at] = ids[i]!;
      tokens[at + 1] = positions[i]!;
      tokens[at + 2] = types[i]!;
      tokens[at + 3] = places?.[i] ?? i;
    }
    sequences.set([start, end, pairs, unpooled], 4 * b);
    for (let query = start; query < end; query += queryTile) tiles.set([start, end, query, pairs], 4 * tile++);
    for (const place of wanted) masked[4 * picked++] = start + place;
    pairs += ids.length * ids.length;
    start = end;
  });
  return { sizes, tokens, sequences, tiles, masked };
}
