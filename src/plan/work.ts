import type { Caps } from '../../shaders/kernel.ts';
import { tileRows } from './choose.ts';
import type { Op, Rows } from './op.ts';
import type { Work } from './step.ts';

/** A number for every kind of rows. */
export type RowCounts = Readonly<Record<Rows, number>>;

/**
 * What one float that is read or written costs a GPU that has nothing else to do, in multiply-adds: from integrated ones to the
 * largest, memory moves one float in the time that a linear takes for 10 to 20. On a CPU the multiply-adds are nearly all there is.
 */
const MOVED_FLOAT = 16;
/** Multiply-adds of a pair of tokens in one head beside the products: a maximum, an exponential, a sum. */
const SOFTMAX = 16;

/** What an op costs: the multiply-adds of linears and attention; on a GPU also what the other ops move. */
export function workOf(op: Op, caps: Caps): Work[] {
  const isGpu = caps.adapter === 'gpu';
  const moved = (floats: number) => (isGpu ? MOVED_FLOAT * floats : 0);
  const each = (rows: Rows, cost: number, tile = 1): Work => ({ rows, tile: isGpu ? tile : 1, cost });
  switch (op.op) {
    case 'linear': {
      const { x, y, residual, weight } = op;
      // Bytes: a CPU is said to multiply four at once, as it loads them.
      const products = (isGpu ? weight.stride : x.columns) * y.columns;
      return [
        each(y.rows, products, tileRows(caps)),
        each(y.rows, moved(x.stride + y.stride + (residual ? y.stride : 0))),
      ];
    }
    case 'attention': {
      const { context, qkv, heads, probabilities } = op;
      const pair = 2 * context.columns + (isGpu ? SOFTMAX * heads : 0);
      // Asked for the probabilities, it computes the scores a second time.
      const again = probabilities && isGpu ? context.columns + SOFTMAX * heads + moved(heads) : 0;
      return [each('pairs', pair + again), each('tokens', moved(qkv.stride + context.stride))];
    }
    // Up to four tables, then the row once more for its mean, its deviation and the result.
    case 'embed':
      return [each('tokens', moved(8 * op.y.stride))];
    case 'layerNorm':
      return [each(op.y.rows, moved((op.residual ? 6 : 5) * op.y.stride))];
    case 'pool':
      return [each('tokens', moved(op.x.stride)), each('sequences', moved(3 * op.y.stride))];
    case 'quantize':
    case 'gather':
      return [each(op.y.rows, moved(op.x.stride + op.y.stride))];
    // One walk over the row for each of the k, and one for the sum of exponentials.
    case 'topK':
      return [each(op.y.rows, moved((op.k + 1) * op.x.stride))];
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
