import { checkNames, InputError, oneOf, wrong } from '../errors.ts';
import {
  buildTokenizer,
  cleanUp,
  type Encoding,
  ROLES,
  type TextInput,
  type TextTokenizer,
  type TruncationSide,
  type TruncationStrategy,
} from '../text/index.ts';
import { Callable } from './callable.ts';
import { Tensor } from './tensor.ts';

/** A text or several; with is_split_into_words a list of words, or a list of such lists. */
type Texts = TextInput | readonly (readonly string[])[];

/** What a call of a tokenizer takes beside the text; names and defaults are transformers.js's, then Python's. */
export interface TokenizerOptions {
  /** As the text is: one, or one for each. For a single text an empty pair is none, as in Python. */
  text_pair?: Texts | null;
  /** true: to the longest of the batch; 'max_length': to max_length. */
  padding?: boolean | 'max_length' | 'longest' | 'do_not_pad';
  /** Rows are padded to a multiple of so many tokens; only where `padding` asks for padding. */
  pad_to_multiple_of?: number | null;
  add_special_tokens?: boolean;
  /** true is 'longest_first'. Special tokens stay, as in Python. */
  truncation?: boolean | TruncationStrategy | 'do_not_truncate' | null;
  /** model_max_length where it is not given. Given without `truncation` and `padding` it truncates. */
  max_length?: number | null;
  /** int64 tensors [B, T] unless false. */
  return_tensor?: boolean;
  return_token_type_ids?: boolean | null;
  /** [start, end) of every token in UTF-16 units: [B, T, 2]. */
  return_offsets_mapping?: boolean;
  return_special_tokens_mask?: boolean;
  /** Long texts become several rows, each overlapping the one before by `stride` tokens. */
  return_overflowing_tokens?: boolean;
  stride?: number;
  /**
   * Texts are lists of words: of one text a list of strings, of several a list of such lists. Offsets are then those in a word. What the
   * call returns says by `word_ids` which word a token is of.
   */
  is_split_into_words?: boolean;
  /** Special tokens that stand in a text are text like any other. Default: as tokenizer_config.json says, else false. */
  split_special_tokens?: boolean | null;
}

const CALL_OPTIONS = [
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
] as const satisfies readonly (keyof TokenizerOptions)[];
const PADDINGS = [true, false, 'max_length', 'longest', 'do_not_pad'] as const;
const TRUNCATIONS = [true, false, 'longest_first', 'only_first', 'only_second', 'do_not_truncate'] as const;
const DECODE_OPTIONS = ['skip_special_tokens', 'clean_up_tokenization_spaces'];

interface BatchFields<Ids, Offsets> {
  input_ids: Ids;
  attention_mask: Ids;
  token_type_ids?: Ids;
  special_tokens_mask?: Ids;
  offset_mapping?: Offsets;
  /** [B]: which text a row is of; with return_overflowing_tokens. */
  overflow_to_sample_mapping?: Ids extends Tensor ? Tensor : number[];
  /**
   * Which word of its own text (or pair) each token of a row is of, null for special tokens and padding; Python's BatchEncoding.word_ids.
   * It is no enumerable property: a loop or a copy sees the tensors alone.
   */
  word_ids(row?: number): (number | null)[];
}

/** What a call returns: tensors [B, T], of one text too. */
export type BatchEncoding = BatchFields<Tensor, Tensor>;
/** What a call with `return_tensor: false` returns: lists [T] of one text, [B][T] of several. */
export type ListEncoding<Ids> = BatchFields<Ids, Ids extends number[] ? [number, number][] : [number, number][][]>;

type Unpacked = TokenizerOptions & { return_tensor: false };
type Words = TokenizerOptions & { is_split_into_words: true };

interface TokenizeCall {
  (words: readonly string[], options: Unpacked & Words): ListEncoding<number[]>;
  (words: readonly (readonly string[])[], options: Unpacked & Words): ListEncoding<number[][]>;
  (words: readonly string[] | readonly (readonly string[])[], options: Words): BatchEncoding;
  (text: string, options: Unpacked): ListEncoding<number[]>;
  (text: readonly string[], options: Unpacked): ListEncoding<number[][]>;
  (text: string | readonly string[], options?: TokenizerOptions): BatchEncoding;
}

/** Classes whose models have segments (transformers.js); a file of no particular class is taken at its word. */
const classesWithTypeIds =
  /^(|PreTrainedTokenizer|TokenizersBackend|(Albert|Bert|ConvBert|Deberta|DebertaV2|DPR(ContextEncoder|QuestionEncoder)|Electra|Funnel|Herbert|LayoutLM|Lxmert|MobileBert|Realm|RoFormer|SqueezeBert|XLM)Tokenizer)(Fast)?$/;

/** transformers.js's PreTrainedTokenizer: `tokenizer(text, options)` gives what a model takes. */
export class PreTrainedTokenizer extends (Callable as new () => TokenizeCall) {
  /** Without transformers.js's names: offsets, sequence ids, windows. */
  declare readonly text: TextTokenizer;
  declare readonly config: Readonly<Record<string, unknown>>;
  declare padding_side: 'left' | 'right';
  /** Which side of a text is cut. */
  declare readonly truncation_side: TruncationSide;
  declare return_token_type_ids: boolean;
  declare readonly all_special_ids: readonly number[];
  declare readonly all_special_tokens: readonly string[];
  declare readonly mask_token: string | undefined;
  declare readonly mask_token_id: number | undefined;
  declare readonly pad_token: string | undefined;
  declare readonly pad_token_id: number | undefined;
  declare readonly unk_token: string | undefined;
  declare readonly unk_token_id: number | undefined;
  declare readonly cls_token: string | undefined;
  declare readonly cls_token_id: number | undefined;
  declare readonly sep_token: string | undefined;
  declare readonly sep_token_id: number | undefined;
  declare readonly bos_token: string | undefined;
  declare readonly bos_token_id: number | undefined;
  declare readonly eos_token: string | undefined;
  declare readonly eos_token_id: number | undefined;

  /** @param tokenizerJson tokenizer.json, @param tokenizerConfig tokenizer_config.json, both parsed. */
  constructor(tokenizerJson: unknown, tokenizerConfig: unknown) {
    super();
    this.text = buildTokenizer(tokenizerJson, tokenizerConfig);
    this.config = (tokenizerConfig ?? {}) as Record<string, unknown>;
    this.padding_side = this.text.paddingSide;
    this.truncation_side = this.text.truncationSide;
    const { model_input_names: names, tokenizer_class: name } = this.config;
    this.return_token_type_ids = Array.isArray(names)
      ? names.includes('token_type_ids')
      : classesWithTypeIds.test(typeof name === 'string' ? name : '');
    this.all_special_ids = this.text.allSpecialIds;
    this.all_special_tokens = this.all_special_ids.map(id => this.text.idToToken(id)!);
    const { special } = this.text;
    for (const role of ROLES) {
      const { token, id } = special[role] ?? (role === 'pad' ? special.eos : undefined) ?? {};
      Object.assign(this, { [`${role}_token`]: token, [`${role}_token_id`]: id });
    }
  }

  get model_max_length(): number {
    return this.text.modelMaxLength;
  }

  _call(text: Texts, given?: TokenizerOptions | null) {
    const options = checkNames('a tokenizer', given, CALL_OPTIONS);
    const isSplitIntoWords = options.is_split_into_words ?? false;
    const isBatched = Array.isArray(text) && (!isSplitIntoWords || Array.isArray(text[0]));
    const texts = (isBatched ? text : [text]) as readonly TextInput[];
    if (texts.length === 0) {
      throw wrong('the list of texts', texts, 'at least one text');
    }
    const pairs = pairsOf(texts.length, isBatched, options.text_pair ?? null);
    const { max_length, padding, multiple, ...limits } = limitsOf(options, this.model_max_length);
    const { add_special_tokens: addSpecialTokens, stride, return_overflowing_tokens: overflows } = options;
    const splitSpecialTokens = options.split_special_tokens ?? undefined;
    const samples: number[] = [];
    const rows: Encoding[] = texts.flatMap((value, sample) => {
      const encodeOptions = { pair: pairs[sample], addSpecialTokens, isSplitIntoWords, splitSpecialTokens, ...limits };
      const windows = overflows
        ? this.text.encodeWindows(value, { ...encodeOptions, stride })
        : [this.text.encode(value, encodeOptions)];
      for (const _ of windows) samples.push(sample);
      return windows;
    });

    const own = rows.map(({ ids }) => ids.length);
    const most = own.reduce((most, length) => Math.max(most, length), padding === 'max_length' ? max_length : 0);
    const least = padding ? Math.ceil(most / multiple) * multiple : 0;
    const lengths = own.map(length => Math.max(length, least));
    if (this.pad_token_id === undefined && own.some(length => length < least)) {
      throw new InputError({ what: 'this tokenizer has no token to pad with', next: 'Encode the texts one by one.' });
    }
    const tensors = options.return_tensor ?? true;
    if (tensors && lengths.some(length => length !== lengths[0])) {
      throw new InputError({
        what: 'texts of several lengths make no tensor',
        actual: `${lengths.join(', ')} tokens`,
        next: 'Use `padding: true` (and `truncation: true`), or `return_tensor: false`.',
      });
    }
    const fields: Record<string, unknown> = {};
    const padded = <T>(row: number, filler: T, of: (encoding: Encoding) => readonly T[]): T[] => {
      const filling = new Array<T>(lengths[row]! - own[row]!).fill(filler);
      const values = of(rows[row]!);
      return this.padding_side === 'left' ? [...filling, ...values] : [...values, ...filling];
    };
    const add = <T extends number | [number, number]>(name: string, filler: T, of: (encoding: Encoding) => T[]) => {
      const list = rows.map((_, row) => padded(row, filler, of));
      const dims = [rows.length, lengths[0]!, ...(Array.isArray(filler) ? [2] : [])];
      fields[name] = tensors ? new Tensor('int64', list.flat(2), dims) : isBatched || overflows ? list : list[0];
    };
    add('input_ids', this.pad_token_id ?? 0, ({ ids }) => ids);
    add('attention_mask', 0, ({ ids }) => ids.map(() => 1));
    if (options.return_token_type_ids ?? this.return_token_type_ids) add('token_type_ids', 0, ({ typeIds }) => typeIds);
    if (options.return_special_tokens_mask) add('special_tokens_mask', 1, encoding => encoding.specialTokensMask);
    if (options.return_offsets_mapping) add('offset_mapping', [0, 0], ({ offsets }): [number, number][] => offsets);
    if (overflows) {
      fields.overflow_to_sample_mapping = tensors ? new Tensor('int64', samples, [samples.length]) : samples;
    }
    const word_ids = (row = 0) => {
      if (rows[row] === undefined) throw wrong('the row', row, `a whole number from 0 to ${rows.length - 1}`);
      return padded<number | null>(row, null, ({ wordIds }) => wordIds);
    };
    return Object.defineProperty(fields, 'word_ids', { value: word_ids, enumerable: false });
  }

  /** The ids of one text, or of a text and its pair. */
  encode(text: string, given?: (Pick<TokenizerOptions, 'add_special_tokens'> & PairOption) | null): number[] {
    const options = checkNames('encode', given, ['text_pair', 'add_special_tokens']);
    return this.text.encode(text, {
      pair: options.text_pair || undefined,
      addSpecialTokens: options.add_special_tokens,
    }).ids;
  }

  /** The tokens of one text, or of a text and its pair, as strings. */
  tokenize(text: string, given?: { pair?: string | null; add_special_tokens?: boolean } | null): string[] {
    const { pair, add_special_tokens } = checkNames('tokenize', given, ['pair', 'add_special_tokens']);
    return this.text.encode(text, { pair: pair || undefined, addSpecialTokens: add_special_tokens ?? false }).tokens;
  }

  /** The text of a list of ids, or of a tensor [T] or [1, T]. */
  decode(token_ids: Tensor | readonly (number | bigint)[], given?: DecodeOptions | null): string {
    const options = checkNames('decode', given, DECODE_OPTIONS);
    const dims = token_ids instanceof Tensor ? token_ids.dims : undefined;
    const ids: unknown =
      token_ids instanceof Tensor && token_ids.size === token_ids.dims.at(-1) ? [...token_ids.data] : token_ids;
    if (!Array.isArray(ids) || !ids.every(id => Number.isInteger(Number(id)))) {
      const expected = 'a list of whole numbers or a tensor [T] or [1, T]';
      throw wrong('the ids of a text', dims ?? ids, expected, 'Use batch_decode for several texts.');
    }
    const decoded = this.text.decode(ids, { skipSpecialTokens: options.skip_special_tokens });
    const cleans = options.clean_up_tokenization_spaces ?? this.config.clean_up_tokenization_spaces ?? true;
    return cleans ? cleanUp(decoded) : decoded;
  }

  /** The texts of several lists of ids, or of a tensor [B, T]. */
  batch_decode(batch: Tensor | readonly (readonly (number | bigint)[])[], options?: DecodeOptions | null): string[] {
    return Array.from(batch as Iterable<Tensor | (number | bigint)[]>, ids => this.decode(ids, options));
  }

  convert_tokens_to_ids(tokens: string): number | undefined;
  convert_tokens_to_ids(tokens: readonly string[]): (number | undefined)[];
  convert_tokens_to_ids(tokens: string | readonly string[]) {
    return ofEach(tokens, this.text.tokenToId);
  }

  convert_ids_to_tokens(ids: number | bigint): string | undefined;
  convert_ids_to_tokens(ids: readonly (number | bigint)[]): (string | undefined)[];
  convert_ids_to_tokens(ids: number | bigint | readonly (number | bigint)[]) {
    return ofEach(ids, this.text.idToToken);
  }
}

/** transformers.js's rules of what max_length means with which padding and truncation, and Python's of pad_to_multiple_of. */
function limitsOf(options: TokenizerOptions, modelMaxLength: number) {
  const padding = oneOf('this padding', options.padding ?? false, PADDINGS);
  const max_length = options.max_length ?? null;
  const pads = padding !== false && padding !== 'do_not_pad';
  const strategy =
    options.truncation === undefined || options.truncation === null
      ? max_length !== null && !pads
      : oneOf('this truncation', options.truncation, TRUNCATIONS);
  const length = Math.min(max_length ?? Number.POSITIVE_INFINITY, modelMaxLength);
  if (padding === 'max_length' && !(length < 1e9)) {
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
  const limits = { max_length: length, padding: pads && padding, multiple };
  if (strategy === false || strategy === 'do_not_truncate') return limits;
  if (pads && length < 1e9 && length % multiple !== 0) {
    throw wrong('max_length', length, `a multiple of pad_to_multiple_of (${multiple}), where texts are cut and padded`);
  }
  const remedy = 'Shorten the other text, pass truncation: true to cut both, or a greater max_length.';
  return { ...limits, maxLength: length, truncation: strategy === true ? undefined : strategy, remedy };
}

/** What a function gives for one value, or for each of a list. */
function ofEach<T, R>(values: T | readonly T[], of: (value: T) => R): R | R[] {
  return Array.isArray(values) ? values.map((value: T) => of(value)) : of(values as T);
}

interface PairOption {
  text_pair?: string | null;
}

interface DecodeOptions {
  skip_special_tokens?: boolean;
  clean_up_tokenization_spaces?: boolean | null;
}

function pairsOf(count: number, isBatched: boolean, pair: Texts | null): (TextInput | undefined)[] {
  // Python takes an empty pair of a single text for none; among the pairs of several texts it is one.
  if (pair === null || (!isBatched && pair.length === 0)) return [];
  if (!isBatched) return [pair as TextInput];
  if (Array.isArray(pair) && pair.length === count) return [...pair];
  throw wrong('text_pair', pair, `a list of ${count}, as the texts are`);
}
