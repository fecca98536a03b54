import type { Activation } from '../../shaders/activation.ts';
import type { Pooling } from '../../shaders/pool.ts';
import type { Weight } from './weight.ts';

/** What a row of an activation stands for: a token, a sequence, a pair of tokens of one sequence, or a token that the pass picks. */
export type Rows = 'tokens' | 'sequences' | 'pairs' | 'masked';

/**
 * An activation: rows x stride floats, of which the first `columns` of a row hold data and the rest is zero. How many rows there are
 * is known per pass: see `Sizes`.
 */
export interface Value {
  /** Unique in its graph. */
  readonly id: number;
  readonly name: string;
  readonly rows: Rows;
  readonly columns: number;
  readonly stride: number;
}

/** LayerNorm(x) = (x - mean) / sqrt(variance + eps) gamma[C] + beta[C] */
export interface Norm {
  readonly gamma: Weight;
  readonly beta: Weight;
  readonly eps: number;
}

/** y[T, C] = LayerNorm(words[id] + positions[position] + types[type] + tasks[0]) */
export interface EmbedOp {
  readonly op: 'embed';
  /** [V, C]. In a lowered graph this may be a slice; then the op writes only the rows of y whose token is in the slice. */
  readonly words: Weight;
  readonly positions: Weight | undefined;
  readonly types: Weight | undefined;
  /** Row 0 is added to every token. */
  readonly tasks: Weight | undefined;
  /** Undefined: y is the sum. */
  readonly norm: Norm | undefined;
  readonly y: Value;
}

/** y[R, N] = activation(x[R, K] weight[N, K]^T + bias[N]) + residual[R, N]. The decoder of a vocabulary is one too: N = V. */
export interface LinearOp {
  readonly op: 'linear';
  readonly x: Value;
  readonly weight: Weight;
  readonly bias: Weight | undefined;
  readonly activation: Activation | undefined;
  readonly residual: Value | undefined;
  readonly y: Value;
}

/**
 * context[T, H D] = softmax(q k^T scale + bias) v, per sequence and head; probabilities: the softmax, [H, L, L] of every sequence,
 * only where they were asked for.
 */
export interface AttentionOp {
  readonly op: 'attention';
  /** [T, 3 H D]: q, k, v side by side. Each head takes `padded(headSize)` columns. */
  readonly qkv: Value;
  readonly heads: number;
  readonly headSize: number;
  readonly scale: number;
  /** A bias by the distance of key and query: bias[buckets, H], and the bucket of each distance from -128 to 128 (relative.ts). */
  readonly relative: { readonly bias: Weight; readonly buckets: Uint32Array<ArrayBuffer> } | undefined;
  readonly context: Value;
  readonly probabilities: Value | undefined;
}

/** y[R, C] = LayerNorm(x[R, C] + residual[R, C]) */
export interface LayerNormOp {
  readonly op: 'layerNorm';
  readonly x: Value;
  readonly residual: Value | undefined;
  readonly norm: Norm;
  readonly y: Value;
}

/** y[R, C] = x[R, C] / max(|x|, 1e-12): each row scaled to length 1, as torch.nn.functional.normalize. */
export interface NormalizeOp {
  readonly op: 'normalize';
  readonly x: Value;
  readonly y: Value;
}

/**
 * y[B, N]: the tokens x[T, C] of a sequence pooled to one row. The results of several poolings stand side by side; of one, y may keep
 * the first N columns only. `normalize` scales the row to length 1.
 */
export interface PoolOp {
  readonly op: 'pool';
  readonly x: Value;
  readonly poolings: readonly Pooling[];
  readonly normalize: boolean;
  readonly y: Value;
}

/** y[masked, C] = the rows of x[T, C] that the pass picks. */
export interface GatherOp {
  readonly op: 'gather';
  readonly x: Value;
  readonly y: Value;
}

/**
 * The largest k of a TopKOp. One workgroup walks the whole row once for each result, so a dispatch takes time in proportion to k.
 * For a longer list the caller reads the logits back and sorts them on the CPU.
 */
export const MAX_K = 64;

/** y[R, 2 k + 2] = the maximum of a row of x[R, N], the sum of exp(x - maximum), and the k best as pairs of value and index. */
export interface TopKOp {
  readonly op: 'topK';
  readonly x: Value;
  readonly k: number;
  readonly y: Value;
}

/** The ops of a graph. Each reads its operands and writes values that no other op writes. */
export type Op = EmbedOp | LinearOp | AttentionOp | LayerNormOp | NormalizeOp | PoolOp | GatherOp | TopKOp;

/** A value that a pass gives back. */
export interface Output {
  /** `last_hidden_state`, `logits`, ... Unique in its graph together with `layer`. */
  readonly name: string;
  /** The layer that it belongs to, where the name is a list with an entry per layer. */
  readonly layer: number | undefined;
  readonly value: Value;
}

/** A forward pass: its ops in order, and its outputs. Pure data that says what is computed; it knows no device. */
export interface Graph {
  readonly ops: readonly Op[];
  readonly outputs: readonly Output[];
}
