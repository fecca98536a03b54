import type { Sizes } from './sizes.ts';

/** One sequence as the model reads it: parallel arrays, one entry per token. */
export interface Sequence {
  readonly ids: ArrayLike<number>;
  readonly positions: ArrayLike<number>;
  readonly types: ArrayLike<number>;
  /** What the row of the word table is multiplied by. Only for models without types (see TokenDropout). */
  readonly wordFactors?: ArrayLike<number> | undefined;
  /** The places of the tokens in their padded row, between which distances are counted. Default: 0, 1, 2, ... */
  readonly places?: readonly number[] | undefined;
  /** The tokens that a head is computed for, where it is not computed for all: their indices in the sequence. */
  readonly masked?: readonly number[] | undefined;
  /** How many tokens at the start a pooling leaves out. Default: 0. */
  readonly unpooled?: number | undefined;
}

/** The packed sequences of one pass, as the kernels read them: each array holds vec4u. */
export interface Batch {
  readonly sizes: Sizes;
  /** For each token: id, position, type (or the bits of its word factor), place. */
  readonly tokens: Uint32Array<ArrayBuffer>;
  /** For each sequence: first token, end, start of its pairs, tokens that a pooling leaves out. */
  readonly sequences: Uint32Array<ArrayBuffer>;
  /** For each attention work item: first token and end of its sequence, its first query, start of the sequence's pairs. */
  readonly tiles: Uint32Array<ArrayBuffer>;
  /** For each picked token: its index in the pass, 0, 0, 0. */
  readonly masked: Uint32Array<ArrayBuffer>;
}

/** The sizes of a pass of sequences of these lengths, with `masked` picked tokens in all. */
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

/**
 * Packs sequences one behind the other, without padding.
 * @param queryTile Queries of one attention work item: see Plan.
 */
export function packBatch(list: readonly Sequence[], queryTile: number): Batch {
  const sizes = sizesOf(
    list.map(({ ids }) => ids.length),
    queryTile,
    list.reduce((sum, { masked }) => sum + (masked?.length ?? 0), 0),
  );
  const tokens = new Uint32Array(4 * sizes.tokens);
  const factors = new Float32Array(tokens.buffer);
  const sequences = new Uint32Array(4 * sizes.sequences);
  const tiles = new Uint32Array(4 * sizes.tiles);
  const masked = new Uint32Array(4 * sizes.masked);
  let start = 0;
  let tile = 0;
  let pairs = 0;
  let pick = 0;
  list.forEach(({ ids, positions, types, wordFactors, places, masked: picks = [], unpooled = 0 }, b) => {
    const end = start + ids.length;
    for (let i = 0, at = 4 * start; i < ids.length; i++, at += 4) {
      tokens[at] = ids[i]!;
      tokens[at + 1] = positions[i]!;
      if (wordFactors) factors[at + 2] = wordFactors[i]!;
      else tokens[at + 2] = types[i]!;
      tokens[at + 3] = places?.[i] ?? i;
    }
    sequences.set([start, end, pairs, unpooled], 4 * b);
    for (let query = start; query < end; query += queryTile) tiles.set([start, end, query, pairs], 4 * tile++);
    for (const index of picks) masked[4 * pick++] = start + index;
    pairs += ids.length * ids.length;
    start = end;
  });
  return { sizes, tokens, sequences, tiles, masked };
}
