/** The tokens of one text (or of a text and its pair), parallel arrays of one length. */
export interface Encoding {
  /** Vocabulary ids, special tokens included. */
  ids: number[];
  /** Segment of every token: 0 or 1 (the `type_ids` of the Rust tokenizers). */
  typeIds: number[];
  /** The vocabulary's strings for `ids`. */
  tokens: string[];
  /** [start, end) of every token in UTF-16 units of its own text, so that `text.slice(start, end)` works; [0, 0] for special tokens. */
  offsets: [start: number, end: number][];
  /** 1 where the tokenizer added a special token ([CLS], [SEP], ...), else 0. */
  specialTokensMask: number[];
  /** 0 for a token of the text, 1 for one of its pair, null for an added special token. */
  sequenceIds: (0 | 1 | null)[];
  /** Which word of its own text a token is of, as the pre-tokenizer parts words; null for an added special token. */
  wordIds: (number | null)[];
  /** Whether tokens were cut off to fit `maxLength`. */
  truncated: boolean;
}
