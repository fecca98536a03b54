import type { Value } from '../plan/index.ts';

/** Losses: each computes its value and the gradient of its logits at once. */

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
