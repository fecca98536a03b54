import type { DeviceOp, Value } from '../plan/index.ts';
import type { CrossEntropyOp } from './loss-op.ts';
import type { GradientOp, LinearInputOp, LinearWeightOp } from './op.ts';

/** Columns of the logits of a vocabulary: see vocabulary.ts. */
export interface LogitTile {
  /** The loss of all of them. */
  readonly of: CrossEntropyOp;
  /** The column of the vocabulary that the tile begins with. */
  readonly first: number;
  /** [R, 4]: of every row what all tiles so far say of its softmax. See shaders/softmax-tiles.ts. */
  readonly statistics: Value;
}

/** statistics[R, 4] and the loss are those of the tiles before and of logits[R, S]; of the last tile they are whole. */
export interface SoftmaxStatisticsOp extends LogitTile {
  readonly op: 'softmaxStatistics';
  readonly logits: Value;
}

/** dlogits[R, S]: the gradient of the loss by the logits that stood there. */
export interface SoftmaxGradientOp extends LogitTile {
  readonly op: 'softmaxGradient';
  readonly dlogits: Value;
}

/** dx[R, K] = dy[R, S] weight[from .. from + S, K] + residual[R, K] */
export interface LinearInputSliceOp extends Omit<LinearInputOp, 'op'> {
  readonly op: 'linearInputSlice';
  readonly from: number;
}

/** The rows from .. from + S of the gradient += dy[R, S]^T x[R, K], and those numbers of the bias's += the sum of the rows of dy. */
export interface LinearWeightSliceOp extends Omit<LinearWeightOp, 'op'> {
  readonly op: 'linearWeightSlice';
  readonly from: number;
}

/** What only the lowering of a vocabulary makes. */
export type VocabularyOp = SoftmaxStatisticsOp | SoftmaxGradientOp | LinearInputSliceOp | LinearWeightSliceOp;

/** The ops of a training step as a device computes them. */
export type DeviceTrainingOp = DeviceOp | GradientOp | VocabularyOp;
