import type { Activation } from '../../shaders/activation.ts';
import type { Pooling } from '../../shaders/pool.ts';
import type { Weight } from './weight.ts';

/** What the rows of an activation are. Their number is known per pass: see `Sizes`. */
export type Rows = 'tokens' | 'sequences' | 'pairs' | 'masked';

/** An activation: rows x stride floats, of which the first `columns` of a row mean something and the rest is zero. */
export interface Value {
  readonly id: number;
  readonly name: string;
  readonly rows: Rows;
  readonly columns: number;
  readonly stride: number;
}

export interface Norm {
  readonly gamma: Weight;
  readonly beta: Weight;
  readonly eps: number;
}

/** y = LayerNorm(words[id] + positions[position] + types[type] + tasks[0]) */
export interface EmbedOp {
  readonly op: 'embed';
  /** Slices of the word table, one below the other. */
  readonly words: readonly Weight[];
  readonly positions: Weight | undefined;
  readonly types: Weight | undefined;
  /** Row 0 is added to every token. */
  readonly tasks: Weight | undefined;
  readonly norm: Norm | undefined;
  readonly y: Value;
}

/** y = activation(x weight^T + bias) + residual */
export interface LinearOp {
  readonly op: 'linear';
  readonly x: Value;
  readonly weight: Weight;
  readonly bias: Weight | undefined;
  readonly activation: Activation | undefined;
  readonly residual: Value | undefined;
  readonly y: Value;
}

/** y = x as bytes with a scale for every row: what a linear with a weight of bytes reads. */
export interface QuantizeOp {
  readonly op: 'quantize';
  readonly x: Value;
  readonly y: Value;
}

/** context = softmax(q k^T scale) v per sequence and head; `probabilities` only where they were asked for. */
export interface AttentionOp {
  readonly op: 'attention';
  /** q, k, v side by side, heads padded. */
  readonly qkv: Value;
  readonly heads: number;
  readonly headSize: number;
  readonly scale: number;
  /** A bias by distance: its table [buckets, H], and the bucket of every distance. */
  readonly relative: { readonly bias: Weight; readonly buckets: Uint32Array<ArrayBuffer> } | undefined;
  readonly context: Value;
  readonly probabilities: Value | undefined;
}

/** y = LayerNorm(x + residual) */
export interface LayerNormOp {
  readonly op: 'layerNorm';
  readonly x: Value;
  readonly residual: Value | undefined;
  readonly norm: Norm;
  readonly y: Value;
}

/** y = one row per sequence, from its tokens: what each pooling makes of them, one behind the other. */
export interface PoolOp {
  readonly op: 'pool';
  readonly x: Value;
  readonly poolings: readonly Pooling[];
  readonly normalize: boolean;
  readonly y: Value;
}

/** y = the rows of x that the pass names. */
export interface GatherOp {
  readonly op: 'gather';
  readonly x: Value;
  readonly y: Value;
}

/**
 * The most that a TopKOp finds: one workgroup walks the whole row once for each, so the time that a dispatch takes grows with it. Of a
 * longer list the logits are read back and sorted on the CPU.
 */
export const MOST_K = 64;

/** y = (maximum, sum of exponentials, k pairs of value and index) of every row of x. */
export interface TopKOp {
  readonly op: 'topK';
  readonly x: Value;
  readonly k: number;
  readonly y: Value;
}

/** Everything that a plan can do. Pure: every op reads its operands and writes values that no other op writes. */
export type Op = EmbedOp | LinearOp | QuantizeOp | AttentionOp | LayerNormOp | PoolOp | GatherOp | TopKOp;

/** The values that an op reads, and those that it writes. */
export function operands(op: Op): { reads: Value[]; writes: Value[] } {
  const some = (...values: (Value | undefined)[]) => values.filter(v => v !== undefined);
  if (op.op === 'attention') return { reads: [op.qkv], writes: some(op.context, op.probabilities) };
  if (op.op === 'embed') return { reads: [], writes: [op.y] };
  return { reads: some(op.x, 'residual' in op ? op.residual : undefined), writes: [op.y] };
}
