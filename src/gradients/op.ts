import type { Activation } from '../../shaders/activation.ts';
import type { Pooling } from '../../shaders/pool.ts';
import type {
  DynamicConvolutionOp,
  EmbedOp,
  Norm,
  Op,
  QueryKeyNormOp,
  RotaryOp,
  Value,
  Weight,
} from '../plan/index.ts';
import type {
  AttendOp,
  AttentionBackwardOp,
  AttentionDeltaOp,
  BiasBackwardOp,
  DistancesBackwardOp,
  DistanceTableOp,
  TableRowsBackwardOp,
  TableRowsOp,
} from './attention-op.ts';
import type { Dropout } from './dropout.ts';
import type { LossOp, RecordLossOp } from './loss-op.ts';

/** y[R, C] = dropout(x)[R, C] + residual[R, C]. The gradient of x is the dropout of y's gradient at the same site. */
export interface DropoutOp {
  readonly op: 'dropout';
  readonly x: Value;
  readonly dropout: Dropout;
  readonly residual: Value | undefined;
  readonly y: Value;
}

/** y[R, C] = act(u[R, C]) gate[R, C]; without a gate it is 1. It stands apart from its linear, because the backward pass reads u. */
export interface ActivateOp {
  readonly op: 'activate';
  readonly u: Value;
  /** Undefined: act(u) is u. */
  readonly activation: Activation | undefined;
  readonly gate: Value | undefined;
  readonly y: Value;
}

/** du = dy gate act'(u), dgate = dy act(u) */
export interface ActivateBackwardOp {
  readonly op: 'activateBackward';
  readonly u: Value;
  readonly activation: Activation | undefined;
  readonly gate: Value | undefined;
  readonly dy: Value;
  readonly du: Value;
  readonly dgate: Value | undefined;
}

/** y[R, C] = a[R, C] + b[R, C]: gradients of a value that has several readers. */
export interface AddOp {
  readonly op: 'add';
  readonly a: Value;
  readonly b: Value;
  readonly y: Value;
}

/** y[R, C] = factor x[R, C] */
export interface ScaleOp {
  readonly op: 'scale';
  readonly x: Value;
  readonly factor: number;
  readonly y: Value;
}

/** y[R, N] = x[R, first .. first + N] */
export interface ColumnsOp {
  readonly op: 'columns';
  readonly x: Value;
  readonly first: number;
  readonly y: Value;
}

/** dx[R, C] = dy[R, N] in the columns first .. first + N, 0 in the others, + residual[R, C]; `first` is a multiple of four. */
export interface ColumnsBackwardOp {
  readonly op: 'columnsBackward';
  readonly dy: Value;
  readonly first: number;
  /** Another gradient of x. */
  readonly residual: Value | undefined;
  readonly dx: Value;
}

/** dx[R, K] = dy[R, N] weight[N, K] + residual[R, K] */
export interface LinearInputOp {
  readonly op: 'linearInput';
  readonly dy: Value;
  readonly weight: Weight;
  /** Another gradient of x. */
  readonly residual: Value | undefined;
  readonly dx: Value;
}

/** The gradient of a weight [N, K] += dy[R, N]^T x[R, K], and that of a bias [N] += the sum of the rows of dy. */
export interface LinearWeightOp {
  readonly op: 'linearWeight';
  readonly dy: Value;
  readonly x: Value;
  /** Undefined where it is frozen. */
  readonly gradient: Weight | undefined;
  readonly biasGradient: Weight | undefined;
}

/**
 * The gradients of y = norm(x + residual): that of the sum, which is x's and residual's, and those of gamma and beta +=. Mean and
 * deviation are computed again.
 */
export interface NormBackwardOp {
  readonly op: 'normBackward';
  readonly x: Value;
  readonly residual: Value | undefined;
  readonly norm: Norm;
  readonly dy: Value;
  /** Undefined where nothing below needs it. */
  readonly dx: Value | undefined;
  readonly gammaGradient: Weight | undefined;
  readonly betaGradient: Weight | undefined;
}

/** Which table of the embeddings, and by which number of a token it is read. */
export type EmbeddingTable = 'words' | 'positions' | 'types' | 'tasks';

/**
 * The gradient of a table: its row r += factor times the sum of dy over the tokens that read row r, in the order of the tokens; of words, each
 * times the token's word factor where the embeddings have some (TokenDropout).
 */
export interface EmbedBackwardOp {
  readonly op: 'embedBackward';
  readonly table: EmbeddingTable;
  readonly forward: EmbedOp;
  /** The row that has no gradient, because it stands for padding: torch.nn.Embedding's padding_idx. */
  readonly padding: number | undefined;
  readonly dy: Value;
  readonly gradient: Weight;
}

/** dx: the rows of dy turned back, by the negative angles. */
export interface RotaryBackwardOp {
  readonly op: 'rotaryBackward';
  readonly forward: RotaryOp;
  readonly dy: Value;
  readonly dx: Value;
}

/** The gradients of `queryKeyNorm`: dx [T, (H + 2 G) D], whose part of v is dy's, and those of the gammas and betas of q and k +=. */
export interface QueryKeyNormBackwardOp {
  readonly op: 'queryKeyNormBackward';
  readonly forward: QueryKeyNormOp;
  readonly dy: Value;
  readonly dx: Value;
  /** Undefined where all of them are frozen. */
  readonly gradients: QueryKeyNormGradients | undefined;
}

/** Of each the weight itself: it names its gradient. */
export interface QueryKeyNormGradients {
  readonly queryGamma: Weight;
  readonly queryBeta: Weight | undefined;
  readonly keyGamma: Weight;
  readonly keyBeta: Weight | undefined;
}

/** dx[R, C] = (dy - y (y . dy)) / max(|x|, 1e-12) with y = x / max(|x|, 1e-12) */
export interface NormalizeBackwardOp {
  readonly op: 'normalizeBackward';
  readonly x: Value;
  readonly dy: Value;
  readonly dx: Value;
}

/** dx[T, C]: every token's part in the rows that its sequence was pooled to. Of equal greatest numbers the first token has all of it. */
export interface PoolBackwardOp {
  readonly op: 'poolBackward';
  readonly x: Value;
  readonly poolings: readonly Pooling[];
  /** [B, n C], or of one pooling fewer columns; the rest is 0. */
  readonly dy: Value;
  readonly dx: Value;
}

/** dx[T, C]: the sum of a token's columns in the neighbours that it is one of: see UnfoldOp. */
export interface UnfoldBackwardOp {
  readonly op: 'unfoldBackward';
  readonly width: number;
  readonly order: 'columns' | 'rows';
  /** [T, width C] */
  readonly dy: Value;
  readonly dx: Value;
}

/** dx[T, C] = the sum over o of weight[c, o] dy[t, c], where t is the token whose neighbour number o is the row's: see DepthwiseOp. */
export interface DepthwiseInputOp {
  readonly op: 'depthwiseInput';
  readonly dy: Value;
  readonly weight: Weight;
  readonly dx: Value;
}

/** The gradient of the factors [C, width] += the sum over t of dy[t, c] x[n, c], where n is neighbour number o of t. */
export interface DepthwiseWeightOp {
  readonly op: 'depthwiseWeight';
  readonly dy: Value;
  readonly x: Value;
  readonly gradient: Weight;
}

/** The gradients of x [T, H D] and scores [T, H width] of a dynamic convolution. */
export interface DynamicConvolutionBackwardOp {
  readonly op: 'dynamicConvolutionBackward';
  readonly forward: DynamicConvolutionOp;
  readonly dy: Value;
  readonly dx: Value;
  readonly dscores: Value;
}

/** dx[T, C]: the rows of dy where the pass picked them, 0 elsewhere. */
export interface GatherBackwardOp {
  readonly op: 'gatherBackward';
  readonly dy: Value;
  readonly dx: Value;
}

/** What only a training step has. */
export type GradientOp =
  | DropoutOp
  | ActivateOp
  | ActivateBackwardOp
  | AttendOp
  | AttentionDeltaOp
  | AttentionBackwardOp
  | BiasBackwardOp
  | TableRowsOp
  | TableRowsBackwardOp
  | DistanceTableOp
  | DistancesBackwardOp
  | AddOp
  | ScaleOp
  | ColumnsOp
  | ColumnsBackwardOp
  | LinearInputOp
  | LinearWeightOp
  | NormBackwardOp
  | EmbedBackwardOp
  | RotaryBackwardOp
  | QueryKeyNormBackwardOp
  | NormalizeBackwardOp
  | PoolBackwardOp
  | GatherBackwardOp
  | UnfoldBackwardOp
  | DepthwiseInputOp
  | DepthwiseWeightOp
  | DynamicConvolutionBackwardOp
  | LossOp;

/** The ops of a training step: those of the forward pass that need no other form, and those that only training has. */
export type TrainingOp = Op | GradientOp;

/** The forward pass of a graph in the form that can be differentiated: see trainable-form.ts. */
export interface TrainableGraph {
  readonly ops: readonly TrainingOp[];
  /** The outputs of the graph by name. */
  readonly outputs: ReadonlyMap<string, Value>;
}

/** A whole step as data: forward pass, losses, backward pass. */
export interface TrainingGraph {
  readonly ops: readonly TrainingOp[];
  /** The losses of rows: their sum is the loss. */
  readonly losses: readonly Value[];
  /** The weights that have a gradient, in the order in which the forward pass reads them. */
  readonly gradients: readonly Weight[];
}

/** The texts of a record, where a loss is one of records. */
export const textsOf = (ops: readonly TrainingOp[]): number | undefined =>
  ops.find((op): op is RecordLossOp => 'texts' in op)?.texts;
