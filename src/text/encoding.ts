/** The tokens of a text (or of a text and its pair), as parallel arrays of one length. */
export interface Encoding {
  /** Vocabulary ids, special tokens included. */
  ids: number[];
  /** The segment of every token, 0 or 1: the `type_ids` of the Rust tokenizers. */
  typeIds: number[];
  /** The vocabulary's strings for `ids`. */
  tokens: string[];
  /** [start, end) of every token in UTF-16 units of its text or pair, so that `text.slice(start, end)` works; [0, 0] for special tokens. */
  offsets: [start: number, end: number][];
  /** 1 for a special token that the tokenizer added ([CLS], [SEP], ...), else 0. */
  specialTokensMask: number[];
  /** 0 for a token of the text, 1 for one of its pair, null for an added special token. */
  sequenceIds: (0 | 1 | null)[];
  /** For each token, the index of the word in its text or pair, as the pre-tokenizer cuts words; null for an added special token. */
  wordIds: (number | null)[];
  /** Whether tokens were cut off to fit `maxLength`. */
  truncated: boolean;
}
