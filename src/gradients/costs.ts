import { TABLE_PARTS } from '../../shaders/disentangled-tables.ts';
import { tileRows } from '../../shaders/tiling.ts';
import { type Profile, type RowCost, type Rows, rowCostsOf } from '../plan/index.ts';
import type { DistanceTerms } from './attention-op.ts';
import type { DeviceTrainingOp } from './device-op.ts';

/**
 * What an op of a training step costs a device, as src/plan/work.ts counts it: in multiply-adds of a linear. The backward pass of attention
 * computes the scores again in both of its parts: seven products of a pair in place of two.
 */
export function trainingCosts(op: DeviceTrainingOp, profile: Profile): RowCost[] {
  const { costs, tiling } = profile;
  const moved = (floats: number) => costs.movedFloat * floats;
  const per = (rows: Rows, cost: number, tile = 1): RowCost => ({ rows, tile, cost });
  switch (op.op) {
    case 'linearInput':
    case 'linearInputSlice':
      return [
        per(op.dy.rows, op.dy.stride * op.dx.stride, tileRows(tiling)),
        per(op.dy.rows, moved(op.dy.stride + op.dx.stride * (1 + Number(!!op.residual)))),
      ];
    case 'linearWeight':
    case 'linearWeightSlice':
      return [
        per(op.dy.rows, op.gradient ? op.dy.stride * op.x.stride : op.dy.stride),
        per(op.dy.rows, moved(op.dy.stride + op.x.stride)),
      ];
    case 'attend': {
      const { qkv, context, heads, terms } = op;
      return [
        per('pairs', (2 + tablesOf(terms)) * context.columns + costs.softmax * heads),
        per('tokens', moved(qkv.stride + context.stride)),
      ];
    }
    case 'attentionBackward':
    case 'biasBackward': {
      const { qkv, context, heads, terms } = op.forward;
      return [
        per('pairs', (3.5 + tablesOf(terms)) * context.columns + costs.softmax * heads),
        per('tokens', moved(2 * qkv.stride + context.stride)),
      ];
    }
    // The scores once more, and the sums of both tables.
    case 'distancesBackward': {
      const { context, heads, terms } = op.forward;
      return [
        per('pairs', (2 + 2 * tablesOf(terms)) * context.columns + costs.softmax * heads),
        per('distances', moved(2 * TABLE_PARTS * op.dtables.stride)),
      ];
    }
    case 'tableRows':
    case 'distanceTable':
      return [per(op.y.rows, moved(2 * op.y.stride))];
    case 'tableRowsBackward':
      return [per(op.dy.rows, moved(3 * op.dy.stride))];
    case 'attentionDelta':
      return [per('tokens', moved(2 * op.context.stride))];
    case 'dropout':
    case 'add':
      return [per(op.y.rows, moved(3 * op.y.stride))];
    case 'scale':
    case 'activate':
      return [per(op.y.rows, moved(2 * op.y.stride))];
    case 'activateBackward':
      return [per(op.du.rows, moved(3 * op.du.stride))];
    case 'columns':
      return [per(op.y.rows, moved(2 * op.y.stride))];
    case 'columnsBackward':
      return [per(op.dx.rows, moved(3 * op.dx.stride))];
    case 'normBackward':
      return [per(op.x.rows, moved(8 * op.x.stride))];
    case 'embedBackward':
      return [per('tokens', moved(2 * op.dy.stride))];
    case 'queryKeyNormBackward':
      return [per(op.dx.rows, moved(8 * op.dx.stride))];
    case 'depthwiseInput':
      return [per('tokens', moved((1 + 2 * op.weight.columns) * op.dx.stride))];
    case 'depthwiseWeight':
      return [per('tokens', moved(2 * op.gradient.columns * op.x.stride))];
    // The products with every neighbour, the softmax, and the window of the input.
    case 'dynamicConvolutionBackward': {
      const { width, scores, heads } = op.forward;
      return [per('tokens', moved(4 * width * op.dx.stride + 3 * scores.stride) + costs.softmax * width * heads)];
    }
    case 'rotaryBackward':
    case 'normalizeBackward':
    case 'poolBackward':
    case 'gatherBackward':
    case 'unfoldBackward':
      return [per(op.dx.rows, moved(3 * op.dx.stride))];
    case 'crossEntropy':
    case 'binaryCrossEntropy':
    case 'squaredError':
    case 'spanCrossEntropy':
      return [per(op.logits.rows, moved(3 * op.logits.stride))];
    case 'softmaxStatistics':
      return [per(op.logits.rows, moved(op.logits.stride))];
    case 'softmaxGradient':
      return [per(op.dlogits.rows, moved(2 * op.dlogits.stride))];
    // Three products of as many scores as a batch of some 500 records has: of more, it is still little beside what encodes them.
    case 'ranking':
      return [per(op.logits.rows, 3 * 256 * op.logits.stride)];
    case 'cosineError':
    case 'cosent':
      return [per(op.logits.rows, moved(6 * op.logits.stride))];
    default:
      return rowCostsOf(op, profile);
  }
}

/** How many tables of distances an attention has. */
const tablesOf = (terms: DistanceTerms | undefined): number =>
  Number(terms?.keys ?? false) + Number(terms?.queries ?? false);
