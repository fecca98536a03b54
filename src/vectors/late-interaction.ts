import { oneOf } from '../errors.ts';
import { Fields, isRecord, type Json } from '../json.ts';

/**
 * How late-interaction models are told how long queries and documents are, in the files of sentence-transformers 6, of PyLate and of
 * Stanford's ColBERT. Source: sentence-transformers 6.2, multi_vector_encoder/model.py and base/modules/transformer.py.
 */

/** Queries are filled up to a length with a token, whose vectors are scored as those of the text are (ColBERT's query augmentation). */
export interface Expansion {
  /** Tokens of a query, special tokens included. */
  readonly length: number;
  /** Whether longer queries are cut to it. */
  readonly cuts: boolean;
  /** Whether the tokens of the text attend to those that are filled in. */
  readonly attend: boolean;
  /** Undefined: the mask token. */
  readonly token: string | undefined;
}

/** What the files of a checkpoint say. */
export interface Knobs {
  readonly queryLength: number | undefined;
  readonly documentLength: number | undefined;
  readonly expansion: Expansion | undefined;
  readonly skipped: readonly string[] | undefined;
  /** What comes before a query and a document, by the name of the prompt. */
  readonly prefixes: Readonly<Record<string, string>>;
}

const FILE = 'config_sentence_transformers.json';
/** The length that ColBERT fills queries up to where nothing is said. */
const USUAL_LENGTH = 32;

/** Fields of config_sentence_transformers.json by which a checkpoint of PyLate is known. */
export const PYLATE_KEYS = [
  'query_length',
  'document_length',
  'query_expansion',
  'do_query_expansion',
  'attend_to_expansion_tokens',
  'attend_to_mask_tokens',
  'query_prefix',
  'document_prefix',
  'skiplist_words',
] as const;

const lengthOf = (fields: Fields, name: string): number | undefined =>
  fields.has(name) ? fields.integer(name, undefined, { min: 1 }) : undefined;

/** What PyLate wrote into config_sentence_transformers.json. */
export function pylateKnobs(general: Json): Knobs {
  const fields = new Fields(general, '', FILE);
  const isPylate = PYLATE_KEYS.some(key => Object.hasOwn(general, key));
  const queryLength = lengthOf(fields, 'query_length');
  const attends = (name: string) => (fields.has(name) ? fields.flag(name, false) : undefined);
  const attend = attends('attend_to_expansion_tokens') ?? attends('attend_to_mask_tokens');
  const usual: Expansion = {
    length: queryLength ?? USUAL_LENGTH,
    cuts: true,
    attend: attend ?? false,
    token: undefined,
  };
  const isExpanded = isPylate && fields.flag('do_query_expansion', true);
  const prefixes = ['query', 'document'].flatMap(name =>
    Object.hasOwn(general, `${name}_prefix`) ? [[name, fields.text(`${name}_prefix`, '')]] : [],
  );
  return {
    queryLength,
    documentLength: lengthOf(fields, 'document_length'),
    expansion: 'query_expansion' in general ? expansionOf(fields) : isExpanded ? usual : undefined,
    skipped: fields.has('skiplist_words') ? fields.list('skiplist_words').map(String) : undefined,
    prefixes: Object.fromEntries(prefixes),
  };
}

/** The same, where the settings of the transformer do not say otherwise. */
export function transformerKnobs(json: Json, file: string, knobs: Knobs): Knobs {
  const fields = new Fields(json, '', file);
  const queryLength = lengthOf(fields, 'query_length') ?? knobs.queryLength;
  const expansion = 'query_expansion' in json ? expansionOf(fields) : knobs.expansion;
  if (expansion && queryLength !== undefined && queryLength < expansion.length) {
    const expected = `at least ${expansion.length}, the length that queries are filled up to`;
    throw fields.malformed(queryLength, expected, 'query_length');
  }
  const documentLength = lengthOf(fields, 'document_length') ?? knobs.documentLength;
  return { ...knobs, queryLength, documentLength, expansion };
}

/** What Stanford's ColBERT wrote into artifact.metadata. */
export function stanfordKnobs(metadata: Fields): Knobs {
  const marker = (name: string, usual: string) => `${metadata.text(name, usual) || usual} `;
  return {
    queryLength: undefined,
    documentLength: lengthOf(metadata, 'doc_maxlen'),
    expansion: {
      length: lengthOf(metadata, 'query_maxlen') ?? USUAL_LENGTH,
      cuts: true,
      attend: metadata.flag('attend_to_mask_tokens', false),
      token: undefined,
    },
    skipped: undefined,
    prefixes: { query: marker('query_token_id', '[unused0]'), document: marker('doc_token_id', '[unused1]') },
  };
}

const EXPANSION_KEYS = ['strategy', 'attend', 'token', 'length'];

/** The field `query_expansion`; null: there is none. */
function expansionOf(fields: Fields): Expansion | undefined {
  const json = fields.json.query_expansion;
  if (json === null || json === undefined) return undefined;
  if (!isRecord(json)) throw fields.malformed(json, 'an object', 'query_expansion');
  const expansion = fields.fields('query_expansion');
  for (const key of Object.keys(json)) oneOf('this field of "query_expansion"', key, EXPANSION_KEYS);
  const strategy = expansion.get('strategy', isStrategy, '"fixed" or "min"');
  return {
    length: expansion.integer('length', undefined, { min: 1 }),
    cuts: strategy === 'fixed',
    attend: expansion.flag('attend', false),
    token: expansion.has('token') ? expansion.text('token') : undefined,
  };
}

const isStrategy = (value: unknown): value is 'fixed' | 'min' => value === 'fixed' || value === 'min';
