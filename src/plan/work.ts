import { tileRows } from '../../shaders/tiling.ts';
import type { DeviceOp } from './lower.ts';
import type { Rows } from './op.ts';
import type { Profile } from './profiles.ts';
import type { RowCost } from './step.ts';

/** The number of rows of every kind. */
export type RowCounts = Readonly<Record<Rows, number>>;

/** What an op costs a device of this profile. */
export function rowCostsOf(op: DeviceOp, { costs, tiling, attention }: Profile): RowCost[] {
  const moved = (floats: number) => costs.movedFloat * floats;
  const per = (rows: Rows, cost: number, tile = 1): RowCost => ({ rows, tile, cost });
  switch (op.op) {
    case 'linear': {
      const { x, y, gate, residual, weight } = op;
      // Columns of a quantized x are elements: four numbers of a row, or the scale of a group.
      const products = (costs.fourBytesAtOnce ? x.columns : weight.stride) * y.columns;
      return [
        per(y.rows, products, tileRows(tiling)),
        per(y.rows, moved(x.stride + y.stride * (1 + Number(!!residual) + Number(!!gate)))),
      ];
    }
    case 'attention': {
      const { context, qkv, heads, headSize, probabilities, window, bias } = op;
      const { lanes, queries } = attention(headSize);
      const products = bias?.kind === 'disentangled' ? 1 + Number(!!bias.keys) + Number(!!bias.queries) : 1;
      const scores = products * context.columns + costs.softmax * heads;
      // The probabilities take a second walk, over all keys, that computes the scores again.
      const secondWalk = per('pairs', probabilities ? scores + moved(heads) : 0);
      const walk = scores + context.columns;
      // The queries of a tile walk the keys that any of them sees.
      const firstWalk =
        window === undefined ? per('pairs', walk) : per('tokens', walk * (2 * window + lanes * queries));
      return [firstWalk, secondWalk, per('tokens', moved(qkv.stride + context.stride))];
    }
    case 'rotary':
      return [per('tokens', moved(2 * op.y.stride))];
    case 'queryKeyNorm':
      return [per('tokens', moved(4 * op.y.stride))];
    // Up to four tables, then the row once more for its mean, its deviation and the result.
    case 'embed':
      return [per('tokens', moved(8 * op.y.stride))];
    case 'norm':
      return [per(op.y.rows, moved((5 + Number(!!op.residual) + Number(!!op.addend)) * op.y.stride))];
    case 'normalize':
      return [per(op.y.rows, moved(3 * op.y.stride))];
    case 'weigh':
      return [per(op.y.rows, moved((2 + Number(!!op.sum)) * op.y.stride))];
    case 'join':
      return [per(op.y.rows, moved(2 * op.y.stride))];
    case 'unfold':
      return [per('tokens', moved(2 * op.y.stride))];
    // For every number of y one of x for each neighbour, and its factor.
    case 'depthwise':
      return [per('tokens', moved((1 + 2 * op.weight.columns) * op.y.stride))];
    // Each invocation computes the softmax of its token and head for itself, which walks the scores twice.
    case 'dynamicConvolution':
      return [
        per(
          'tokens',
          moved((1 + 2 * op.width) * op.y.stride + op.scores.stride) + (costs.softmax * op.width * op.y.stride) / 4,
        ),
      ];
    case 'pool':
      return [per('tokens', moved(op.x.stride)), per('sequences', moved(3 * op.y.stride))];
    case 'linearSlice': {
      const { x, y, weight } = op;
      const products = (costs.fourBytesAtOnce ? x.columns : weight.stride) * y.columns;
      return [per(x.rows, products, tileRows(tiling)), per(x.rows, moved(x.stride + y.stride))];
    }
    case 'logitsPool':
      return [per('tokens', moved(op.x.stride)), per('sequences', moved(op.x.stride))];
    case 'quantize':
    case 'gather':
      return [per(op.y.rows, moved(op.x.stride + op.y.stride))];
    // One walk over the row for each of the k, and one for the sum of exponentials.
    case 'topK':
      return [per(op.y.rows, moved((op.k + 1) * op.x.stride))];
    default:
      return op satisfies never;
  }
}

/** The costs of several steps, with those of equal rows and tile added up. */
export function mergedCosts(list: Iterable<RowCost>): RowCost[] {
  const merged = new Map<string, RowCost>();
  for (const { rows, tile, cost } of list) {
    const key = `${rows} ${tile}`;
    if (cost > 0) merged.set(key, { rows, tile, cost: cost + (merged.get(key)?.cost ?? 0) });
  }
  return [...merged.values()];
}

/** The work of a pass with so many rows, in multiply-adds of a linear. */
export function costOf(list: readonly RowCost[], counts: RowCounts): number {
  let sum = 0;
  for (const { rows, tile, cost } of list) sum += Math.ceil(counts[rows] / tile) * tile * cost;
  return sum;
}
