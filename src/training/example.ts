/** What one sequence is trained on: tokens, and what the heads should say of them. Nothing is padded. */
export interface TrainingExample {
  /** Vocabulary ids, special tokens included. */
  input_ids: number[];
  /** As long as `input_ids`. Default: zeros. */
  token_type_ids?: number[];
  /**
   * The index of a class; or of a class for each token, where -100 has no loss; or a number for each label of several that may hold at
   * once; or the number that a regression should give.
   */
  labels?: number | number[];
  /** The first and the last token of the answer to a question. */
  start_positions?: number;
  end_positions?: number;
  /** 0 where the second text follows the first, 1 where it is a random one. */
  next_sentence_label?: number;
}

/** The label of a token that has no loss, as in torch's cross_entropy. */
export const IGNORED_LABEL = -100;
