import { InputError, wrong } from '../errors.ts';
import { Fields, isText, isWhole } from '../json.ts';
import { sectionFinder } from './added-tokens.ts';
import { addedVocabulary } from './added-vocabulary.ts';
import { type AlignedText, span } from './aligned-text.ts';
import { configured, maxLengthOf, sideOf } from './configured.ts';
import { buildDecoder } from './decoder.ts';
import type { Encoding } from './encoding.ts';
import { TOKENIZER_CONFIG_FILE, TOKENIZER_FILE } from './json-files.ts';
import { buildModel } from './model.ts';
import { buildNormalizer } from './normalizer.ts';
import { buildPostProcessor, type Part, type Token } from './post-processor.ts';
import { buildPreTokenizer } from './pre-tokenizer.ts';
import { type SpecialTokens, specialTokens } from './special-tokens.ts';
import { tokenizerClass } from './tokenizer-class.ts';
import type { Piece } from './vocabulary.ts';
import { type TruncationSide, type TruncationStrategy, truncated, truncatedLengths, windows } from './windows.ts';

/** A text, or the words of one: see EncodeOptions.isSplitIntoWords. */
export type TextInput = string | readonly string[];

export interface EncodeOptions {
  /** A second text, as a question's passage is. */
  pair?: TextInput | null;
  /** Whether to add [CLS], [SEP] and the like; true unless told. */
  addSpecialTokens?: boolean;
  /** The most tokens there may be, special tokens included; no limit unless told. */
  maxLength?: number;
  /** Which of the two texts is cut, on the side `truncationSide`, where they are too long; "longest_first" unless told. */
  truncation?: TruncationStrategy;
  /** Whether a text, and its pair, is a list of its words. Then offsets are those in a word, and word ids the places of the words. */
  isSplitIntoWords?: boolean;
  /** Whether special tokens that stand in a text are text like any other; false unless told. */
  splitSpecialTokens?: boolean;
  /** What an error says can be done where `truncation` cannot make the tokens fit. */
  remedy?: string;
}

/**
 * The tokenizer that a tokenizer.json describes. Ids, tokens and offsets are those of the Rust tokenizers
 * (huggingface/tokenizers), offsets in UTF-16 units so that `text.slice(start, end)` is what a token stands for.
 * A lone surrogate counts as U+FFFD.
 */
export interface TextTokenizer {
  /** The pad, unk, cls, sep, mask, bos and eos tokens, each only where the tokenizer has it. */
  readonly special: SpecialTokens;
  readonly allSpecialIds: readonly number[];
  /** `model_max_length` of tokenizer_config.json, or `max_len`; Infinity where it is missing, and 1e30 in many a file. */
  readonly modelMaxLength: number;
  readonly truncationSide: TruncationSide;
  readonly paddingSide: 'left' | 'right';
  readonly vocabSize: number;
  /** Whether given words are refused: the tokenizer would take them for one word, for it puts no space before them. */
  readonly refusesWords: boolean;
  /** What marks a token that goes on inside of a word ("##"), where the model has such a mark. */
  readonly continuingSubwordPrefix: string | undefined;

  /** The tokens of a text, or of a text and its pair. Throws InputError for what is no string and no list of strings. */
  encode(text: TextInput, options?: EncodeOptions): Encoding;
  /**
   * All of a long text, as several encodings: what `encode` gives, then what it would cut off, each overlapping the one
   * before by `stride` tokens (0 unless told). Order and content are those of Python's `return_overflowing_tokens`.
   */
  encodeWindows(text: TextInput, options?: EncodeOptions & { stride?: number }): Encoding[];
  /** The text of some ids, as the Rust tokenizers give it. Ids that are in no vocabulary are left out. */
  decode(ids: Iterable<number | bigint>, options?: { skipSpecialTokens?: boolean }): string;
  /** The text of some tokens, as the Rust tokenizers' decoder joins them. */
  joinTokens(tokens: readonly string[]): string;
  tokenToId(token: string): number | undefined;
  idToToken(id: number | bigint): string | undefined;
}

/**
 * @param tokenizerJson tokenizer.json, parsed. Of its own `truncation` and `padding` only the sides are applied, as in Python.
 * @param tokenizerConfig tokenizer_config.json, parsed. Its `tokenizer_class` says what else of it is applied, as in Python.
 * @throws SourceError where the file is malformed; UnsupportedError where a part of it is of an unknown type.
 */
export function buildTokenizer(tokenizerJson: unknown, tokenizerConfig: unknown): TextTokenizer {
  const file = new Fields(tokenizerJson, '', TOKENIZER_FILE);
  const config = new Fields(tokenizerConfig ?? {}, '', TOKENIZER_CONFIG_FILE);
  const { tokenizer_class: named } = config.json;
  const known = tokenizerClass(isText(named) ? named : undefined);
  const json = configured(file.json, config, known);
  const model = buildModel(json.model);
  const cutWords = buildPreTokenizer(json.pre_tokenizer);
  const postProcessor = buildPostProcessor(json.post_processor);
  const decode = buildDecoder(json.decoder);
  const joinTokens = (joined: readonly string[]) => decode(joined).join('');
  const { tokens: added, roles } = addedVocabulary(file, config, known, model.ids);
  const findSections = sectionFinder(added, buildNormalizer(json.normalizer));

  const ids = new Map<string, number>();
  const tokens: (string | undefined)[] = [];
  const addToken = (token: string, id: number) => {
    ids.set(token, id);
    tokens[id] = token;
  };
  for (const [token, id] of model.ids) addToken(token, id);
  for (const { content, id } of added) addToken(content, id);
  const allSpecialIds = added.filter(({ special }) => special).map(({ id }) => id);
  const specialIds = new Set(allSpecialIds);

  const splitsByDefault = config.flag('split_special_tokens', false);
  const truncationSide = sideOf(config, 'truncation_side', json.truncation);
  const refusesWords = known?.needsPrefixSpace === true && !config.flag('add_prefix_space', false);

  const tokenize = (text: TextInput, name: string, { isSplitIntoWords, splitSpecialTokens }: EncodeOptions): Part => {
    const words = isSplitIntoWords ? text : [text];
    if (!Array.isArray(words) || !words.every(isText)) {
      throw wrong(`the ${name}`, text, isSplitIntoWords ? 'a list of strings, its words' : 'a string');
    }
    if (isSplitIntoWords && refusesWords) {
      throw new InputError({
        what: `${named} takes no words that are given`,
        actual: 'no add_prefix_space in tokenizer_config.json',
        next: 'Save the tokenizer with add_prefix_space: true, or give the text as a string.',
      });
    }
    const splitsSpecial = splitSpecialTokens ?? splitsByDefault;
    const found: Token[] = [];
    let word = 0;
    const add = (piece: AlignedText, pieces: readonly Piece[], well: string) => {
      for (const { id, token, start, end } of pieces) {
        found.push({ id, token, offset: span(piece, well, start, end), word });
      }
    };
    for (const [i, part] of words.entries()) {
      const well = part.replace(/\p{Surrogate}/gu, '\ufffd');
      for (const { text: section, token } of findSections(well, splitsSpecial)) {
        const whole = token && [{ id: token.id, token: section.text, start: 0, end: section.text.length }];
        for (const piece of token ? [section] : cutWords(section)) {
          if (isSplitIntoWords) word = i;
          add(piece, whole ?? model.pieces(piece.text), well);
          word++;
        }
      }
    }
    return { text, tokens: found };
  };

  /** Encodings of what `windowsOf` chooses of each text, given how many tokens it has and how many of them fit. */
  const encodeAll = (
    text: TextInput,
    options: EncodeOptions,
    windowsOf: (tokens: readonly Token[], size: number) => Token[][],
  ): Encoding[] => {
    const {
      pair,
      addSpecialTokens = true,
      maxLength = Number.POSITIVE_INFINITY,
      truncation = 'longest_first',
      remedy,
    } = options;
    const parts = [tokenize(text, 'text', options)];
    if (pair !== undefined && pair !== null) parts.push(tokenize(pair, 'pair', options));
    const room = maxLength - (addSpecialTokens ? postProcessor.addedTokens(parts.length) : 0);
    if (!(room >= 0)) {
      const least = `at least ${maxLength - room || 'a number'}, for the special tokens`;
      throw wrong('the greatest length', maxLength, least);
    }
    const counts = parts.map(part => part.tokens.length);
    const lengths = truncatedLengths(counts, room, truncation, remedy);
    const isTruncated = counts.some((count, i) => count > lengths[i]!);
    const [first = [], second] = parts.map(({ text, tokens }, i) =>
      windowsOf(tokens, lengths[i]!).map(tokens => ({ text, tokens })),
    );
    const join = (...joined: Part[]) => postProcessor.join(joined, addSpecialTokens, isTruncated);
    if (second === undefined) return first.map(part => join(part));
    // The first of both, the rest of the first with all of the second, the first with the rest of the second.
    const [head, ...rest] = first;
    return [
      join(head!, second[0]!),
      ...rest.flatMap(a => second.map(b => join(a, b))),
      ...second.slice(1).map(b => join(head!, b)),
    ];
  };

  return {
    special: specialTokens(roles, ids),
    allSpecialIds,
    modelMaxLength: maxLengthOf(config),
    truncationSide,
    paddingSide: sideOf(config, 'padding_side', json.padding),
    vocabSize: ids.size,
    refusesWords,
    continuingSubwordPrefix: model.continuingSubwordPrefix,
    encode: (text, options = {}) =>
      encodeAll(text, options, (tokens, size) => [truncated(tokens, size, truncationSide)])[0]!,
    encodeWindows: (text, { stride = 0, ...options } = {}) => {
      if (!isWhole(stride)) throw wrong('the stride', stride, 'a whole number');
      return encodeAll(text, options, (tokens, size) => windows(tokens, size, stride, truncationSide));
    },
    decode: (given, { skipSpecialTokens } = {}) => {
      const known = Array.from(given, Number).filter(
        id => tokens[id] !== undefined && !(skipSpecialTokens && specialIds.has(id)),
      );
      return joinTokens(known.map(id => tokens[id]!));
    },
    joinTokens,
    tokenToId: token => ids.get(token),
    idToToken: id => tokens[Number(id)],
  };
}
