import { wrong } from '../errors.ts';
import { Fields, isText, isWhole, type Json, malformed } from '../fields.ts';
import { readAddedTokens, type Section, sectionFinder } from './added-tokens.ts';
import { AlignedText } from './aligned-text.ts';
import { buildDecoder, type Decoder } from './decoder.ts';
import type { Encoding } from './encoding.ts';
import { buildModel } from './model.ts';
import { buildNormalizer } from './normalizer.ts';
import { type Part, PostProcessor, type Token } from './post-processor.ts';
import { buildPreTokenizer, type PreTokenizer } from './pre-tokenizer.ts';
import { readSpecialTokens, type SpecialTokens } from './special-tokens.ts';
import type { Model } from './vocabulary.ts';
import { type TruncationStrategy, truncatedLengths, windows } from './windows.ts';

export interface EncodeOptions {
  /** A second text, as a question's passage is. */
  pair?: string;
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
export class TextTokenizer {
  /** The pad, unk, cls, sep, mask, bos and eos tokens, each only where the tokenizer has it. */
  readonly special: SpecialTokens;
  readonly allSpecialIds: readonly number[];
  /** `model_max_length` of tokenizer_config.json; Infinity where it is missing, and 1e30 in many a file. */
  readonly modelMaxLength: number;
  readonly vocabSize: number;
  /** What marks a token that goes on inside of a word ("##"), where the model has such a mark. */
  readonly continuingSubwordPrefix: string | undefined;

  private readonly sections: (text: string) => Section[];
  private readonly words: PreTokenizer;
  private readonly model: Model;
  private readonly postProcessor: PostProcessor;
  private readonly decoder: Decoder;
  private readonly ids: ReadonlyMap<string, number>;
  private readonly tokens: readonly (string | undefined)[];
  private readonly specialIds: ReadonlySet<number>;

  /**
   * @param tokenizerJson tokenizer.json, parsed. Its own `truncation` and `padding` are not applied, as in Python.
   * @param tokenizerConfig tokenizer_config.json, parsed.
   * @throws SourceError where the file is malformed; UnsupportedError where a part of it is of an unknown type.
   */
  constructor(tokenizerJson: unknown, tokenizerConfig: unknown) {
    const { json } = new Fields(tokenizerJson, '');
    const { json: config } = new Fields(tokenizerConfig ?? {}, '', 'tokenizer_config.json');
    this.model = buildModel(json.model);
    this.words = buildPreTokenizer(json.pre_tokenizer);
    this.postProcessor = new PostProcessor(json.post_processor);
    this.decoder = buildDecoder(json.decoder);
    const added = readAddedTokens(json.added_tokens);
    this.sections = sectionFinder(added, buildNormalizer(json.normalizer), AlignedText.of);

    const ids = new Map(this.model.ids);
    for (const { content, id } of added) ids.set(content, id);
    const tokens: string[] = [];
    for (const [token, id] of ids) tokens[id] = token;
    for (const { content, id } of added) tokens[id] = content;
    this.ids = ids;
    this.tokens = tokens;
    this.vocabSize = ids.size;
    this.continuingSubwordPrefix = this.model.continuingSubwordPrefix;
    this.allSpecialIds = added.filter(({ special }) => special).map(({ id }) => id);
    this.specialIds = new Set(this.allSpecialIds);
    this.special = readSpecialTokens(config, token => this.ids.get(token));
    this.modelMaxLength = readMaxLength(config);
  }

  /** The tokens of a text, or of a text and its pair. Throws InputError for what is not a string. */
  encode(text: string, options: EncodeOptions = {}): Encoding {
    const { parts, lengths, addSpecialTokens, truncated } = this.fit(text, options);
    const kept = parts.map((part, i) => cut(part, 0, lengths[i]!));
    return this.postProcessor.join(kept, addSpecialTokens, truncated);
  }

  /**
   * All of a long text, as several encodings: what `encode` gives, then what it would cut off, each overlapping the one
   * before by `stride` tokens (0 unless told). Order and content are those of Python's `return_overflowing_tokens`.
   */
  encodeWindows(text: string, options: EncodeOptions & { stride?: number } = {}): Encoding[] {
    const { parts, lengths, addSpecialTokens, truncated } = this.fit(text, options);
    const stride = options.stride ?? 0;
    if (!isWhole(stride)) throw wrong('the stride', stride, 'a whole number');
    const [first = [], second] = parts.map((part, i) =>
      windows(part.tokens.length, lengths[i]!, stride).map(({ start, end }) => cut(part, start, end)),
    );
    const join = (...joined: Part[]) => this.postProcessor.join(joined, addSpecialTokens, truncated);
    if (second === undefined) return first.map(part => join(part));
    // The first of both, the rest of the first with all of the second, the first with the rest of the second.
    const [head, ...rest] = first;
    return [
      join(head!, second[0]!),
      ...rest.flatMap(a => second.map(b => join(a, b))),
      ...second.slice(1).map(b => join(head!, b)),
    ];
  }

  /** The text of some ids, as the Rust tokenizers give it. Ids that are in no vocabulary are left out. */
  decode(ids: Iterable<number | bigint>, options: { skipSpecialTokens?: boolean } = {}): string {
    const tokens: string[] = [];
    for (const id of ids) {
      const token = this.tokens[Number(id)];
      if (token === undefined || (options.skipSpecialTokens && this.specialIds.has(Number(id)))) continue;
      tokens.push(token);
    }
    return this.decoder(tokens).join('');
  }

  /** The text of some tokens, as the Rust tokenizers' decoder joins them. */
  joinTokens(tokens: readonly string[]): string {
    return this.decoder([...tokens]).join('');
  }

  tokenToId(token: string): number | undefined {
    return this.ids.get(token);
  }

  idToToken(id: number): string | undefined {
    return this.tokens[id];
  }

  /** Tokenises both texts and says how many tokens of each may stay. */
  private fit(text: string, options: EncodeOptions) {
    const {
      pair,
      addSpecialTokens = true,
      maxLength = Number.POSITIVE_INFINITY,
      truncation = 'longest_first',
    } = options;
    const parts = [this.part(text, 'text')];
    if (pair !== undefined && pair !== null) parts.push(this.part(pair, 'pair'));
    const room = maxLength - (addSpecialTokens ? this.postProcessor.addedTokens(parts.length) : 0);
    if (!(room >= 0)) {
      throw wrong(
        'the greatest length',
        maxLength,
        `at least ${maxLength - room || 'a number'}, for the special tokens`,
      );
    }
    const lengths = truncatedLengths(
      parts.map(part => part.tokens.length),
      room,
      truncation,
    );
    const truncated = parts.some((part, i) => part.tokens.length > lengths[i]!);
    return { parts, lengths, addSpecialTokens, truncated };
  }

  private part(text: string, name: string): Part {
    if (!isText(text)) throw wrong(`the ${name}`, text, 'a string');
    const tokens: Token[] = [];
    let word = 0;
    const add = (id: number, token: string, { starts, ends }: AlignedText, start: number, end: number) =>
      tokens.push({ id, token, offset: [starts[start]!, ends[end - 1]!], word });
    for (const { text: found, token } of this.sections(text.replace(/\p{Surrogate}/gu, '\ufffd'))) {
      if (token) {
        add(token.id, found.text, found, 0, found.text.length);
        word++;
      } else {
        for (const piece of this.words(found)) {
          for (const { id, token, start, end } of this.model.pieces(piece.text)) add(id, token, piece, start, end);
          word++;
        }
      }
    }
    return { text, tokens };
  }
}

const cut = ({ text, tokens }: Part, start: number, end: number): Part => ({ text, tokens: tokens.slice(start, end) });

function readMaxLength(config: Json): number {
  const value = config.model_max_length ?? Number.POSITIVE_INFINITY;
  if (typeof value === 'number' && value > 0) return value;
  throw malformed('model_max_length', value, 'a positive number', 'tokenizer_config.json');
}
