import type { AttentionShape } from './attention.ts';

/** Workgroup memory that every device has, in bytes. */
const WORKGROUP_BYTES = 16384;

/** Vec4f of each row that an invocation holds at most, where invocations share rows. */
const MOST_HELD = 4;

/** Rows of one invocation at most, where it has them for itself. */
const MOST_OWN = 2;

/** How the rows of a tile are divided among invocations. */
export interface Division {
  /** Invocations of a workgroup. */
  readonly lanes: number;
  /** Invocations that share a row. 1, where each has its own. */
  readonly sharers: number;
  /** Rows of each invocation. More than one only without sharers. */
  readonly own: number;
  /** Workgroups for the rows of a tile, or rounds of one workgroup. */
  readonly slices: number;
  /** Other rows in workgroup memory at once; 0: none. */
  readonly block: number;
}

/** The division of tiles of the forward pass. `rows`: those of the table whose buckets each invocation adds up, or 0. */
export function divisionOf(shape: AttentionShape, D4: number, rows: number): Division {
  const tile = shape.lanes * shape.queries;
  /** Bytes of what one invocation adds up for the buckets. All invocations have at most half of the workgroup memory for it. */
  const sumBytes = 4 * rows;
  const halved = (lanes: number): number =>
    lanes > 1 && 2 * lanes * sumBytes > WORKGROUP_BYTES ? halved(lanes / 2) : lanes;
  const lanes = halved(shape.lanes);
  if (!shape.shared) {
    const own = Math.min(MOST_OWN, shape.queries);
    return { lanes, sharers: 1, own, slices: tile / (lanes * own), block: 0 };
  }
  let sharers = 1;
  while (sharers < lanes && sharers * MOST_HELD < D4) sharers *= 2;
  const width = Math.ceil(D4 / sharers) * sharers;
  // Of the other rows as many as fit beside the sums: x and y, a pair for each invocation, and one vec4f.
  const room = WORKGROUP_BYTES - lanes * sumBytes;
  let block = 8;
  while (block > 1 && block * (2 * width * 16 + lanes * 8 + 16) > room) block /= 2;
  return { lanes, sharers, own: 1, slices: (tile * sharers) / lanes, block };
}
