import { Callable } from './callable.ts';
import { InputError, wrong } from './errors.ts';
import { Tensor } from './tensor.ts';
import { cleanUp } from './text/decoder.ts';
import type { Encoding } from './text/encoding.ts';
import { ROLES } from './text/special-tokens.ts';
import { buildTokenizer, type TextTokenizer } from './text/tokenizer.ts';
import type { TruncationStrategy } from './text/windows.ts';

/** What a call of a tokenizer takes beside the text; names and defaults are transformers.js's, then Python's. */
export interface TokenizerOptions {
  text_pair?: string | readonly string[] | null;
  /** true: to the longest of the batch; 'max_length': to max_length. */
  padding?: boolean | 'max_length' | 'longest' | 'do_not_pad';
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
}

interface BatchFields<Ids, Offsets> {
  input_ids: Ids;
  attention_mask: Ids;
  token_type_ids?: Ids;
  special_tokens_mask?: Ids;
  offset_mapping?: Offsets;
  /** [B]: which text a row is of; with return_overflowing_tokens. */
  overflow_to_sample_mapping?: Ids extends Tensor ? Tensor : number[];
}

/** What a call returns: tensors [B, T], of one text too. */
export type BatchEncoding = BatchFields<Tensor, Tensor>;
/** What a call with `return_tensor: false` returns: lists [T] of one text, [B][T] of several. */
export type ListEncoding<Ids> = BatchFields<Ids, Ids extends number[] ? [number, number][] : [number, number][][]>;

interface TokenizeCall {
  (text: string, options: TokenizerOptions & { return_tensor: false }): ListEncoding<number[]>;
  (text: readonly string[], options: TokenizerOptions & { return_tensor: false }): ListEncoding<number[][]>;
  (text: string | readonly string[], options?: TokenizerOptions): BatchEncoding;
}

/** Classes whose models have segments (transformers.js); a file of no particular class is taken at its word. */
const classesWithTypeIds =
  /^(|PreTrainedTokenizer|TokenizersBackend|(Albert|Bert|ConvBert|Deberta|DebertaV2|Electra|Herbert|MobileBert|RoFormer|SqueezeBert|XLM)Tokenizer)(Fast)?$/;

/** transformers.js's PreTrainedTokenizer: `tokenizer(text, options)` gives what a model takes. */
export class PreTrainedTokenizer extends (Callable as new () => TokenizeCall) {
  /** Without transformers.js's names: offsets, sequence ids, windows. */
  declare readonly text: TextTokenizer;
  declare readonly config: Readonly<Record<string, unknown>>;
  declare padding_side: 'left' | 'right';
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
    this.padding_side = this.config.padding_side === 'left' ? 'left' : 'right';
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

  _call(text: string | readonly string[], options: TokenizerOptions = {}) {
    const isBatched = Array.isArray(text);
    const texts = isBatched ? text : [text];
    if (texts.length === 0) {
      throw wrong('the list of texts', texts, 'at least one text');
    }
    const pairs = pairsOf(texts.length, isBatched, options.text_pair ?? null);
    const { max_length, padding, ...limits } = limitsOf(options, this.model_max_length);
    const { add_special_tokens: addSpecialTokens, stride, return_overflowing_tokens: overflows } = options;
    const samples: number[] = [];
    const rows: Encoding[] = texts.flatMap((value: string, sample: number) => {
      const encodeOptions = { pair: pairs[sample], addSpecialTokens, ...limits };
      const windows = overflows
        ? this.text.encodeWindows(value, { ...encodeOptions, stride })
        : [this.text.encode(value, encodeOptions)];
      for (const _ of windows) samples.push(sample);
      return windows;
    });

    const own = rows.map(({ ids }) => ids.length);
    const most = own.reduce((most, length) => Math.max(most, length), padding === 'max_length' ? max_length : 0);
    const least = padding ? most : 0;
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
    const add = <T extends number | [number, number]>(name: string, filler: T, of: (encoding: Encoding) => T[]) => {
      const list = rows.map((encoding, i) => {
        const filling = new Array<T>(lengths[i]! - own[i]!).fill(filler);
        return this.padding_side === 'left' ? [...filling, ...of(encoding)] : [...of(encoding), ...filling];
      });
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
    return fields;
  }

  /** The ids of one text, or of a text and its pair. */
  encode(
    text: string,
    { text_pair, add_special_tokens }: Pick<TokenizerOptions, 'add_special_tokens'> & PairOption = {},
  ): number[] {
    return this.text.encode(text, { pair: text_pair, addSpecialTokens: add_special_tokens }).ids;
  }

  /** The tokens of one text, or of a text and its pair, as strings. */
  tokenize(
    text: string,
    { pair, add_special_tokens = false }: { pair?: string | null; add_special_tokens?: boolean } = {},
  ): string[] {
    return this.text.encode(text, { pair, addSpecialTokens: add_special_tokens }).tokens;
  }

  /** The text of a list of ids, or of a tensor [T] or [1, T]. */
  decode(
    token_ids: Tensor | readonly (number | bigint)[],
    options: { skip_special_tokens?: boolean; clean_up_tokenization_spaces?: boolean | null } = {},
  ): string {
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
  batch_decode(
    batch: Tensor | readonly (readonly (number | bigint)[])[],
    options: { skip_special_tokens?: boolean; clean_up_tokenization_spaces?: boolean | null } = {},
  ): string[] {
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

/** transformers.js's rules of what max_length means with which padding and truncation. */
function limitsOf({ padding = false, truncation = null, max_length = null }: TokenizerOptions, modelMaxLength: number) {
  const pads = padding !== false && padding !== 'do_not_pad';
  const strategy = truncation ?? (max_length !== null && !pads);
  const length = Math.min(max_length ?? Number.POSITIVE_INFINITY, modelMaxLength);
  if (padding === 'max_length' && !(length < 1e9)) {
    throw new InputError({
      what: "padding 'max_length' needs a length",
      actual: 'no max_length, and a model without one',
      next: 'Pass max_length, or padding: true for the longest of the batch.',
    });
  }
  const limits = { max_length: length, padding: pads && padding };
  if (strategy === false || strategy === 'do_not_truncate') return limits;
  return { ...limits, maxLength: length, truncation: strategy === true ? undefined : strategy };
}

/** What a function gives for one value, or for each of a list. */
function ofEach<T, R>(values: T | readonly T[], of: (value: T) => R): R | R[] {
  return Array.isArray(values) ? values.map((value: T) => of(value)) : of(values as T);
}

interface PairOption {
  text_pair?: string | null;
}

function pairsOf(count: number, isBatched: boolean, pair: TokenizerOptions['text_pair']): (string | undefined)[] {
  if (pair === null || pair === undefined) return [];
  const pairs = Array.isArray(pair) ? pair : [pair];
  if (Array.isArray(pair) === isBatched && pairs.length === count) return pairs;
  throw wrong('text_pair', pair, isBatched ? `a list of ${count}, as the texts are` : 'a string, as the text is');
}
