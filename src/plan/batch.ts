import { phasesOf, type StretchedRotary } from './phases.ts';
import type { Sequence } from './sequence.ts';
import type { Sizes } from './sizes.ts';

/** The packed sequences of one pass, as the kernels read them: each array holds vec4u. */
export interface Batch {
  readonly sizes: Sizes;
  /** For each token: id, position, type (or the bits of its word factor), place. */
  readonly tokens: Uint32Array<ArrayBuffer>;
  /** For each sequence: first token, end, start of its pairs, tokens that a pooling leaves out. */
  readonly sequences: Uint32Array<ArrayBuffer>;
  /** For each attention work item: first key and end of its sequence, its first query, start of the sequence's pairs. */
  readonly tiles: Uint32Array<ArrayBuffer>;
  /** For each picked token: its index in the pass, 0, 0, 0. */
  readonly masked: Uint32Array<ArrayBuffer>;
  /** The rotary angles of each token, where the plan has some that depend on lengths: see phases.ts. Else empty. */
  readonly phases: Uint32Array<ArrayBuffer>;
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
  return { tokens, sequences: lengths.length, tiles, pairs, masked, distances: 0 };
}

/**
 * Packs sequences one behind the other, without padding.
 * @param queryTile Queries of one attention work item: see Plan.
 * @param stretched The plan's rotary frequencies that depend on lengths: see Plan.
 */
export function packBatch(list: readonly Sequence[], queryTile: number, stretched?: StretchedRotary): Batch {
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
  list.forEach(
    ({ ids, positions, types, wordFactors, places, masked: picks = [], unpooled = 0, unattended = 0 }, b) => {
      const end = start + ids.length;
      for (let i = 0, at = 4 * start; i < ids.length; i++, at += 4) {
        tokens[at] = ids[i]!;
        tokens[at + 1] = positions[i]!;
        if (wordFactors) factors[at + 2] = wordFactors[i]!;
        else tokens[at + 2] = types[i]!;
        tokens[at + 3] = places?.[i] ?? i;
      }
      sequences.set([start, end, pairs, unpooled], 4 * b);
      const firstKey = start + unattended;
      for (let query = start; query < end; query += queryTile) tiles.set([firstKey, end, query, pairs], 4 * tile++);
      for (const index of picks) masked[4 * pick++] = start + index;
      pairs += ids.length * ids.length;
      start = end;
    },
  );
  const phases = stretched ? phasesOf(list, stretched) : new Uint32Array();
  return { sizes, tokens, sequences, tiles, masked, phases };
}
