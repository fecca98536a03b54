import type { AttentionOp, DisentangledBias, HeadLayout, ScoreBias, Value, Weight } from '../plan/index.ts';
import type { Dropout } from './dropout.ts';

/** Ops of attention that only a training step has: the forward pass that notes what the way back needs, the way back, and tables of distances. */

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
