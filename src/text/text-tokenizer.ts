import { InputError, wrong } from '../errors.ts';
import { Fields, isRecord, isText, isWhole } from '../json.ts';
import { type SectionFinder, sectionFinder } from './added-tokens.ts';
import { addedVocabulary } from './added-vocabulary.ts';
import { type AlignedText, span } from './aligned-text.ts';
import { maxLengthOf, sideOf, withBounds, withClassSettings } from './class-settings.ts';
import { buildDecoder, type Decoder } from './decoder.ts';
import type { Encoding } from './encoding.ts';
import { TOKENIZER_CONFIG_FILE, TOKENIZER_FILE } from './json-files.ts';
import { buildNormalizer } from './normalizer.ts';
import { buildPostProcessor, type Part, type PostProcessor, type Token } from './post-processor.ts';
import { buildPreTokenizer, type PreTokenizer } from './pre-tokenizer.ts';
import { type SpecialTokens, specialTokens } from './special-tokens.ts';
import { tokenizerClassOf } from './tokenizer-class.ts';
import type { Piece, VocabularyModel } from './vocabulary.ts';
import { buildVocabularyModel } from './vocabulary-model.ts';
import { type TruncationSide, type TruncationStrategy, truncated, truncatedLengths, windows } from './windows.ts';

/** A text, or the words of one: see EncodeOptions.isSplitIntoWords. */
export type TextInput = string | readonly string[];

export interface EncodeOptions {
  /** A second text: the passage of a question, for example. */
  pair?: TextInput | null;
  /** Whether to add [CLS], [SEP] and the like. Default: true. */
  addSpecialTokens?: boolean;
  /** The most tokens that an encoding may have, special tokens included. Default: no limit. */
  maxLength?: number;
  /** Which of the two texts is cut, on the side `truncationSide`, if they are too long. Default: "longest_first". */
  truncation?: TruncationStrategy;
  /** Whether the text, and its pair, is a list of its words. Then offsets count from the start of the word, and word ids are indices into the list. */
  isSplitIntoWords?: boolean;
  /** Whether special tokens that are written in a text are read as plain text. Default: `split_special_tokens` of tokenizer_config.json, else false. */
  splitSpecialTokens?: boolean;
  /** The advice in the error for a `truncation` that cannot make the tokens fit. */
  remedy?: string;
}

/**
 * The tokenizer that a tokenizer.json describes. Ids, tokens and offsets are those of the Rust tokenizers
 * (huggingface/tokenizers). Offsets count UTF-16 units, so that `text.slice(start, end)` is the text of a token.
 * A lone surrogate is read as U+FFFD.
 */
export class TextTokenizer {
  /** The pad, unk, cls, sep, mask, bos and eos tokens that the tokenizer has. */
  readonly special: SpecialTokens;
  readonly allSpecialIds: readonly number[];
  /** `model_max_length` of tokenizer_config.json, or `max_len`; Infinity if it is missing. Many files have 1e30. */
  readonly modelMaxLength: number;
  readonly truncationSide: TruncationSide;
  readonly paddingSide: 'left' | 'right';
  /** Whether texts in words are refused: the tokenizer puts no space before a word, so it would join them. */
  readonly refusesWords: boolean;
  /** The mark of a token that continues a word ("##"); undefined if the model has none. */
  readonly continuingSubwordPrefix: string | undefined;

  /** The id of the model's token for what is not in its vocabulary; undefined if it has none. */
  readonly unknownId: number | undefined;
  /** `max_length` of `truncation` in tokenizer.json; Infinity without. The tokenizers library applies it, transformers does not. */
  readonly truncationLength: number;

  readonly #className: unknown;
  readonly #splitsSpecialTokens: boolean;
  readonly #ids = new Map<string, number>();
  /** By id; some ids may have no token. */
  readonly #tokens: (string | undefined)[] = [];
  readonly #specialIds: ReadonlySet<number>;
  readonly #findSections: SectionFinder;
  readonly #cutWords: PreTokenizer;
  readonly #model: VocabularyModel;
  readonly #postProcessor: PostProcessor;
  readonly #decode: Decoder;

  /**
   * @param tokenizerJson tokenizer.json, parsed. Of its `truncation` and `padding` only the sides are applied, as in Python.
   * @param tokenizerConfig tokenizer_config.json, parsed. Its `tokenizer_class` decides which other settings of it are applied, as in
   * Python.
   * @throws SourceError if a file is malformed; UnsupportedError if a component is of an unknown type
   */
  constructor(tokenizerJson: unknown, tokenizerConfig: unknown) {
    const file = new Fields(tokenizerJson, '', TOKENIZER_FILE);
    const config = new Fields(tokenizerConfig ?? {}, '', TOKENIZER_CONFIG_FILE);
    const { tokenizer_class: className } = config.json;
    const tokenizerClass = tokenizerClassOf(isText(className) ? className : undefined);
    const json = withClassSettings(file.json, config, tokenizerClass);
    this.#className = className;
    this.#model = buildVocabularyModel(json.model);
    this.#cutWords = buildPreTokenizer(json.pre_tokenizer);
    this.#decode = buildDecoder(json.decoder);
    const { tokens: added, roles } = addedVocabulary(file, config, tokenizerClass, this.#model.ids);
    this.#findSections = sectionFinder(added, buildNormalizer(json.normalizer));
    for (const [token, id] of this.#model.ids) this.#addToken(token, id);
    for (const { content, id } of added) this.#addToken(content, id);

    this.special = specialTokens(roles, this.#ids);
    this.#postProcessor = buildPostProcessor(withBounds(json.post_processor, config, tokenizerClass, this.special));
    this.allSpecialIds = added.filter(({ special }) => special).map(({ id }) => id);
    this.#specialIds = new Set(this.allSpecialIds);
    this.#splitsSpecialTokens = config.flag('split_special_tokens', false);
    this.modelMaxLength = maxLengthOf(config);
    this.truncationSide = sideOf(config, 'truncation_side', json.truncation);
    this.paddingSide = sideOf(config, 'padding_side', json.padding, tokenizerClass?.paddingSide);
    this.refusesWords = tokenizerClass?.needsPrefixSpace === true && !config.flag('add_prefix_space', false);
    this.continuingSubwordPrefix = this.#model.continuingSubwordPrefix;
    this.unknownId = unknownIdOf(json.model, this.#ids);
    const { truncation } = file.json;
    const maxLength = isRecord(truncation) ? truncation.max_length : undefined;
    this.truncationLength = isWhole(maxLength) ? maxLength : Number.POSITIVE_INFINITY;
  }

  get vocabSize(): number {
    return this.#ids.size;
  }

  /** All tokens, the added ones included. */
  get vocabulary(): Iterable<string> {
    return this.#ids.keys();
  }

  /** The tokens of a text, or of a text and its pair. Throws InputError for what is no string and no list of strings. */
  encode(text: TextInput, options: EncodeOptions = {}): Encoding {
    const [encoding] = this.#encodeAll(text, options, (tokens, size) => [truncated(tokens, size, this.truncationSide)]);
    return encoding!;
  }

  /**
   * All of a long text, as several encodings: the result of `encode` first, then what it cuts off. Each encoding overlaps the one
   * before by `stride` tokens (default: 0). Order and content are those of Python's `return_overflowing_tokens`.
   */
  encodeWindows(text: TextInput, { stride = 0, ...options }: EncodeOptions & { stride?: number } = {}): Encoding[] {
    if (!isWhole(stride)) throw wrong('the stride', stride, 'a whole number');
    return this.#encodeAll(text, options, (tokens, size) =>
      windows(tokens, { size, stride, side: this.truncationSide }),
    );
  }

  /** The text of a list of ids, as the Rust tokenizers give it. Ids without a token are left out. */
  decode(ids: Iterable<number | bigint>, { skipSpecialTokens = false }: { skipSpecialTokens?: boolean } = {}): string {
    const decoded = Array.from(ids, Number).filter(
      id => this.#tokens[id] !== undefined && !(skipSpecialTokens && this.#specialIds.has(id)),
    );
    return this.joinTokens(decoded.map(id => this.#tokens[id]!));
  }

  /** The text of a list of tokens, as the decoder of the Rust tokenizers joins them. */
  joinTokens(tokens: readonly string[]): string {
    return this.#decode(tokens).join('');
  }

  tokenToId(token: string): number | undefined {
    return this.#ids.get(token);
  }

  idToToken(id: number | bigint): string | undefined {
    return this.#tokens[Number(id)];
  }

  #addToken(token: string, id: number): void {
    this.#ids.set(token, id);
    this.#tokens[id] = token;
  }

  /** The words of a text that is encoded: the whole text as a single one, or those of a list. */
  #wordsOf(text: TextInput, name: string, isSplitIntoWords: boolean): readonly string[] {
    const words: unknown = isSplitIntoWords ? text : [text];
    if (!Array.isArray(words) || !words.every(isText)) {
      throw wrong(`the ${name}`, text, isSplitIntoWords ? 'a list of strings, its words' : 'a string');
    }
    if (isSplitIntoWords && this.refusesWords) {
      throw new InputError({
        what: `${this.#className} takes no words that are given`,
        actual: 'no add_prefix_space in tokenizer_config.json',
        next: 'Save the tokenizer with add_prefix_space: true, or give the text as a string.',
      });
    }
    return words;
  }

  /** The tokens of one text, without special tokens around them. */
  #tokenize(text: TextInput, name: string, { isSplitIntoWords = false, splitSpecialTokens }: EncodeOptions): Part {
    const splitsSpecialTokens = splitSpecialTokens ?? this.#splitsSpecialTokens;
    const tokens: Token[] = [];
    let word = 0;
    for (const [index, part] of this.#wordsOf(text, name, isSplitIntoWords).entries()) {
      const original = part.replace(/\p{Surrogate}/gu, '\ufffd');
      const add = (source: AlignedText, pieces: readonly Piece[]) => {
        if (isSplitIntoWords) word = index;
        for (const { id, token, start, end } of pieces) {
          tokens.push({ id, token, offset: span(source, original, start, end), word });
        }
        word++;
      };
      for (const { text: section, token: added } of this.#findSections(original, splitsSpecialTokens)) {
        if (added === undefined) {
          for (const source of this.#cutWords(section)) add(source, this.#model.pieces(source.text));
        } else {
          add(section, [{ id: added.id, token: section.text, start: 0, end: section.text.length }]);
        }
      }
    }
    return { text, tokens };
  }

  /** @param windowsOf cuts the tokens of one text into windows, the first of which has `size` tokens */
  #encodeAll(
    text: TextInput,
    options: EncodeOptions,
    windowsOf: (tokens: readonly Token[], size: number) => Token[][],
  ): Encoding[] {
    const { pair, addSpecialTokens = true, maxLength = Number.POSITIVE_INFINITY, truncation, remedy } = options;
    const parts = [this.#tokenize(text, 'text', options)];
    if (pair !== undefined && pair !== null) parts.push(this.#tokenize(pair, 'pair', options));
    const specials = addSpecialTokens ? this.#postProcessor.addedTokens(parts.length) : 0;
    const room = maxLength - specials;
    if (!(room >= 0)) {
      throw wrong('the greatest length', maxLength, `at least ${specials || 'a number'}, for the special tokens`);
    }
    const lengths = parts.map(({ tokens }) => tokens.length);
    const kept = truncatedLengths(lengths, room, { truncation, remedy });
    const isTruncated = lengths.some((length, i) => length > kept[i]!);
    const [first = [], second] = parts.map(({ text, tokens }, i) =>
      windowsOf(tokens, kept[i]!).map((tokens): Part => ({ text, tokens })),
    );
    const join = (...joined: Part[]) => this.#postProcessor.join(joined, addSpecialTokens, isTruncated);
    if (second === undefined) return first.map(part => join(part));
    // The first windows of both, then the others of the first text with all of the second, then the first with the others of the second.
    const [head, ...rest] = first;
    return [
      join(head!, second[0]!),
      ...rest.flatMap(a => second.map(b => join(a, b))),
      ...second.slice(1).map(b => join(head!, b)),
    ];
  }
}

/** By its id (Unigram), or by its token (all other models). */
function unknownIdOf(model: unknown, ids: ReadonlyMap<string, number>): number | undefined {
  const { unk_id: id, unk_token: token } = isRecord(model) ? model : {};
  if (isWhole(id)) return id;
  return isText(token) ? ids.get(token) : undefined;
}
