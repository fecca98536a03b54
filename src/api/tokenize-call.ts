import { InputError, oneOf, wrong } from '../errors.ts';
import type { TextInput, TruncationStrategy } from '../text/index.ts';
import type { Tensor } from './tensor.ts';

/** A text or several. With is_split_into_words: a list of words, or several such lists. */
export type Texts = TextInput | readonly (readonly string[])[];

/** The options of a call of a tokenizer. Names and defaults are those of transformers.js, then Python's. */
export interface TokenizeOptions {
  /** As the text is: one, or one for each. For a single text an empty pair is none, as in Python. */
  text_pair?: Texts | null;
  /** true: to the longest of the batch; 'max_length': to max_length. */
  padding?: boolean | 'max_length' | 'longest' | 'do_not_pad';
  /** The length of rows is padded to a multiple of this number. It has no effect without `padding`. */
  pad_to_multiple_of?: number | null;
  add_special_tokens?: boolean;
  /** true is 'longest_first'. Special tokens stay, as in Python. */
  truncation?: boolean | TruncationStrategy | 'do_not_truncate' | null;
  /** Default: model_max_length. Without `truncation` and `padding`, a max_length truncates. */
  max_length?: number | null;
  /** int64 tensors [B, T] unless false. */
  return_tensor?: boolean;
  return_token_type_ids?: boolean | null;
  /** [start, end) of every token in UTF-16 units: [B, T, 2]. */
  return_offsets_mapping?: boolean;
  return_special_tokens_mask?: boolean;
  /** Long texts become several rows. Each row overlaps the one before by `stride` tokens. */
  return_overflowing_tokens?: boolean;
  stride?: number;
  /**
   * Texts are lists of words: a single text is a list of strings, several texts are a list of such lists. Offsets then count from the
   * start of the word, and `word_ids` of the result is the word of each token.
   */
  is_split_into_words?: boolean;
  /** Special tokens that are written in a text are read as plain text. Default: as tokenizer_config.json says, else false. */
  split_special_tokens?: boolean | null;
}

export const CALL_OPTIONS = [
  'text_pair',
  'padding',
  'pad_to_multiple_of',
  'add_special_tokens',
  'truncation',
  'max_length',
  'return_tensor',
  'return_token_type_ids',
  'return_offsets_mapping',
  'return_special_tokens_mask',
  'return_overflowing_tokens',
  'stride',
  'is_split_into_words',
  'split_special_tokens',
] as const satisfies readonly (keyof TokenizeOptions)[];
const PADDINGS = [true, false, 'max_length', 'longest', 'do_not_pad'] as const;
const TRUNCATIONS = [true, false, 'longest_first', 'only_first', 'only_second', 'do_not_truncate'] as const;

/** Lengths from this on are no limit: files write 1e30 where a model has none. */
const UNLIMITED = 1e9;

interface BatchFields<Ids, Offsets> {
  input_ids: Ids;
  attention_mask: Ids;
  token_type_ids?: Ids;
  special_tokens_mask?: Ids;
  offset_mapping?: Offsets;
  /** [B]: the index of the text of each row; with return_overflowing_tokens. */
  overflow_to_sample_mapping?: Ids extends Tensor ? Tensor : number[];
  /**
   * The word of its text (or pair) that each token of a row is a part of; null for special tokens and padding. This is
   * BatchEncoding.word_ids of Python. It is not enumerable: a loop or a copy sees the tensors alone.
   */
  word_ids(row?: number): (number | null)[];
}

/** The result of a call: tensors [B, T], of a single text too. */
export type BatchEncoding = BatchFields<Tensor, Tensor>;
/** The result of a call with `return_tensor: false`: lists [T] of a single text, [B][T] of several. */
export type ListEncoding<Ids> = BatchFields<Ids, Ids extends number[] ? [number, number][] : [number, number][][]>;

type ListOptions = TokenizeOptions & { return_tensor: false };
type WordOptions = TokenizeOptions & { is_split_into_words: true };

/** The signatures of a call of a tokenizer. */
export interface TokenizeCall {
  (words: readonly string[], options: ListOptions & WordOptions): ListEncoding<number[]>;
  (words: readonly (readonly string[])[], options: ListOptions & WordOptions): ListEncoding<number[][]>;
  (words: readonly string[] | readonly (readonly string[])[], options: WordOptions): BatchEncoding;
  (text: string, options: ListOptions): ListEncoding<number[]>;
  (text: readonly string[], options: ListOptions): ListEncoding<number[][]>;
  (text: string | readonly string[], options?: TokenizeOptions): BatchEncoding;
}

/** How rows are cut and padded. */
export interface Limits {
  /** The options of TextTokenizer.encode that cut a text; empty if nothing is cut. */
  readonly cut: { maxLength?: number; truncation?: TruncationStrategy | undefined; remedy?: string };
  readonly padding: false | true | 'max_length' | 'longest';
  /** The length of a row with padding 'max_length'. */
  readonly maxLength: number;
  /** Padded rows are a multiple of this long. */
  readonly multiple: number;
}

/** What max_length means with which padding and truncation is transformers.js's rule; pad_to_multiple_of is Python's. */
export function limitsOf(options: TokenizeOptions, modelMaxLength: number): Limits {
  const asked = oneOf('this padding', options.padding ?? false, PADDINGS);
  const padding = asked === 'do_not_pad' ? false : asked;
  const strategy =
    options.truncation === undefined || options.truncation === null
      ? (options.max_length ?? null) !== null && padding === false
      : oneOf('this truncation', options.truncation, TRUNCATIONS);
  const maxLength = Math.min(options.max_length ?? Number.POSITIVE_INFINITY, modelMaxLength);
  if (padding === 'max_length' && !(maxLength < UNLIMITED)) {
    throw new InputError({
      what: "padding 'max_length' needs a length",
      actual: 'no max_length, and a model without one',
      next: 'Pass max_length, or padding: true for the longest of the batch.',
    });
  }
  const multiple = options.pad_to_multiple_of ?? 1;
  if (!(Number.isSafeInteger(multiple) && multiple > 0)) {
    throw wrong('pad_to_multiple_of', multiple, 'a whole number of at least 1');
  }
  if (strategy === false || strategy === 'do_not_truncate') return { cut: {}, padding, maxLength, multiple };
  if (padding !== false && maxLength < UNLIMITED && maxLength % multiple !== 0) {
    const expected = `a multiple of pad_to_multiple_of (${multiple}), where texts are cut and padded`;
    throw wrong('max_length', maxLength, expected);
  }
  const remedy = 'Shorten the other text, pass truncation: true to cut both, or a greater max_length.';
  const truncation = strategy === true ? undefined : strategy;
  return { cut: { maxLength, truncation, remedy }, padding, maxLength, multiple };
}

/** The pair of each text; empty if there are no pairs. */
export function pairsOf(count: number, isBatched: boolean, pair: Texts | null): (TextInput | undefined)[] {
  // Python takes an empty pair of a single text for none; among the pairs of several texts it is one.
  if (pair === null || (!isBatched && pair.length === 0)) return [];
  if (!isBatched) return [pair as TextInput];
  if (Array.isArray(pair) && pair.length === count) return [...pair];
  throw wrong('text_pair', pair, `a list of ${count}, as the texts are`);
}
