import type { ModelSource } from '../checkpoint/source/index.ts';
import { SourceError, UnsupportedError } from '../errors.ts';
import { Fields, isRecord, type Json } from '../json.ts';
import {
  classNameOf,
  fromVocabularyFiles,
  ROLES,
  slowConfig,
  TOKENIZER_CONFIG_FILE,
  tokenizerClassOf,
  VOCABULARY_CLASSES,
  vocabularyFileNames,
  withOlderFiles,
} from '../text/index.ts';

/** The files that a tokenizer is built from. */
export interface TokenizerFiles {
  /** tokenizer.json, or one that was made of other files. */
  readonly tokenizer: unknown;
  /** tokenizer_config.json with the name of the class and the contents of older files. */
  readonly config: Json;
}

/** The classes that cut texts into words with another program before they look into their vocabulary. */
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
 * Reads the files of a model's tokenizer as AutoTokenizer of transformers 4.57 does: tokenizer.json and tokenizer_config.json; config.json if
 * neither names the class; the files that older versions wrote beside them; and if there is no tokenizer.json, the vocabulary files of the
 * class.
 * @throws SourceError if none of them is there; UnsupportedError for a class that cannot be built from them
 */
export async function readTokenizerFiles(source: ModelSource): Promise<TokenizerFiles> {
  const optional = { optional: true };
  // The small file is asked for first, and the large one at once after it.
  const readingConfig = source.json('tokenizer_config.json', optional);
  const readingTokenizer = source.json('tokenizer.json', optional);
  // If the config fails first, its error is the one that is thrown. The other must not count as unhandled.
  readingTokenizer.catch(() => undefined);
  const { json } = new Fields((await readingConfig) ?? {}, '', TOKENIZER_CONFIG_FILE);
  const isNamed = (json.tokenizer_class ?? '') !== '';
  const name = classNameOf(json, isNamed ? undefined : await source.json('config.json', optional));
  const config = withOlderFiles(json, ...(await olderFiles(source, json, name)));
  if (name !== undefined) config.tokenizer_class = name;
  const tokenizer = await readingTokenizer;
  // When this class is loaded, it replaces the pre-tokenizer of its tokenizer.json by one that needs another program.
  if (name?.startsWith('RoFormer')) throw refused(source, name, 'RoFormer');
  return tokenizer === undefined
    ? vocabularyFiles(source, name, slowConfig(config, tokenizerClassOf(name)))
    : { tokenizer, config };
}

/** Whether a class has no settings of its own: all of it is in tokenizer.json. */
const isGeneral = (name: string): boolean => name === 'PreTrainedTokenizerFast' || name === 'TokenizersBackend';

/**
 * special_tokens_map.json and added_tokens.json. They count only if tokenizer_config.json has no `added_tokens_decoder`. A tokenizer of a
 * general class has always been a tokenizer.json, so if its config names special tokens, the older files add nothing.
 */
async function olderFiles(
  source: ModelSource,
  config: Json,
  name: string | undefined,
): Promise<[specialTokensMap: unknown, addedTokens: unknown]> {
  const isComplete = name !== undefined && isGeneral(name) && ROLES.some(role => `${role}_token` in config);
  if (name === undefined || isComplete || isRecord(config.added_tokens_decoder)) return [undefined, undefined];
  const optional = { optional: true };
  return Promise.all([source.json('special_tokens_map.json', optional), source.json('added_tokens.json', optional)]);
}

/** Reads the vocabulary files of a class and makes a tokenizer.json of them. */
async function vocabularyFiles(source: ModelSource, name: string | undefined, config: Json): Promise<TokenizerFiles> {
  const tokenizerClass = tokenizerClassOf(name);
  if (name === undefined || !tokenizerClass?.model) throw await missing(source, name, []);
  const [vocabName, mergesName] = vocabularyFileNames(tokenizerClass) as [string, string?];
  const [vocab, merges] = await Promise.all([
    tokenizerClass.model === 'BPE' ? source.json(vocabName, { optional: true }) : readText(source, vocabName),
    mergesName === undefined ? undefined : readText(source, mergesName),
  ]);
  if (vocab === undefined || (mergesName !== undefined && merges === undefined)) {
    throw await missing(source, name, vocabularyFileNames(tokenizerClass));
  }
  return { tokenizer: fromVocabularyFiles({ vocab, merges }, config, tokenizerClass), config };
}

/** The text of a whole file; undefined if there is none. */
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

/** The names under which the classes of transformers save the model of a SentencePiece tokenizer. */
const SENTENCEPIECE_FILES = [
  'sentencepiece.bpe.model',
  'spiece.model',
  'tokenizer.model',
  'spm.model',
  'sentencepiece.model',
  'spm_char.model',
  'source.spm',
] as const;

/** The first SentencePiece model that a source has, if it has one. None of it is read. */
async function sentencePieceFile(source: ModelSource): Promise<string | undefined> {
  const present = await Promise.all(
    SENTENCEPIECE_FILES.map(async file => {
      const opened = await source.open(file, { optional: true });
      await opened?.cancel();
      return opened === undefined ? [] : [file];
    }),
  );
  return present.flat()[0];
}

const SAVE = "AutoTokenizer.from_pretrained(…).save_pretrained(…) of Python's transformers writes a tokenizer.json";

/**
 * The error for a model without a tokenizer that can be read.
 * @param files the files that were looked for beside tokenizer.json
 */
async function missing(source: ModelSource, name: string | undefined, files: readonly string[]): Promise<Error> {
  const base = name?.replace(/Tokenizer(Fast)?$/, '') ?? '';
  // Asked for once more: the error has its address and the reason why it cannot be had.
  const cause: unknown = await source.json('tokenizer.json').then(
    () => undefined,
    error => error,
  );
  if (cause !== undefined && !(cause instanceof SourceError)) throw cause;
  const model = Object.hasOwn(OTHER_PROGRAMS, base) ? undefined : await sentencePieceFile(source);
  if (model !== undefined) return sentencePieceAlone(source, model);
  if (name !== undefined && !isGeneral(name) && !tokenizerClassOf(name)) return refused(source, name, base);
  const looked = ['tokenizer.json', ...files].join(', ');
  const others =
    name === undefined
      ? 'Neither tokenizer_config.json nor config.json names its class, so no other file can be read.'
      : files.length === 0
        ? `The ${name} is read from tokenizer.json alone.`
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

/** The error for a tokenizer that is a SentencePiece model alone. */
function sentencePieceAlone({ name }: ModelSource, file: string): UnsupportedError {
  return new UnsupportedError({
    what: `the tokenizer of ${name} is not supported`,
    actual: `${file}, a SentencePiece model, and no tokenizer.json`,
    expected: 'a tokenizer.json',
    supported: ['a tokenizer.json', ...VOCABULARY_CLASSES],
    next: `${SAVE} of it: put that beside config.json, in a copy of the model. Or take a repository that has a tokenizer.json.`,
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
