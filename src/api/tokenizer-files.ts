import type { ModelSource } from '../checkpoint/source/index.ts';
import { SourceError, UnsupportedError } from '../errors.ts';
import { Fields, isRecord, type Json } from '../json.ts';
import {
  classNameOf,
  fromVocabularyFiles,
  ROLES,
  slowConfig,
  tokenizerClassOf,
  VOCABULARY_CLASSES,
  vocabularyFileNames,
  withOlderFiles,
} from '../text/index.ts';

/** What a tokenizer is built from. */
export interface TokenizerFiles {
  /** tokenizer.json, or what stands for it. */
  readonly tokenizer: unknown;
  /** tokenizer_config.json with the name of the class, and what older files say. */
  readonly config: Json;
}

/** The classes that part texts into words with a program of their own before their vocabulary is looked at. */
const OTHER_PROGRAMS: Readonly<Record<string, string>> = {
  BertJapanese: 'MeCab, Sudachi or Juman++',
  Bertweet: "NLTK's TweetTokenizer",
  RoFormer: 'jieba',
  Phobert: 'VnCoreNLP',
  Flaubert: 'Moses',
  XLM: 'Moses, PyThaiNLP, KyTea or jieba',
  Herbert: 'Moses',
};

/**
 * Reads the files of a model's tokenizer, as AutoTokenizer of transformers 4.57 does: tokenizer.json and tokenizer_config.json; config.json
 * where neither names the class; what older versions wrote beside them; and where there is no tokenizer.json, the vocabulary files of the
 * class. Throws SourceError where none of them is there, UnsupportedError for a class that cannot be built from them.
 */
export async function readTokenizerFiles(source: ModelSource): Promise<TokenizerFiles> {
  const optional = { optional: true };
  // The small one first, then at once the large one.
  const readingConfig = source.json('tokenizer_config.json', optional);
  const reading = source.json('tokenizer.json', optional);
  // Whichever fails first is what the caller hears of.
  reading.catch(() => undefined);
  const { json } = new Fields((await readingConfig) ?? {}, '', 'tokenizer_config.json');
  const isNamed = (json.tokenizer_class ?? '') !== '';
  const name = classNameOf(json, isNamed ? undefined : await source.json('config.json', optional));
  const config = withOlderFiles(json, ...(await olderFiles(source, json, name)));
  if (name !== undefined) config.tokenizer_class = name;
  const tokenizer = await reading;
  // A tokenizer.json of this class has another pre-tokenizer in it than the one that its class puts there when it is loaded.
  if (name?.startsWith('RoFormer')) throw refused(source, name, 'RoFormer');
  return tokenizer === undefined
    ? vocabularyFiles(source, name, slowConfig(config, tokenizerClassOf(name)))
    : { tokenizer, config };
}

/** The classes that are whatever their tokenizer.json says. */
const isGeneral = (name: string): boolean => name === 'PreTrainedTokenizerFast' || name === 'TokenizersBackend';

/**
 * special_tokens_map.json and added_tokens.json, which count where tokenizer_config.json has no `added_tokens_decoder`. A tokenizer of the
 * general class was never anything but a tokenizer.json, so where its config names special tokens nothing is left open.
 */
async function olderFiles(
  source: ModelSource,
  config: Json,
  name: string | undefined,
): Promise<[specialTokensMap: unknown, addedTokens: unknown]> {
  const isWhole = name !== undefined && isGeneral(name) && ROLES.some(role => `${role}_token` in config);
  if (name === undefined || isWhole || isRecord(config.added_tokens_decoder)) return [undefined, undefined];
  const optional = { optional: true };
  return Promise.all([source.json('special_tokens_map.json', optional), source.json('added_tokens.json', optional)]);
}

/** The files of a vocabulary, as a tokenizer.json. */
async function vocabularyFiles(source: ModelSource, name: string | undefined, config: Json): Promise<TokenizerFiles> {
  const known = tokenizerClassOf(name);
  if (name === undefined || !known?.model) throw await missing(source, name, []);
  const [vocabName, mergesName] = vocabularyFileNames(known) as [string, string?];
  const [vocab, merges] = await Promise.all([
    known.model === 'BPE' ? source.json(vocabName, { optional: true }) : readText(source, vocabName),
    mergesName === undefined ? undefined : readText(source, mergesName),
  ]);
  if (vocab === undefined || (mergesName !== undefined && merges === undefined)) {
    throw await missing(source, name, vocabularyFileNames(known));
  }
  return { tokenizer: fromVocabularyFiles({ vocab, merges }, config, known), config };
}

/** A whole file as text; undefined where there is none. */
async function readText(source: ModelSource, file: string): Promise<string | undefined> {
  const opened = await source.open(file, { optional: true });
  if (opened === undefined) return undefined;
  // A byte order mark is a character of the first token, as in Python.
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  let text = '';
  try {
    for await (const piece of opened.bytes) text += decoder.decode(piece, { stream: true });
    return text + decoder.decode();
  } catch (cause) {
    if (!(cause instanceof TypeError)) throw cause;
    throw new SourceError({ file, what: `${file} is not a text in UTF-8`, next: 'Download the file again.', cause });
  }
}

const SAVE = "AutoTokenizer.from_pretrained(…).save_pretrained(…) of Python's transformers writes a tokenizer.json";

/** The error for a model without a tokenizer that can be read. `files`: what was looked for beside tokenizer.json. */
async function missing(source: ModelSource, name: string | undefined, files: readonly string[]): Promise<Error> {
  const base = name?.replace(/Tokenizer(Fast)?$/, '') ?? '';
  // Asked for once more, for its address and for the reason that it cannot be had.
  const cause: unknown = await source.json('tokenizer.json').then(
    () => undefined,
    error => error,
  );
  if (cause !== undefined && !(cause instanceof SourceError)) throw cause;
  if (name !== undefined && !isGeneral(name) && !tokenizerClassOf(name)) return refused(source, name, base);
  const looked = ['tokenizer.json', ...files].join(', ');
  const others =
    name === undefined
      ? 'Neither tokenizer_config.json nor config.json names its class, so no other file can be read.'
      : files.length === 0
        ? `The ${name} is read from tokenizer.json alone; a SentencePiece model (*.model) is not read.`
        : `The ${name} is read from ${files.join(' and ')} where there is no tokenizer.json.`;
  return new SourceError({
    file: 'tokenizer.json',
    url: cause?.url,
    status: cause?.status,
    what: `${source.name} has no tokenizer`,
    actual: `${cause?.what ?? 'none that can be read'} (looked for ${looked})`,
    next: `${others} ${SAVE}: put it beside config.json. ${cause?.next ?? ''}`.trim(),
    cause,
  });
}

function refused(source: ModelSource, name: string, base: string): UnsupportedError {
  const program = Object.hasOwn(OTHER_PROGRAMS, base) ? OTHER_PROGRAMS[base] : undefined;
  return new UnsupportedError({
    what: `the tokenizer of ${source.name} is not supported`,
    actual:
      program === undefined ? `${name}, and no tokenizer.json` : `${name}, which needs another program (${program})`,
    supported: ['a tokenizer.json', ...VOCABULARY_CLASSES],
    next:
      program === undefined
        ? `${SAVE} where the class can: put it beside config.json.`
        : 'Take a model whose tokenizer is in tokenizer.json.',
  });
}
