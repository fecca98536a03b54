/** One sequence as the model reads it: parallel arrays, one entry per token. */
export interface Sequence {
  readonly ids: ArrayLike<number>;
  readonly positions: ArrayLike<number>;
  readonly types: ArrayLike<number>;
  /** What the row of the word table is multiplied by. Only for models without types (see TokenDropout). */
  readonly wordFactors?: ArrayLike<number> | undefined;
  /** The places of the tokens in their padded row, between which distances are counted. Default: 0, 1, 2, ... */
  readonly places?: readonly number[] | undefined;
  /** The tokens that a head is computed for, where it is not computed for all: their indices in the sequence. */
  readonly masked?: readonly number[] | undefined;
  /** How many tokens at the start a pooling leaves out. Default: 0. */
  readonly unpooled?: number | undefined;
  /** How many tokens at the start no token attends to: they only attend to the others. Their places are those behind the others. A pass that gives attentions has none. Default: 0. */
  readonly unattended?: number | undefined;
}
