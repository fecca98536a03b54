import type { Activation } from '../../shaders/activation.ts';
import type { Pooling } from '../../shaders/pool.ts';
import type {
  AttentionOp,
  DisentangledBias,
  DynamicConvolutionOp,
  EmbedOp,
  HeadLayout,
  Norm,
  Op,
  QueryKeyNormOp,
  RotaryOp,
  Rows,
  ScoreBias,
  Value,
  Weight,
} from '../plan/index.ts';

/**
 * What stands at a place where dropout is applied: elements are 0 with `probability`, the others are scaled by 1 / (1 - probability)
 * (Srivastava et al., JMLR 15, 2014). Which ones is a function of the element, the site, the step and the seed (shaders/random.ts), so
 * that the backward pass finds the same ones again and nothing is stored.
 */
export interface Dropout {
  /** Tells the places of a graph apart. */
  readonly site: number;
  readonly probability: number;
}

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

/** y[R, C] = table[R, C]: a whole table of embeddings as a value. */
export interface TableRowsOp {
  readonly op: 'tableRows';
  readonly table: Weight;
  /** Its rows are distances. */
  readonly y: Value;
}

/** The gradient of a table [R, C] += dy[R, C]. */
export interface TableRowsBackwardOp {
  readonly op: 'tableRowsBackward';
  readonly dy: Value;
  readonly gradient: Weight;
}

/**
 * y = x [R, n H D] in the order in which attention reads tables of distances: vec4f number c of row r is number c R + r of y. A gradient of y
 * is kept in the order of x.
 */
export interface DistanceTableOp {
  readonly op: 'distanceTable';
  readonly x: Value;
  readonly y: Value;
}

/** The terms of disentangled attention (see DisentangledBias), whose tables are values of a training step. */
export interface DistanceTerms {
  /** Queries meet the keys of distances. */
  readonly keys: boolean;
  /** Keys meet the queries of distances. */
  readonly queries: boolean;
  /** R */
  readonly count: number;
  /** The row of each distance from -n to n; farther ones have the row of the first or last. */
  readonly rows: Uint32Array<ArrayBuffer>;
}

/** An attention of the forward pass that notes what its backward pass needs. */
export interface AttendOp extends Omit<AttentionOp, 'op' | 'probabilities' | 'asScores' | 'bias'> {
  readonly op: 'attend';
  readonly bias: Exclude<ScoreBias, DisentangledBias> | undefined;
  /** Undefined: there are no terms of distances. */
  readonly terms: DistanceTerms | undefined;
  /** The queries of distances, then the keys, or those that there are: [R, n H D] as DistanceTableOp orders them. */
  readonly distances: Value | undefined;
  /** Of the probabilities. */
  readonly dropout: Dropout | undefined;
  /** [T, 2 H]: of every query and head the greatest score, and 1 / the sum of exp(score - that). */
  readonly statistics: Value;
}

/**
 * delta[T, H] = the sum over the columns of a head of dcontext context: for every row of probabilities the sum of dP P. With `statistics`
 * [T, 4 H]: of every head these, delta and a zero.
 */
export interface AttentionDeltaOp extends HeadLayout {
  readonly op: 'attentionDelta';
  /** Those of the attention, where they are to stand beside delta. */
  readonly statistics: Value | undefined;
  readonly context: Value;
  readonly dcontext: Value;
  readonly delta: Value;
}

/**
 * The gradient of q, k and v [T, (H + 2 G) D]: `part` is what this op writes of it, since the two parts walk the pairs of tokens in
 * different orders. With P the probabilities, f the factors of dropout and dS = P (f (dcontext v^T) - delta):
 *   queries    dq = scale dS k
 *   keys       dk = scale dS^T q, dv = (P f)^T dcontext
 * With terms of distances (row r of keys K and queries Q) k[j] + K[r] stands for k[j] in dq[i], q[i] + Q[r] for q[i] in dk[j].
 * Source: Dao et al., arXiv 2205.14135, appendix B.
 */
export interface AttentionBackwardOp {
  readonly op: 'attentionBackward';
  readonly part: 'queries' | 'keys';
  readonly forward: AttendOp;
  readonly dcontext: Value;
  readonly delta: Value;
  readonly dqkv: Value;
}

/** The gradient of a table of relative positions [buckets, H] += the sum of dS over the pairs of every bucket. */
export interface BiasBackwardOp {
  readonly op: 'biasBackward';
  readonly forward: AttendOp;
  readonly dcontext: Value;
  readonly delta: Value;
  readonly gradient: Weight;
}

/**
 * The gradient of the tables of distances [R, n H D], of queries before keys: for each row the sum over the pairs i, j of its distances of
 * scale dS[i, j] k[j], of keys scale dS[i, j] q[i].
 */
export interface DistancesBackwardOp {
  readonly op: 'distancesBackward';
  readonly forward: AttendOp;
  readonly dcontext: Value;
  readonly delta: Value;
  readonly dtables: Value;
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

/** What the labels of a loss are: see TrainingBatch. */
export interface LossOfRows {
  /** [R, N] */
  readonly logits: Value;
  /** [R, 1]: the loss of each row times `scale`. */
  readonly loss: Value;
  /** [R, N], times `scale`. */
  readonly dlogits: Value;
  /** The name of the labels in the batch, and of what the losses are multiplied by: 1 / the number of items of the whole step. */
  readonly labels: LabelName;
}

export type LabelName = 'labels' | 'next_sentence_label';

/**
 * loss = -log softmax(logits)[label], or with smoothing s the mean of (1 - s) of that and s of the mean over all classes, as
 * torch.nn.functional.cross_entropy. A row whose label is IGNORED has loss 0 and gradient 0.
 */
export interface CrossEntropyOp extends LossOfRows {
  readonly op: 'crossEntropy';
  readonly smoothing: number;
  /** What the loss of a row counts, by its label, and an item of the mean too. Undefined: 1. */
  readonly classWeights: readonly number[] | undefined;
}

/** loss = the sum over the N cells of -t log sigmoid(x) - (1 - t) log(1 - sigmoid(x)), as binary_cross_entropy_with_logits. */
export interface BinaryCrossEntropyOp extends LossOfRows {
  readonly op: 'binaryCrossEntropy';
}

/** loss = the sum over the N cells of (x - t)^2 */
export interface SquaredErrorOp extends LossOfRows {
  readonly op: 'squaredError';
}

/**
 * Question answering: loss[B, 1] = the mean of two cross-entropies over the tokens of a sequence, of the start in column 0 and of the
 * end in column 1 of logits[T, 2]. A position outside of the sequence is ignored: its cross-entropy is 0.
 */
export interface SpanCrossEntropyOp {
  readonly op: 'spanCrossEntropy';
  readonly logits: Value;
  readonly loss: Value;
  readonly dlogits: Value;
}

/**
 * A loss of texts that stand in the columns of records, as sentence-transformers names them: of n records with k texts the rows 0 to n - 1
 * are those of the first column, then come those of the second, and so on. The labels are the first column's.
 */
export interface LossOfRecords {
  /** [n k, C]: rows of length 1, or of any length for dot products. */
  readonly logits: Value;
  /** [n, 1] */
  readonly loss: Value;
  /** [n k, C] */
  readonly dlogits: Value;
  /** k */
  readonly texts: number;
  /** What the loss is multiplied by, beside the scale of its labels. */
  readonly weight: number;
}

/**
 * Multiple negatives ranking (Henderson et al., arXiv 1705.00652): loss[i] = the cross-entropy of the scores factor (x[i] . x[n + j]) for j
 * from 0 to n k - n with the label j of its own text, which is i where none is left out.
 */
export interface RankingOp extends LossOfRecords {
  readonly op: 'ranking';
  readonly factor: number;
}

/** loss[i] = (x[i] . x[n + i] - label)^2, with two texts a record. */
export interface CosineErrorOp extends LossOfRecords {
  readonly op: 'cosineError';
}

/**
 * CoSENT (Huang et al., IEEE/ACM TASLP 32, 2024), with two texts a record and the cosine c[i] = x[i] . x[n + i]: of all records together
 * loss = log(1 + the sum of exp(factor (c[i] - c[j])) over all i, j with label[i] < label[j]), which counts as n items: a step of several
 * micro-batches has the mean of their losses.
 */
export interface CosentOp extends LossOfRecords {
  readonly op: 'cosent';
  readonly factor: number;
}

export type RecordLossOp = RankingOp | CosineErrorOp | CosentOp;
export type LossOp = CrossEntropyOp | BinaryCrossEntropyOp | SquaredErrorOp | SpanCrossEntropyOp | RecordLossOp;

/** The name of the labels that a loss reads. */
export const labelsOf = (op: LossOp): LabelName => ('labels' in op ? op.labels : 'labels');

/** The numbers of a row of targets, where a loss reads targets. */
export const targetColumns = (op: LossOp): number => ('texts' in op ? 1 : op.logits.columns);

/** The texts of a record, where a loss is one of records. */
export const textsOf = (ops: readonly TrainingOp[]): number | undefined =>
  ops.find((op): op is RecordLossOp => 'texts' in op)?.texts;

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

export type { Rows };
