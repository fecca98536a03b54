import { checkNames, InputError, wrong } from '../errors.ts';
import { copiedFiles, type FoundFiles } from '../saving/index.ts';
import {
  cleanUp,
  type EncodeOptions,
  type Encoding,
  type TextInput,
  TextTokenizer,
  type TruncationSide,
} from '../text/index.ts';
import { Callable } from './callable.ts';
import { PaddedBatch } from './padded-batch.ts';
import { Tensor } from './tensor.ts';
import {
  CALL_OPTIONS,
  limitsOf,
  pairsOf,
  type Texts,
  type TokenizeCall,
  type TokenizeOptions,
} from './tokenize-call.ts';

const DECODE_OPTIONS = ['skip_special_tokens', 'clean_up_tokenization_spaces'];

/**
 * The classes without "Tokenizer" whose models take no token types, as `model_input_names` of transformers 4.57 has it. Any other class,
 * also one that is not known, is taken to have them, as PreTrainedTokenizerFast has; so is TokenizersBackend, which transformers 5 writes
 * for a tokenizer of no class of its own, and reads without them unless `model_input_names` says otherwise.
 */
const CLASSES_WITHOUT_TYPE_IDS: ReadonlySet<string> = new Set([
  'Bart',
  'Barthez',
  'BigBird',
  'Blenderbot',
  'BlenderbotSmall',
  'Bloom',
  'ByT5',
  'Camembert',
  'CLIP',
  'CodeGen',
  'CodeLlama',
  'Cohere',
  'DistilBert',
  'Esm',
  'Gemma',
  'GPT2',
  'GPTNeoX',
  'LayoutLMv3',
  'LayoutXLM',
  'LED',
  'Llama',
  'Longformer',
  'Luke',
  'MBart',
  'MBart50',
  'MPNet',
  'MT5',
  'Mvp',
  'Nllb',
  'OpenAIGPT',
  'Pegasus',
  'Perceiver',
  'Qwen2',
  'Reformer',
  'RetriBert',
  'Roberta',
  'T5',
  'Whisper',
  'XGLM',
  'XLMRoberta',
]);

/** Whether calls return token_type_ids unless an option says otherwise. */
function hasTypeIds({ model_input_names: names, tokenizer_class: name }: Readonly<Record<string, unknown>>): boolean {
  if (Array.isArray(names)) return names.includes('token_type_ids');
  return !CLASSES_WITHOUT_TYPE_IDS.has(typeof name === 'string' ? name.replace(/Tokenizer(Fast)?$/, '') : '');
}

/** transformers.js's PreTrainedTokenizer: `tokenizer(text, options)` gives what a model takes. */
export class PreTrainedTokenizer extends (Callable as new () => TokenizeCall) {
  /** The tokenizer below this class: it has offsets, sequence ids and windows, under names of its own. */
  readonly text: TextTokenizer;
  readonly config: Readonly<Record<string, unknown>>;
  padding_side: 'left' | 'right';
  /** Which side of a text is cut. */
  readonly truncation_side: TruncationSide;
  return_token_type_ids: boolean;
  readonly all_special_ids: readonly number[];
  readonly all_special_tokens: readonly string[];
  readonly mask_token: string | undefined;
  readonly mask_token_id: number | undefined;
  readonly pad_token: string | undefined;
  readonly pad_token_id: number | undefined;
  readonly unk_token: string | undefined;
  readonly unk_token_id: number | undefined;
  readonly cls_token: string | undefined;
  readonly cls_token_id: number | undefined;
  readonly sep_token: string | undefined;
  readonly sep_token_id: number | undefined;
  readonly bos_token: string | undefined;
  readonly bos_token_id: number | undefined;
  readonly eos_token: string | undefined;
  readonly eos_token_id: number | undefined;
  readonly #found: FoundFiles | undefined;

  /**
   * @param tokenizerJson tokenizer.json, parsed
   * @param tokenizerConfig tokenizer_config.json, parsed
   * @param found the files that both were read from, for `save_pretrained`
   */
  constructor(tokenizerJson: unknown, tokenizerConfig: unknown, found?: FoundFiles) {
    super();
    this.#found = found;
    const text = new TextTokenizer(tokenizerJson, tokenizerConfig);
    this.text = text;
    this.config = (tokenizerConfig ?? {}) as Record<string, unknown>;
    this.padding_side = text.paddingSide;
    this.truncation_side = text.truncationSide;
    this.return_token_type_ids = hasTypeIds(this.config);
    this.all_special_ids = text.allSpecialIds;
    this.all_special_tokens = text.allSpecialIds.map(id => text.idToToken(id)!);
    const { mask, pad = text.special.eos, unk, cls, sep, bos, eos } = text.special;
    this.mask_token = mask?.token;
    this.mask_token_id = mask?.id;
    this.pad_token = pad?.token;
    this.pad_token_id = pad?.id;
    this.unk_token = unk?.token;
    this.unk_token_id = unk?.id;
    this.cls_token = cls?.token;
    this.cls_token_id = cls?.id;
    this.sep_token = sep?.token;
    this.sep_token_id = sep?.id;
    this.bos_token = bos?.token;
    this.bos_token_id = bos?.id;
    this.eos_token = eos?.token;
    this.eos_token_id = eos?.id;
  }

  get model_max_length(): number {
    return this.text.modelMaxLength;
  }

  /** `add_bos_token` of tokenizer_config.json. */
  get add_bos_token(): boolean | undefined {
    return this.config.add_bos_token as boolean | undefined;
  }

  /** `add_eos_token` of tokenizer_config.json. */
  get add_eos_token(): boolean | undefined {
    return this.config.add_eos_token as boolean | undefined;
  }

  /**
   * The files that it was read from, byte for byte: tokenizer.json, tokenizer_config.json, or those of its vocabulary. What was set since,
   * `padding_side` say, is not in them. Throws InputError where it was not loaded from files, SourceError, or the signal's reason.
   */
  async save_pretrained(options?: TokenizerSaveOptions | null): Promise<File[]> {
    const { signal = new AbortController().signal } = checkNames<TokenizerSaveOptions>('save_pretrained', options, [
      'signal',
    ]);
    signal.throwIfAborted();
    if (this.#found) return copiedFiles(this.#found.open(signal), this.#found.names);
    throw new InputError({
      what: 'this tokenizer has no files',
      actual: 'new PreTrainedTokenizer(…)',
      expected: 'AutoTokenizer.from_pretrained(…)',
      next: 'Save the JSON that it was made of.',
    });
  }

  /** The id of every token, the added ones included, in the order of ids. */
  get_vocab(): Map<string, number> {
    const ids = Array.from(this.text.vocabulary, token => [token, this.text.tokenToId(token)!] as const);
    return new Map(ids.sort(([, a], [, b]) => a - b));
  }

  _call(text: Texts, callOptions?: TokenizeOptions | null) {
    const options = checkNames('a tokenizer', callOptions, CALL_OPTIONS);
    const isSplitIntoWords = options.is_split_into_words ?? false;
    const isBatched = Array.isArray(text) && (!isSplitIntoWords || Array.isArray(text[0]));
    const texts = (isBatched ? text : [text]) as readonly TextInput[];
    if (texts.length === 0) {
      throw wrong('the list of texts', texts, 'at least one text');
    }
    const pairs = pairsOf(texts.length, isBatched, options.text_pair ?? null);
    const { cut, padding, maxLength, multiple } = limitsOf(options, this.model_max_length);
    const { return_overflowing_tokens: overflows = false, stride } = options;
    const encodings: Encoding[] = [];
    /** The index of the text of each encoding. */
    const samples: number[] = [];
    for (const [sample, value] of texts.entries()) {
      const encodeOptions: EncodeOptions = {
        pair: pairs[sample],
        addSpecialTokens: options.add_special_tokens,
        isSplitIntoWords,
        splitSpecialTokens: options.split_special_tokens ?? undefined,
        ...cut,
      };
      const windows = overflows
        ? this.text.encodeWindows(value, { ...encodeOptions, stride })
        : [this.text.encode(value, encodeOptions)];
      for (const window of windows) {
        encodings.push(window);
        samples.push(sample);
      }
    }
    const canPad = this.pad_token_id !== undefined;
    const batch = new PaddedBatch(encodings, { padding, maxLength, multiple, side: this.padding_side, canPad });
    return this.#fields(batch, samples, options, isBatched || overflows);
  }

  /**
   * What a call returns of a batch.
   * @param samples the index of the text of each row
   * @param isList whether lists have a row for each encoding; else they are those of the only one
   */
  #fields(batch: PaddedBatch, samples: number[], options: TokenizeOptions, isList: boolean) {
    const { lengths } = batch;
    const isTensor = options.return_tensor ?? true;
    if (isTensor && lengths.some(length => length !== lengths[0])) {
      throw new InputError({
        what: 'texts of several lengths make no tensor',
        actual: `${lengths.join(', ')} tokens`,
        next: 'Use `padding: true` (and `truncation: true`), or `return_tensor: false`.',
      });
    }
    const fields: Record<string, unknown> = {};
    const add = <T extends number | [number, number]>(
      name: string,
      filler: T,
      valuesOf: (encoding: Encoding) => T[],
    ) => {
      const rows = batch.rows(filler, valuesOf);
      const dims = [rows.length, lengths[0]!, ...(Array.isArray(filler) ? [2] : [])];
      fields[name] = isTensor ? new Tensor('int64', rows.flat(2), dims) : isList ? rows : rows[0];
    };
    add('input_ids', this.pad_token_id ?? 0, ({ ids }) => ids);
    add('attention_mask', 0, ({ ids }) => ids.map(() => 1));
    if (options.return_token_type_ids ?? this.return_token_type_ids) add('token_type_ids', 0, ({ typeIds }) => typeIds);
    if (options.return_special_tokens_mask) add('special_tokens_mask', 1, encoding => encoding.specialTokensMask);
    if (options.return_offsets_mapping) add('offset_mapping', [0, 0], ({ offsets }): [number, number][] => offsets);
    if (options.return_overflowing_tokens) {
      fields.overflow_to_sample_mapping = isTensor ? new Tensor('int64', samples, [samples.length]) : samples;
    }
    const word_ids = (row = 0) => {
      if (batch.encodings[row] === undefined) {
        throw wrong('the row', row, `a whole number from 0 to ${batch.encodings.length - 1}`);
      }
      return batch.row<number | null>(row, null, ({ wordIds }) => wordIds);
    };
    return Object.defineProperty(fields, 'word_ids', { value: word_ids, enumerable: false });
  }

  /** The ids of one text, or of a text and its pair. */
  encode(text: string, encodeOptions?: (Pick<TokenizeOptions, 'add_special_tokens'> & PairOption) | null): number[] {
    const options = checkNames('encode', encodeOptions, ['text_pair', 'add_special_tokens']);
    return this.text.encode(text, {
      pair: options.text_pair || undefined,
      addSpecialTokens: options.add_special_tokens,
    }).ids;
  }

  /** The tokens of one text, or of a text and its pair, as strings. */
  tokenize(text: string, tokenizeOptions?: { pair?: string | null; add_special_tokens?: boolean } | null): string[] {
    const { pair, add_special_tokens } = checkNames('tokenize', tokenizeOptions, ['pair', 'add_special_tokens']);
    return this.text.encode(text, { pair: pair || undefined, addSpecialTokens: add_special_tokens ?? false }).tokens;
  }

  /** The text of a list of ids, or of a tensor [T] or [1, T]. */
  decode(token_ids: Tensor | readonly (number | bigint)[], decodeOptions?: DecodeOptions | null): string {
    const options = checkNames('decode', decodeOptions, DECODE_OPTIONS);
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
    return mapped(tokens, token => this.text.tokenToId(token));
  }

  convert_ids_to_tokens(ids: number | bigint): string | undefined;
  convert_ids_to_tokens(ids: readonly (number | bigint)[]): (string | undefined)[];
  convert_ids_to_tokens(ids: number | bigint | readonly (number | bigint)[]) {
    return mapped(ids, id => this.text.idToToken(id));
  }
}

/** The result of a function for one value, or for each of a list. */
function mapped<T, R>(values: T | readonly T[], map: (value: T) => R): R | R[] {
  return Array.isArray(values) ? values.map((value: T) => map(value)) : map(values as T);
}

interface PairOption {
  text_pair?: string | null;
}

export interface TokenizerSaveOptions {
  /** Aborts the saving: it rejects at once with the signal's reason. */
  signal?: AbortSignal;
}

export interface DecodeOptions {
  skip_special_tokens?: boolean;
  clean_up_tokenization_spaces?: boolean | null;
}
