import { inside, type ModelSource } from '../checkpoint/source/index.ts';
import { generalFile, type Module, modulesOf, optionalFields, savedKind } from '../engine/index.ts';
import { UnsupportedError } from '../errors.ts';
import { type Fields, isRecord, isText, type Json } from '../json.ts';

/** The small files that say what a repository is. */
export interface Repository {
  /** config.json of the top folder; {} where there is none, because the encoder is in a folder. */
  readonly config: Json;
  /** `architectures` of config.json. */
  readonly architectures: readonly string[];
  /** modules.json; undefined where there is none. */
  readonly modules: readonly Module[] | undefined;
  /** config_sentence_transformers.json; {} where there is none. */
  readonly general: Json;
  /** Its `model_type`: as which class sentence-transformers saved the model. */
  readonly kind: string | undefined;
}

/** Reads them, config.json first: its answer tells the commit of all other files. Throws SourceError. */
export async function readRepository(source: ModelSource): Promise<Repository> {
  const reading = source.json('config.json', { optional: true });
  const [json, listing, general] = await Promise.all([
    reading,
    source.json('modules.json', { optional: true }),
    generalFile(source),
  ]);
  const config = isRecord(json) ? json : {};
  const architectures = Array.isArray(config.architectures) ? config.architectures.filter(isText) : [];
  return {
    config,
    architectures,
    modules: listing === undefined ? undefined : modulesOf(listing),
    general,
    kind: 'model_type' in general ? savedKind(general) : undefined,
  };
}

/** A function that gives the files in a folder of a model; the folder '' is the top one. */
export const inFolderNamed =
  (folder: string) =>
  (root: ModelSource): ModelSource =>
    folder === ''
      ? root
      : {
          name: root.name,
          open: (file, options) => root.open(inside(folder, file), options),
          json: (file, options) => root.json(inside(folder, file), options),
        };

/** config.json of a module that needs none. Throws SourceError where it is malformed. */
export const optionalConfigOf = (source: ModelSource, { path }: Module): Promise<Fields> =>
  optionalFields(source, inside(path, 'config.json'));

/** What to take for the models of each kind, by the names of sentence-transformers. */
const TAKE: Readonly<Record<string, string>> = {
  SentenceTransformer: 'pipeline("feature-extraction", …)',
  CrossEncoder: 'pipeline("text-ranking", …)',
  SparseEncoder: 'SparseEncoder.from_pretrained(…)',
  MultiVectorEncoder: 'MultiVectorEncoder.from_pretrained(…)',
  ColBERT: 'MultiVectorEncoder.from_pretrained(…)',
};

/** The error for a repository of another kind than `wanted`. */
export function refuseKind(wanted: string, actual: string): UnsupportedError {
  const take = Object.hasOwn(TAKE, actual) ? `Take ${TAKE[actual]} for this model.` : undefined;
  return new UnsupportedError({
    what: `this is no model for ${wanted}`,
    actual,
    expected: EXPECTED[wanted],
    supported: [wanted],
    next: take ?? 'For one vector a text take pipeline("feature-extraction", …).',
  });
}

const EXPECTED: Readonly<Record<string, string>> = {
  SparseEncoder:
    'a SparseEncoder of sentence-transformers, or a masked language model (its `architectures` end with ForMaskedLM)',
  MultiVectorEncoder:
    'a MultiVectorEncoder of sentence-transformers, a ColBERT of PyLate, or one of Stanford (`HF_ColBERT`)',
};
