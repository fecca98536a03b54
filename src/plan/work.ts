import { tileRows } from '../../shaders/tiling.ts';
import type { DeviceOp } from './lower.ts';
import type { Rows } from './op.ts';
import type { Profile } from './profiles.ts';
import type { Work } from './step.ts';

/** A number for every kind of rows. */
export type RowCounts = Readonly<Record<Rows, number>>;

/** What an op costs a device of this profile. */
export function workOf(op: DeviceOp, { costs, tiling }: Profile): Work[] {
  const moved = (floats: number) => costs.movedFloat * floats;
  const work = (rows: Rows, cost: number, tile = 1): Work => ({ rows, tile, cost });
  switch (op.op) {
    case 'linear': {
      const { x, y, residual, weight } = op;
      // An element of bytes is four numbers of a row, or the scale of a group of them.
      const products = (costs.fourBytesAtOnce ? x.columns : weight.stride) * y.columns;
      return [
        work(y.rows, products, tileRows(tiling)),
        work(y.rows, moved(x.stride + y.stride + (residual ? y.stride : 0))),
      ];
    }
    case 'attention': {
      const { context, qkv, heads, probabilities } = op;
      const scores = context.columns + costs.softmax * heads;
      // For the probabilities it computes the scores a second time.
      const again = probabilities ? scores + moved(heads) : 0;
      return [work('pairs', scores + context.columns + again), work('tokens', moved(qkv.stride + context.stride))];
    }
    // Up to four tables, then the row once more for its mean, its deviation and the result.
    case 'embed':
      return [work('tokens', moved(8 * op.y.stride))];
    case 'layerNorm':
      return [work(op.y.rows, moved((op.residual ? 6 : 5) * op.y.stride))];
    case 'pool':
      return [work('tokens', moved(op.x.stride)), work('sequences', moved(3 * op.y.stride))];
    case 'quantize':
    case 'gather':
      return [work(op.y.rows, moved(op.x.stride + op.y.stride))];
    // One walk over the row for each of the k, and one for the sum of exponentials.
    case 'topK':
      return [work(op.y.rows, moved((op.k + 1) * op.x.stride))];
    default:
      return op satisfies never;
  }
}

/** The work of several steps as one list, which is as short as it can be. */
export function joinedWork(works: Iterable<Work>): Work[] {
  const joined = new Map<string, Work>();
  for (const { rows, tile, cost } of works) {
    const key = `${rows} ${tile}`;
    if (cost > 0) joined.set(key, { rows, tile, cost: cost + (joined.get(key)?.cost ?? 0) });
  }
  return [...joined.values()];
}

/** The cost of so many rows. */
export function costOf(work: readonly Work[], counts: RowCounts): number {
  let sum = 0;
  for (const { rows, tile, cost } of work) sum += Math.ceil(counts[rows] / tile) * tile * cost;
  return sum;
}
