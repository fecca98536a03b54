import { wrong } from '../errors.ts';
import { Fields, isText, isWhole } from '../fields.ts';
import { readAddedTokens, sectionFinder } from './added-tokens.ts';
import { type AlignedText, span } from './aligned-text.ts';
import { buildDecoder } from './decoder.ts';
import type { Encoding } from './encoding.ts';
import { buildModel } from './model.ts';
import { buildNormalizer } from './normalizer.ts';
import { buildPostProcessor, type Part, type Token } from './post-processor.ts';
import { buildPreTokenizer } from './pre-tokenizer.ts';
import { readSpecialTokens, type SpecialTokens } from './special-tokens.ts';
import type { Piece } from './vocabulary.ts';
import { type TruncationStrategy, truncatedLengths, windows } from './windows.ts';

export interface EncodeOptions {
  /** A second text, as a question's passage is. */
  pair?: string | null;
  /** Whether to add [CLS], [SEP] and the like; true unless told. */
  addSpecialTokens?: boolean;
  /** The most tokens there may be, special tokens included; no limit unless told. */
  maxLength?: number;
  /** Which of the two texts is cut on its right where they are too long; "longest_first" unless told. */
  truncation?: TruncationStrategy;
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
  /** `model_max_length` of tokenizer_config.json; Infinity where it is missing, and 1e30 in many a file. */
  readonly modelMaxLength: number;
  readonly vocabSize: number;
  /** What marks a token that goes on inside of a word ("##"), where the model has such a mark. */
  readonly continuingSubwordPrefix: string | undefined;

  /** The tokens of a text, or of a text and its pair. Throws InputError for what is not a string. */
  encode(text: string, options?: EncodeOptions): Encoding;
  /**
   * All of a long text, as several encodings: what `encode` gives, then what it would cut off, each overlapping the one
   * before by `stride` tokens (0 unless told). Order and content are those of Python's `return_overflowing_tokens`.
   */
  encodeWindows(text: string, options?: EncodeOptions & { stride?: number }): Encoding[];
  /** The text of some ids, as the Rust tokenizers give it. Ids that are in no vocabulary are left out. */
  decode(ids: Iterable<number | bigint>, options?: { skipSpecialTokens?: boolean }): string;
  /** The text of some tokens, as the Rust tokenizers' decoder joins them. */
  joinTokens(tokens: readonly string[]): string;
  tokenToId(token: string): number | undefined;
  idToToken(id: number | bigint): string | undefined;
}

/**
 * @param tokenizerJson tokenizer.json, parsed. Its own `truncation` and `padding` are not applied, as in Python.
 * @param tokenizerConfig tokenizer_config.json, parsed.
 * @throws SourceError where the file is malformed; UnsupportedError where a part of it is of an unknown type.
 */
export function buildTokenizer(tokenizerJson: unknown, tokenizerConfig: unknown): TextTokenizer {
  const file = new Fields(tokenizerJson, '');
  const { json } = file;
  const config = new Fields(tokenizerConfig ?? {}, '', 'tokenizer_config.json');
  const model = buildModel(json.model);
  const cutWords = buildPreTokenizer(json.pre_tokenizer);
  const postProcessor = buildPostProcessor(json.post_processor);
  const decode = buildDecoder(json.decoder);
  const joinTokens = (joined: readonly string[]) => decode(joined).join('');
  const added = readAddedTokens(file);
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

  const tokenize = (text: string, name: string): Part => {
    if (!isText(text)) throw wrong(`the ${name}`, text, 'a string');
    const well = text.replace(/\p{Surrogate}/gu, '\ufffd');
    const found: Token[] = [];
    let word = 0;
    const add = (piece: AlignedText, pieces: readonly Piece[]) => {
      for (const { id, token, start, end } of pieces) {
        found.push({ id, token, offset: span(piece, well, start, end), word });
      }
      word++;
    };
    for (const { text: part, token } of findSections(well)) {
      if (token) add(part, [{ id: token.id, token: part.text, start: 0, end: part.text.length }]);
      else for (const piece of cutWords(part)) add(piece, model.pieces(piece.text));
    }
    return { text, tokens: found };
  };

  /** Encodings of what `windowsOf` chooses of each text, given how many tokens it has and how many of them fit. */
  const encodeAll = (
    text: string,
    options: EncodeOptions,
    windowsOf: (tokens: readonly Token[], size: number) => Token[][],
  ): Encoding[] => {
    const {
      pair,
      addSpecialTokens = true,
      maxLength = Number.POSITIVE_INFINITY,
      truncation = 'longest_first',
    } = options;
    const parts = [tokenize(text, 'text')];
    if (pair !== undefined && pair !== null) parts.push(tokenize(pair, 'pair'));
    const room = maxLength - (addSpecialTokens ? postProcessor.addedTokens(parts.length) : 0);
    if (!(room >= 0)) {
      const least = `at least ${maxLength - room || 'a number'}, for the special tokens`;
      throw wrong('the greatest length', maxLength, least);
    }
    const counts = parts.map(part => part.tokens.length);
    const lengths = truncatedLengths(counts, room, truncation);
    const truncated = counts.some((count, i) => count > lengths[i]!);
    const [first = [], second] = parts.map(({ text, tokens }, i) =>
      windowsOf(tokens, lengths[i]!).map(tokens => ({ text, tokens })),
    );
    const join = (...joined: Part[]) => postProcessor.join(joined, addSpecialTokens, truncated);
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
    special: readSpecialTokens(config, ids),
    allSpecialIds,
    modelMaxLength: config.get('model_max_length', isPositive, 'a positive number', Number.POSITIVE_INFINITY),
    vocabSize: ids.size,
    continuingSubwordPrefix: model.continuingSubwordPrefix,
    encode: (text, options = {}) => encodeAll(text, options, (tokens, size) => [tokens.slice(0, size)])[0]!,
    encodeWindows: (text, { stride = 0, ...options } = {}) => {
      if (!isWhole(stride)) throw wrong('the stride', stride, 'a whole number');
      return encodeAll(text, options, (tokens, size) => windows(tokens, size, stride));
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

const isPositive = (value: unknown): value is number => typeof value === 'number' && value > 0;
