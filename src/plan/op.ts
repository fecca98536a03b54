import type { Activation } from '../../shaders/activation.ts';
import type { NormKind } from '../../shaders/norm.ts';
import type { Pooling } from '../../shaders/pool.ts';
import type { Weight } from './weight.ts';

/**
 * What a row of an activation stands for: a token, a sequence, a pair of tokens of one sequence, a token that the pass picks, or a row of the
 * table of relative distances (DeBERTa), which only a training step computes with: as many in every micro-batch.
 */
export type Rows = 'tokens' | 'sequences' | 'pairs' | 'masked' | 'distances';

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

/** How a row is normalised, and with which numbers. */
export interface Norm {
  readonly kind: NormKind;
  /** [C] */
  readonly gamma: Weight;
  /** [C] */
  readonly beta: Weight | undefined;
  /** The checkpoint keeps gamma - 1 (Gemma). */
  readonly unitOffset: boolean;
  readonly eps: number;
}

/**
 * Tokens that count for nothing, because they stand for tokens that dropout took: the share of them in training. In a sequence of L
 * tokens, of which n are `token`, the row of `token` is 0, and the others are scaled by (1 - share) / (1 - n / L).
 * Source: EsmEmbeddings of transformers.
 */
export interface TokenDropout {
  readonly token: number;
  readonly share: number;
}

/** y[T, C] = norm(factor scales[position] (words[id] + positions[position] + types[type] + tasks[0])) */
export interface EmbedOp {
  readonly op: 'embed';
  /**
   * [V, C]. In a lowered graph this may be a slice; then the op writes only the rows of y whose token is in the slice. Undefined: the sum
   * has no words.
   */
  readonly words: Weight | undefined;
  readonly positions: Weight | undefined;
  readonly types: Weight | undefined;
  /** Row 0 is added to every token. */
  readonly tasks: Weight | undefined;
  /** [V]: what the sum of each token is multiplied by. Undefined: 1. */
  readonly scales: Weight | undefined;
  /** 1 but for families that scale the sum. */
  readonly factor: number;
  /** What is done to words[id] before the sum. */
  readonly dropout: TokenDropout | undefined;
  /** Undefined: y is the sum. */
  readonly norm: Norm | undefined;
  readonly y: Value;
}

/**
 * y[R, N] = activation(x[R, K] weight[N, K]^T + bias[N]) gate[R, N] + residual[R, N]; without a gate it is 1. A gated feed-forward
 * layer (Shazeer, arXiv 2002.05202) is two linears, of which the second has the first as its gate. The decoder of a vocabulary is a
 * linear too: N = V.
 */
export interface LinearOp {
  readonly op: 'linear';
  readonly x: Value;
  readonly weight: Weight;
  readonly bias: Weight | undefined;
  readonly activation: Activation | undefined;
  readonly gate: Value | undefined;
  readonly residual: Value | undefined;
  readonly y: Value;
}

/** The heads of q, k and v, which stand side by side in the columns of a value: H of q, G of k, G of v. */
export interface HeadLayout {
  /** H */
  readonly heads: number;
  /** G, a divisor of H: query head h reads key head floor(h G / H) (grouped-query attention: Ainslie et al., arXiv 2305.13245). */
  readonly keyHeads: number;
  /** D. Each head takes `padded(D)` columns. */
  readonly headSize: number;
}

/** Rotary angles that a checkpoint keeps. */
export interface StoredAngles {
  readonly kind: 'frequencies' | 'table';
  readonly weight: Weight;
}

/**
 * How rotary frequencies depend on the length L of the sequence, which is its largest position + 1 (dynamic NTK): where L is larger than
 * `positions`, f_i becomes f_i (factor L / positions - (factor - 1))^(-2 i / (d - 2)). This is theta^(-2 i / d) with another theta.
 * Source: transformers' modeling_rope_utils.py.
 */
export interface LengthStretch {
  readonly factor: number;
  readonly positions: number;
}

/**
 * y[T, (H + 2 G) D] = qkv with every head of q and k turned by the token's position p (Su et al., arXiv 2104.09864):
 *   (a, b) -> (a cos(p f_i) - b sin(p f_i), b cos(p f_i) + a sin(p f_i))     for pair i of the first d columns of the head, d <= D
 * where pair i is the columns i and i + d / 2, or 2 i and 2 i + 1 if `interleaved`. Other columns, and v, are copied.
 */
export interface RotaryOp extends HeadLayout {
  readonly op: 'rotary';
  readonly qkv: Value;
  /** f_i, d / 2 numbers, in radians for each position. */
  readonly frequencies: readonly number[];
  /**
   * Where the checkpoint's own count, not those above: its frequencies [d / 2] (ESM, which rounded them), or a table [positions, d] of
   * the sines of every position, then the cosines (RoFormer).
   */
  readonly stored: StoredAngles | undefined;
  /** Undefined: they are the same at every length. */
  readonly stretch: LengthStretch | undefined;
  readonly interleaved: boolean;
  /** v is turned as well (RoFormer's rotary_value). */
  readonly turnsValues: boolean;
  readonly y: Value;
}

/**
 * y[T, (H + 2 G) D] = qkv with q and k normalised, and v copied. `span` says what one row of a norm is: a head (gamma is [D]), or all
 * heads of q, and all of k (gamma is [H D], [G D]).
 */
export interface QueryKeyNormOp extends HeadLayout {
  readonly op: 'queryKeyNorm';
  readonly qkv: Value;
  readonly span: 'head' | 'row';
  readonly queryNorm: Norm;
  readonly keyNorm: Norm;
  readonly y: Value;
}

/**
 * What is added to the scaled scores of query i and key j, by their distance j - i, which counts between their places in the row before
 * padding was removed:
 *   buckets   bias[bucket(j - i)][h] with the first rows of bias[rows, H], and the bucket of each distance from -128 to 128 (relative.ts)
 *   slopes    -slopes[h] |j - i| (ALiBi: Press et al., arXiv 2108.12409)
 *   disentangled   (q_i keys[r] + k_j queries[r]) scale with r = rows[j - i]: see DisentangledBias
 */
export type ScoreBias =
  | { readonly kind: 'buckets'; readonly bias: Weight; readonly buckets: Uint32Array<ArrayBuffer> }
  | { readonly kind: 'slopes'; readonly slopes: readonly number[] }
  | DisentangledBias;

/**
 * The position terms of disentangled attention (DeBERTa: He et al., arXiv 2006.03654): a query meets the key of the distance, and a key
 * the query of the distance. Keys and queries of distances are tables of R rows; they depend on weights alone (see Preparation).
 */
export interface DisentangledBias {
  readonly kind: 'disentangled';
  /**
   * [H D / 4, 4 R]: number d of head h of table row r is in row h D / 4 + floor(d / 4), column 4 r + d mod 4. So neighbouring distances,
   * which the queries of a workgroup meet at once, lie side by side. Undefined: there is no such term.
   */
  readonly keys: Weight | undefined;
  /** In the same order. */
  readonly queries: Weight | undefined;
  /** R */
  readonly count: number;
  /** The row of each distance from -n to n; farther ones have the row of the first or last. */
  readonly rows: Uint32Array<ArrayBuffer>;
}

/**
 * context[T, H D] = softmax(q k^T scale + bias) v, per sequence and head, over the keys that a query sees; probabilities: the softmax, or
 * with `asScores` what it is taken of, [H, L, L] of every sequence, only where they were asked for.
 */
export interface AttentionOp extends HeadLayout {
  readonly op: 'attention';
  /** [T, (H + 2 G) D] */
  readonly qkv: Value;
  readonly scale: number;
  readonly bias: ScoreBias | undefined;
  /** A query sees the keys whose places differ from its own by at most this (Beltagy et al., arXiv 2004.05150). Undefined: all keys. */
  readonly window: number | undefined;
  readonly context: Value;
  readonly probabilities: Value | undefined;
  /** The scores stand in the place of the probabilities (SqueezeBERT's output). Only without a window. */
  readonly asScores: boolean;
}

/** y[R, C] = norm(x[R, C] + residual[R, C]) + addend[R, C] */
export interface NormOp {
  readonly op: 'norm';
  readonly x: Value;
  readonly residual: Value | undefined;
  readonly norm: Norm;
  readonly addend: Value | undefined;
  readonly y: Value;
}

/** y[R, A + B] = the rows of a[R, A] and b[R, B] side by side; A is a multiple of four. */
export interface JoinOp {
  readonly op: 'join';
  readonly a: Value;
  readonly b: Value;
  readonly y: Value;
}

/**
 * y[T, C width]: column c width + o of a token is column c of the token o - (width - 1) / 2 places after it in its sequence, 0 where
 * there is none. A linear of y, whose weight is [N, C width], is a convolution over the tokens. In `rows` order whole rows stand side by
 * side, from the token after to the token before: column o C + c is column c of the token (width - 1) / 2 - o places after.
 */
export interface UnfoldOp {
  readonly op: 'unfold';
  readonly x: Value;
  /** An odd number. */
  readonly width: number;
  readonly order: 'columns' | 'rows';
  readonly y: Value;
}

/**
 * y[T, C] = the sum over o of weight[c, o] x[n, c], where n is the token o - (width - 1) / 2 places after in the same sequence; a term
 * without such a token is 0. A convolution over the tokens in which every column has numbers of its own.
 */
export interface DepthwiseOp {
  readonly op: 'depthwise';
  readonly x: Value;
  /** [C, width]; width is an odd number. */
  readonly weight: Weight;
  readonly y: Value;
}

/**
 * y[T, H D] = the sum over o of softmax(scores[t, h])[o] x[n, h D + d], where n is the token o - (width - 1) / 2 places after in the same
 * sequence; a term without such a token is 0, and its score still has a part in the softmax. A convolution over the tokens whose numbers
 * every token has for itself, one list for a head (Jiang et al., arXiv 2008.02496).
 */
export interface DynamicConvolutionOp {
  readonly op: 'dynamicConvolution';
  /** [T, H D]: each head takes `padded(D)` columns. */
  readonly x: Value;
  /** [T, H width] */
  readonly scores: Value;
  readonly heads: number;
  /** An odd number. */
  readonly width: number;
  readonly y: Value;
}

/** y[R, C] = x[R, C] / max(|x|, 1e-12): each row scaled to length 1, as torch.nn.functional.normalize. */
export interface NormalizeOp {
  readonly op: 'normalize';
  readonly x: Value;
  readonly y: Value;
}

/** y[R, C] = sum[R, C] + x[R, C] factors[index] / (the sum of all factors): a term of a weighted mean, and those before it. */
export interface WeighOp {
  readonly op: 'weigh';
  readonly x: Value;
  /** The terms before this one. */
  readonly sum: Value | undefined;
  readonly factors: Weight;
  readonly index: number;
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

/**
 * y[B, V] = max or sum over the tokens t of a sequence of f((x weight^T + bias)[t]), f(x) = log(1 + max(x, 0)), with two `logarithms`
 * f(x) = log(1 + log(1 + max(x, 0))): SPLADE (Formal et al., arXiv 2109.10086). The logits [T, V] are never there as a whole.
 */
export interface VocabularyPoolOp {
  readonly op: 'vocabularyPool';
  /** [T, K] */
  readonly x: Value;
  /** [V, K] */
  readonly weight: Weight;
  /** [V] */
  readonly bias: Weight | undefined;
  readonly pooling: 'max' | 'sum';
  readonly logarithms: 1 | 2;
  readonly y: Value;
}

/** The ops of a graph. Each reads its operands and writes values that no other op writes. */
export type Op =
  | EmbedOp
  | LinearOp
  | RotaryOp
  | QueryKeyNormOp
  | AttentionOp
  | NormOp
  | UnfoldOp
  | DepthwiseOp
  | DynamicConvolutionOp
  | JoinOp
  | NormalizeOp
  | WeighOp
  | PoolOp
  | VocabularyPoolOp
  | GatherOp
  | TopKOp;

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
