import { PATTERNS, type PatternId, patternIndex } from './patterns.ts';

/** Which heads are in the overview, in which order and where. A head's index is layer x heads + head. */

export interface OverviewOrder {
  /** Sorted by this pattern, the strongest first; undefined: by layers. */
  readonly sort?: PatternId | undefined;
  /** Only heads that reach the threshold of this pattern. */
  readonly filter?: PatternId | undefined;
}

/** @param scores [heads, PATTERNS.length] */
export function orderedHeads(scores: Float32Array, { sort, filter }: OverviewOrder): number[] {
  const count = scores.length / PATTERNS.length;
  const scoreOf = (index: number, pattern: PatternId) => scores[index * PATTERNS.length + patternIndex(pattern)]!;
  let heads = [...new Array(count).keys()];
  if (filter) heads = heads.filter(index => scoreOf(index, filter) >= PATTERNS[patternIndex(filter)]!.threshold);
  // Array's sort is stable: equal heads stay in the order of their layers.
  return sort ? heads.sort((a, b) => scoreOf(b, sort) - scoreOf(a, sort)) : heads;
}

/** The strongest head of a pattern. */
export const strongestHead = (scores: Float32Array, pattern: PatternId): number =>
  orderedHeads(scores, { sort: pattern })[0] ?? 0;

export interface Grid {
  readonly columns: number;
  readonly rows: number;
  /** The side of a picture, in CSS pixels. */
  readonly cell: number;
  readonly gap: number;
}

/** Of a cell: a finger needs 24 pixels from one to the next, and a picture gets no better beyond 64. */
const PITCH = { smallest: 24, largest: 64 };

/**
 * The grid of the overview in a given width: a row for each layer, or two and more where the heads of one are too many for the width.
 */
export function overviewGrid(width: number, count: number, heads: number): Grid {
  const rowsOfLayer = Math.max(1, Math.ceil((heads * PITCH.smallest) / Math.max(width, PITCH.smallest)));
  const columns = Math.ceil(heads / rowsOfLayer);
  const pitch = Math.min(PITCH.largest, Math.max(PITCH.smallest, Math.floor(width / columns)));
  const gap = pitch < 32 ? 2 : 4;
  return { columns, rows: Math.ceil(count / columns), cell: pitch - gap, gap };
}

/** The place in the order that a key moves to from a place; undefined for a key that does not move. */
export function placeAfterKey(key: string, place: number, count: number, columns: number): number | undefined {
  const last = count - 1;
  const within = (to: number) => (to < 0 || to > last ? place : to);
  switch (key) {
    case 'ArrowRight':
      return within(place + 1);
    case 'ArrowLeft':
      return within(place - 1);
    case 'ArrowDown':
      return within(place + columns);
    case 'ArrowUp':
      return within(place - columns);
    case 'Home':
      return 0;
    case 'End':
      return last;
    default:
      return undefined;
  }
}
