import { SourceError } from '../errors.ts';
import { Fields, isRecord, isText, type Json } from '../json.ts';
import { addedVocabulary } from './added-vocabulary.ts';
import { TOKENIZER_CONFIG_FILE, TOKENIZER_FILE } from './json-files.ts';
import { literal } from './pattern/index.ts';
import { type NumberedToken, templateProcessing, textPiece, tokenPiece } from './template.ts';
import { ROLES, type TokenizerClass } from './tokenizer-class.ts';

/** The contents of the files that a tokenizer is made from if there is no tokenizer.json. */
export interface VocabularyFiles {
  /** The text of vocab.txt, or for a BPE model vocab.json, parsed. */
  readonly vocab: unknown;
  /** merges.txt, for a BPE model. */
  readonly merges?: string | undefined;
}

/** The names of the files that a class reads, the vocabulary first. */
export const vocabularyFileNames = ({ model }: TokenizerClass): readonly string[] =>
  model === 'BPE' ? ['vocab.json', 'merges.txt'] : ['vocab.txt'];

/**
 * The tokenizer.json that transformers 4.57 makes of vocabulary files. The settings of tokenizer_config.json are not applied to it yet.
 * Source: convert_slow_tokenizer.py.
 * @throws SourceError if a file is malformed or lacks a token that the class needs
 */
export function fromVocabularyFiles(files: VocabularyFiles, config: Json, tokenizerClass: TokenizerClass): Json {
  const ids = vocabularyOf(files.vocab, tokenizerClass);
  const vocab = Object.fromEntries(ids);
  const { tokens, roles } = addedVocabulary(
    new Fields({}, '', TOKENIZER_FILE),
    new Fields(config, '', TOKENIZER_CONFIG_FILE),
    tokenizerClass,
    ids,
  );
  const special: SpecialToken = role => {
    const content = roles[role];
    const id = tokens.find(token => token.content === content)?.id ?? ids.get(content ?? '');
    if (content && id !== undefined) return [content, id];
    throw lacking(
      vocabularyFileNames(tokenizerClass)[0]!,
      `the ${role} token`,
      `${role}_token of tokenizer_config.json`,
    );
  };
  const unknown = roles.unk ?? '[UNK]';
  if (tokenizerClass.model === 'WordLevel') {
    return {
      pre_tokenizer: wordsOfVocabulary([...ids.keys()]),
      model: { type: 'WordLevel', vocab, unk_token: unknown },
      post_processor: layout(tokenizerClass, config, special),
    };
  }
  if (tokenizerClass.model === 'BPE') {
    return {
      model: { type: 'BPE', vocab, merges: readMergesText(files.merges ?? ''), fuse_unk: false },
      pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false },
      post_processor: layout(tokenizerClass, config, special),
      decoder: { type: 'ByteLevel' },
    };
  }
  return {
    normalizer: {
      type: 'BertNormalizer',
      clean_text: true,
      handle_chinese_chars: config.tokenize_chinese_chars !== false && config.do_basic_tokenize !== false,
    },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    model: { type: 'WordPiece', vocab, unk_token: unknown },
    post_processor: layout(tokenizerClass, config, special),
    decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
  };
}

/**
 * tokenizer_config.json as Python reads it if there is no tokenizer.json. Python then makes a slow tokenizer first. In that, a token for
 * which the file has no `normalized` is normalised, unless the file marks it as special.
 */
export function slowConfig(config: Json, tokenizerClass: TokenizerClass | undefined): Json {
  const withNormalized = (value: unknown): unknown =>
    isRecord(value) && 'content' in value ? { normalized: value.special !== true, ...value } : value;
  const namesTokens = (key: string) => key.endsWith('_token') || key === 'additional_special_tokens';
  const flagged: Json = {};
  for (const role of ROLES) {
    const flags = tokenizerClass?.slowFlags?.[role];
    const content = config[`${role}_token`] === undefined ? tokenizerClass?.special[role] : config[`${role}_token`];
    if (flags && isText(content)) flagged[`${role}_token`] = { ...flags, content, normalized: true };
  }
  const entries = Object.entries({ ...config, ...flagged });
  const completed = (key: string, value: unknown) => {
    if (!namesTokens(key)) return value;
    return Array.isArray(value) ? value.map(withNormalized) : withNormalized(value);
  };
  return Object.fromEntries(entries.map(([key, value]) => [key, completed(key, value)]));
}

/** A special token that a layout needs. */
type SpecialToken = (role: 'cls' | 'sep' | 'bos' | 'eos') => NumberedToken;

/** @param setting the setting that names what is lacking */
function lacking(file: string, what: string, setting: string): SourceError {
  return new SourceError({
    file,
    what: `${file} lacks ${what}`,
    next: `Check that the file is whole, and ${setting}.`,
  });
}

/** The `post_processor` of a tokenizer.json that puts the special tokens of a class around a text and a pair. */
function layout({ layout }: TokenizerClass, config: Json, special: SpecialToken): Json {
  if (layout === 'RoBERTa') return { type: 'RobertaProcessing', cls: special('cls'), sep: special('sep') };
  if (layout === 'GPT-2') {
    if (config.add_bos_token !== true) return { type: 'ByteLevel', trim_offsets: false };
    const bos = special('bos');
    const start = [tokenPiece(bos, 0), textPiece('A')];
    return templateProcessing(start, [...start, textPiece('B')], [bos]);
  }
  const cls = special('cls');
  const sep = special(layout === 'ESM' ? 'eos' : 'sep');
  const single = [tokenPiece(cls, layout === 'Funnel' ? 2 : 0), textPiece('A'), tokenPiece(sep, 0)];
  const between = layout === 'MPNet' ? [tokenPiece(sep, 0)] : [];
  return templateProcessing(single, [...single, ...between, textPiece('B'), tokenPiece(sep, 1)], [cls, sep]);
}

/** The lines of a text, with Python's universal newlines. */
const lines = (text: string): string[] => text.split(/\r\n|\r|\n/);

/** Reads vocab.txt. Each line is a token, and its id is the number of the line, from 0. If a token is there twice, its last line counts. */
function readVocabText(text: unknown): Map<string, number> {
  if (!isText(text)) throw new Fields({}, '', 'vocab.txt').malformed(text, 'a text', '');
  const tokens = lines(text);
  // The text behind the last line break is a line only if it is not empty.
  if (tokens.at(-1) === '') tokens.pop();
  return new Map(tokens.map((token, id) => [token, id]));
}

/** The tokens of a vocabulary file and their ids. */
function vocabularyOf(vocab: unknown, { model }: TokenizerClass): Map<string, number> {
  if (model === 'BPE') return readVocabJson(vocab);
  const ids = readVocabText(vocab);
  // EsmTokenizer removes the white space at the ends of a line.
  return model === 'WordLevel' ? new Map([...ids].map(([token, id]) => [token.trim(), id])) : ids;
}

/**
 * The `pre_tokenizer` of EsmTokenizer: the tokens of the vocabulary are cut out, the longest first, and what is between them is cut at
 * white space, that of Python's str.split.
 */
function wordsOfVocabulary(tokens: readonly string[]): Json {
  const words = tokens.filter(token => token !== '').sort((a, b) => b.length - a.length);
  const split = (Regex: string, behavior: string) => ({ type: 'Split', pattern: { Regex }, behavior, invert: false });
  const whiteSpace = split('[\\s\\x1c-\\x1f]+', 'Removed');
  const steps = words.length === 0 ? [whiteSpace] : [whiteSpace, split(words.map(literal).join('|'), 'Isolated')];
  return { type: 'Sequence', pretokenizers: steps };
}

function readVocabJson(vocab: unknown): Map<string, number> {
  const fields = new Fields(isRecord(vocab) ? vocab : {}, '', 'vocab.json');
  if (!isRecord(vocab)) throw fields.malformed(vocab, 'an object from tokens to ids', 'vocab.json');
  return new Map(Object.keys(vocab).map(token => [token, fields.integer(token)]));
}

/** Reads merges.txt: a line with its version, then two tokens on each line. As in Python, the text behind the last line break is ignored. */
function readMergesText(text: string): string[][] {
  const pairs = new Map<string, string[]>();
  for (const [i, line] of lines(text).slice(1, -1).entries()) {
    const pair = line.split(/\p{White_Space}+/u).filter(Boolean);
    if (pair.length === 0) continue;
    if (pair.length !== 2) {
      throw new Fields({}, '', 'merges.txt').malformed(line, 'two tokens with a space between them', `line ${i + 2}`);
    }
    if (!pairs.has(pair.join(' '))) pairs.set(pair.join(' '), pair);
  }
  return [...pairs.values()];
}
