import type { ModelSource } from '../checkpoint/source/index.ts';
import { describe, UnsupportedError } from '../errors.ts';
import type { Json } from '../json.ts';
import { embedderModules, encoderFolder, modulesOf, type SentenceModules } from './sentence-modules.ts';
import {
  generalFile,
  type ModelKind,
  type SentenceSettings,
  savedKind,
  settingsOf,
  type TRANSFORMER_OUTPUTS,
  transformerSettings,
} from './sentence-settings.ts';

/**
 * What sentence-transformers writes into a checkpoint beside the encoder: modules.json and the files of its modules, and
 * config_sentence_transformers.json. Source: sentence-transformers 6.2, base/model.py, base/modules,
 * sentence_transformer/modules, cross_encoder/model.py; files of 1.x to 5.x have the same meaning there.
 */
export interface SentenceFiles {
  /** The folder of the transformer's files; '' for the folder of the model. Never rejects. */
  readonly folder: Promise<string>;
  /** Whether the first module is a StaticEmbedding. Never rejects. */
  readonly isStatic: Promise<boolean>;
  /** How a text is encoded. Rejects where a file is malformed. */
  readonly settings: Promise<SentenceSettings>;
  /**
   * The modules of an embedder; undefined where there are none, and for a cross-encoder. Rejects where a module is not supported, or
   * one of its files is missing or malformed.
   */
  readonly modules: Promise<SentenceModules | undefined>;
}

/** SentenceFiles after everything was read. What failed is thrown where it is asked for. */
export interface ReadSentence {
  settings(): SentenceSettings;
  modules(): SentenceModules | undefined;
}

/** Waits for everything. Never rejects. */
export async function readSentence({ settings, modules }: SentenceFiles): Promise<ReadSentence> {
  const [readSettings, readModules] = await Promise.allSettled([settings, modules]);
  return { settings: () => settledValue(readSettings), modules: () => settledValue(readModules) };
}

function settledValue<T>(result: PromiseSettledResult<T>): T {
  if (result.status === 'rejected') throw result.reason;
  return result.value;
}

/**
 * Asks for modules.json, and for all files that it names as soon as it is there. None of the promises is left unhandled. Their
 * errors: UnsupportedError for a module, an order of modules or a pooling that is not supported; SourceError for a file that is
 * missing or malformed.
 */
export function openSentence(source: ModelSource, kind: ModelKind = 'SentenceTransformer'): SentenceFiles {
  // Asked for one microtask later, so that the caller may ask for config.json first: its answer tells the commit of all files.
  const listing = Promise.resolve()
    .then(() => source.json('modules.json', { optional: true }))
    .then(json => (json === undefined ? undefined : modulesOf(json)));
  const folder = listing.then(
    modules => encoderFolder(modules ?? []),
    () => '',
  );
  const isStatic = listing.then(
    modules => modules?.[0]?.kind === 'StaticEmbedding',
    () => false,
  );
  const general = listing.then(modules => (modules ? generalFile(source) : ({} as Json)));
  const savedAs = general.then(savedKind);
  const isOfKind = savedAs.then(name => name === kind);
  const transformer = Promise.all([listing, isStatic]).then(([modules, isStatic]) =>
    modules && !isStatic ? transformerSettings(source, encoderFolder(modules), OUTPUTS[kind]) : undefined,
  );
  // Files of another kind of model say nothing about this one, as in Python.
  const settings = Promise.all([general, isOfKind, transformer]).then(([json, applies, ofTransformer]) =>
    applies ? { ...settingsOf(json, kind), ...ofTransformer } : settingsOf({}, kind),
  );
  const modules = listing.then(async list => {
    if (list === undefined) return undefined;
    const name = await savedAs;
    if (name !== kind && kind === 'CrossEncoder') return undefined;
    if (name !== kind) throw otherKind(name);
    return embedderModules(source, list, kind);
  });
  // A failure is reported to whoever awaits the promise, if anyone does.
  for (const promise of [savedAs, isOfKind, settings, modules, transformer]) promise.catch(() => undefined);
  return { folder, isStatic, settings, modules };
}

/** What is read of the transformer. */
const OUTPUTS = { SentenceTransformer: 'hidden', CrossEncoder: 'scores' } as const satisfies Readonly<
  Record<ModelKind, keyof typeof TRANSFORMER_OUTPUTS>
>;

/** What to take for the models that sentence-transformers and PyLate saved as another class. */
const TAKE: Readonly<Record<string, string>> = {
  CrossEncoder: 'pipeline("text-ranking", …)',
  SparseEncoder: 'SparseEncoder.from_pretrained(…)',
  MultiVectorEncoder: 'MultiVectorEncoder.from_pretrained(…)',
  ColBERT: 'MultiVectorEncoder.from_pretrained(…)',
};

/** The error for the modules of a model that is no embedder. */
function otherKind(name: string): UnsupportedError {
  const take = Object.hasOwn(TAKE, name)
    ? `Take ${TAKE[name]} for this model`
    : 'Correct the value in a copy of the file';
  return new UnsupportedError({
    what: 'the modules of this checkpoint are not those of an embedder',
    actual: `"model_type": ${describe(name)} in config_sentence_transformers.json`,
    supported: ['SentenceTransformer'],
    next: `${take}, or name a pooling ("mean", "cls", …) for embeddings of its encoder.`,
  });
}

/** Stands for `openSentence` where a model has nothing to do with sentence-transformers. */
export const NO_SENTENCE: SentenceFiles = {
  folder: Promise.resolve(''),
  isStatic: Promise.resolve(false),
  settings: Promise.resolve(settingsOf({}, 'CrossEncoder')),
  modules: Promise.resolve(undefined),
};
