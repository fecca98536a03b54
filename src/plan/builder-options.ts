import type { Activation } from '../../shaders/activation.ts';
import type { NormKind } from '../../shaders/norm.ts';
import type { Pooling } from '../../shaders/pool.ts';
import type {
  DisentangledBias,
  HeadLayout,
  LengthStretch,
  RotaryOp,
  TokenDropout,
  Value,
  VocabularyPoolOp,
} from './op.ts';

/** What the methods of the builder take. Names of tensors are canonical. */

/** The tensor `${table}.weight` [rows, columns]. */
export interface EmbedTable {
  table: string;
  rows: number;
}

export interface EmbedOptions {
  /** Default: the sum has no words. */
  words?: EmbedTable | undefined;
  /** A table of 0 rows is as good as none. */
  positions?: EmbedTable | undefined;
  types?: EmbedTable | undefined;
  /** Row 0 is added to every token. */
  tasks?: EmbedTable | undefined;
  norm?: NormOptions | undefined;
  /** The tensor `tensor` [rows]: what the sum of a token is multiplied by, by its position. Default: 1. */
  scales?: { tensor: string; rows: number } | undefined;
  /** What the sum is multiplied by. Default: 1. */
  factor?: number | undefined;
  dropout?: TokenDropout | undefined;
  columns: number;
}

/** What the norms of a model have in common. */
export interface NormStyle {
  eps: number;
  /** Default: 'layer'. */
  kind?: NormKind | undefined;
  /** Default: true. */
  bias?: boolean | undefined;
  /** The checkpoint keeps gamma - 1. Default: false. */
  unitOffset?: boolean | undefined;
}

export interface NormOptions extends NormStyle {
  /** Tensor prefix: `${from}.weight` and `${from}.bias`, one number per column. */
  from: string;
}

export interface LinearOptions {
  /** Tensor prefixes: `${prefix}.weight` [outputs, x.columns] and `${prefix}.bias` [outputs]. Several are joined. */
  from: string | readonly string[];
  /** Outputs of each prefix: the same number for all of them, or a list. */
  outputs: number | readonly number[];
  /** Whether there is a bias, or which of the prefixes have one. Default: true. */
  bias?: boolean | readonly boolean[] | undefined;
  activation?: Activation | undefined;
  /** What the activation of the result is multiplied by: the shape of the result. */
  gate?: Value | undefined;
  residual?: Value | undefined;
  /** The size of a head, where the outputs of each prefix are heads: each is padded to a multiple of four columns. */
  outputHead?: number;
  /** The size of a head, where the columns of x are padded heads. */
  inputHead?: number;
  /** The dimensions of a row of the tensor, where these are several. */
  innerShape?: readonly number[];
  /**
   * Of each prefix, or of all: the tensor [outputs, x.columns / groups, 1] is a convolution over single tokens, in which every group of
   * outputs reads a group of the columns of x.
   */
  groups?: number | readonly number[] | undefined;
  /**
   * Of one prefix, whose outputs and columns are no heads: the tensor [groups, x.columns / groups, outputs / groups] has a matrix for each
   * group, which stands the other way.
   */
  groupMatrices?: number | undefined;
  /** The dimensions of a bias beyond its first, each of which is 1. */
  biasShape?: readonly number[] | undefined;
}

/** `keyHeads`: as many as `heads` where nothing is said. */
export type HeadOptions = Pick<HeadLayout, 'heads' | 'headSize'> & { keyHeads?: number | undefined };

/**
 * `${table}.weight` [tableRows (default: buckets), heads]: a bias by the distance of key and query, the first rows of the table; or a slope for each head; or the tensors `keys` and
 * `queries` of distances, in the order of DisentangledBias.
 */
export type BiasOptions =
  | { table: string; tableRows?: number; buckets: number }
  | { slopes: readonly number[] }
  | (Pick<DisentangledBias, 'rows' | 'count'> & { keys: string | undefined; queries: string | undefined });

export interface AttentionOptions extends HeadOptions {
  /** Names the values that are written. */
  name: string;
  probabilities: boolean;
  /** Scores in the place of probabilities. Default: false. */
  asScores?: boolean | undefined;
  /** Default: 1 / sqrt(headSize). */
  scale?: number | undefined;
  bias?: BiasOptions | undefined;
  window?: number | undefined;
}

export interface RotaryOptions extends HeadOptions, Pick<RotaryOp, 'frequencies'> {
  interleaved?: boolean | undefined;
  turnsValues?: boolean | undefined;
  /** Where the checkpoint's angles count: the tensor's full name, and the rows of a table. */
  stored?: { tensor: string; positions?: number | undefined } | undefined;
  stretch?: LengthStretch | undefined;
}

export interface QueryKeyNormOptions extends HeadOptions {
  span: 'head' | 'row';
  query: NormOptions;
  key: NormOptions;
}

export interface PoolOptions {
  pooling: Pooling | readonly Pooling[];
  /** Scales the row to length 1. */
  normalize: boolean;
  /** Columns that are kept; of several poolings all are. */
  columns?: number;
  name: string;
}

/** How the logits of a sequence's tokens are pooled: see VocabularyPoolOp. */
export type VocabularyPooling = Pick<VocabularyPoolOp, 'pooling' | 'logarithms'>;

export interface VocabularyOptions {
  /** `${table}.weight` [rows, x.columns], or with `rest` [rows, x.columns - rest.columns] */
  table: string;
  /** The further columns of the table's rows: the tensor with this full name [columns, rows], which stands the other way. */
  rest?: { readonly tensor: string; readonly columns: number } | undefined;
  /** The tensor of the bias [rows], by its full name, where there is one. */
  bias?: string | undefined;
  rows: number;
}
