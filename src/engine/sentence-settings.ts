import { inside, type ModelSource } from '../checkpoint/source/index.ts';
import { oneOf } from '../errors.ts';
import { Fields, isRecord, type Json } from '../json.ts';

/** The classes of models whose modules.json is read. */
export type ModelKind = 'SentenceTransformer' | 'CrossEncoder';

/** How a text is encoded, and how its embedding is used. */
export interface SentenceSettings {
  /** Texts to put before a text, by name. Those of an embedder always include "query" and "document". */
  readonly prompts: Readonly<Record<string, string>>;
  /** The name of the prompt for calls that ask for none. */
  readonly defaultPrompt: string | undefined;
  /** How two embeddings are compared. */
  readonly similarity: Similarity;
  /** How many columns of an embedding are kept. Default: all. */
  readonly truncateDim: number | undefined;
  /** For a cross-encoder: the Python name of the function that turns its logit into a score. */
  readonly activation: string | undefined;
  /** `max_seq_length` of the transformer, in tokens. */
  readonly maxLength: number | undefined;
  /** `do_lower_case` of the transformer: texts are put into lower case before the tokenizer has them. */
  readonly lowerCase: boolean;
}

export const SIMILARITIES = ['cosine', 'dot', 'euclidean', 'manhattan'] as const;
export type Similarity = (typeof SIMILARITIES)[number];

const GENERAL = 'config_sentence_transformers.json';

/** Files for the settings of the transformer; all but the first are names of version 1. */
export const [TRANSFORMER_FILE, ...OLD_TRANSFORMER_FILES] = [
  'sentence_bert_config.json',
  'sentence_roberta_config.json',
  'sentence_distilbert_config.json',
  'sentence_camembert_config.json',
  'sentence_albert_config.json',
  'sentence_xlm-roberta_config.json',
  'sentence_xlnet_config.json',
] as const;

/** The fields of config_sentence_transformers.json, none where there is no such file. Throws SourceError. */
export async function generalFile(source: ModelSource): Promise<Json> {
  return optionalFields(source, GENERAL).then(({ json }) => json);
}

/** The fields of a file; none where it is not there. Throws SourceError where it is no object. */
export async function optionalFields(source: ModelSource, file: string): Promise<Fields> {
  const json = await source.json(file, { optional: true });
  return new Fields(json === undefined ? {} : json, '', file);
}

/** As which class sentence-transformers saved the model. Throws SourceError. */
export const savedKind = (json: Json): string =>
  new Fields(json, '', GENERAL).text('model_type', 'SentenceTransformer');

/** The settings in config_sentence_transformers.json, with their defaults. Throws SourceError where one is malformed. */
export function settingsOf(json: Json, kind: ModelKind): SentenceSettings {
  const fields = new Fields(json, '', GENERAL);
  const defaults: Record<string, string> = kind === 'SentenceTransformer' ? { query: '', document: '' } : {};
  const prompts = { ...defaults, ...(fields.has('prompts') && promptsOf(fields.fields('prompts'))) };
  const defaultPrompt = fields.has('default_prompt_name') ? fields.text('default_prompt_name') : undefined;
  if (defaultPrompt !== undefined && !Object.hasOwn(prompts, defaultPrompt)) {
    const names = Object.keys(prompts).join(', ');
    const expected = names === '' ? 'null, because there are no prompts' : `one of ${names}, or null`;
    throw fields.malformed(defaultPrompt, expected, 'default_prompt_name');
  }
  return {
    prompts,
    defaultPrompt,
    similarity: SIMILARITIES.find(name => name === json.similarity_fn_name) ?? 'cosine',
    truncateDim: fields.has('truncate_dim') ? fields.integer('truncate_dim', undefined, { min: 1 }) : undefined,
    activation: fields.has('activation_fn') ? fields.text('activation_fn') : undefined,
    maxLength: undefined,
    lowerCase: false,
  };
}

/** Prompts by name; null is the empty prompt. */
const promptsOf = (fields: Fields): Record<string, string> =>
  Object.fromEntries(Object.keys(fields.json).map(name => [name, fields.text(name, '')]));

/** What is read of a transformer: its output, and the task for which transformers would load it. */
export const TRANSFORMER_OUTPUTS = {
  hidden: { task: 'feature-extraction', output: 'last_hidden_state' },
  words: { task: 'fill-mask', output: 'logits' },
  scores: { task: 'sequence-classification', output: 'logits' },
} as const;

/**
 * The settings of the transformer in its folder, from the first of its possible files that is there and not empty. Throws SourceError
 * where one is malformed, UnsupportedError where the transformer hands on something else than `wanted`.
 */
export async function transformerSettings(
  source: ModelSource,
  folder: string,
  wanted: keyof typeof TRANSFORMER_OUTPUTS,
): Promise<Pick<SentenceSettings, 'maxLength' | 'lowerCase'>> {
  const read = (name: string) => optionalFields(source, inside(folder, name));
  const isEmpty = ({ json }: Fields) => Object.keys(json).length === 0;
  let fields = await read(TRANSFORMER_FILE);
  if (isEmpty(fields)) {
    const older = await Promise.all(OLD_TRANSFORMER_FILES.map(read));
    fields = older.find(file => !isEmpty(file)) ?? fields;
  }
  checkOutput(fields, TRANSFORMER_OUTPUTS[wanted]);
  // An argument for the tokenizer comes before max_seq_length. Versions name the arguments differently.
  const arguments_ = ['processor_kwargs', 'tokenizer_args'].filter(name => isRecord(fields.json[name]));
  const lengths = [
    ...arguments_.slice(0, 1).map(name => optionalLength(fields.fields(name), 'model_max_length')),
    optionalLength(fields, 'max_seq_length'),
  ];
  return {
    maxLength: lengths.find(length => length !== undefined),
    lowerCase: fields.flag('do_lower_case', false),
  };
}

const optionalLength = (fields: Fields, name: string): number | undefined =>
  fields.has(name) ? fields.integer(name, undefined, { min: 1 }) : undefined;

/** Throws UnsupportedError where the transformer hands on another output than the one that is computed. */
function checkOutput(fields: Fields, { task, output }: { task: string; output: string }): void {
  const own = fields.json.transformer_task ?? task;
  oneOf('this transformer_task', own, [task]);
  if (!fields.has('modality_config')) return;
  const modalities = fields.fields('modality_config');
  if (!modalities.has('text')) {
    oneOf('a transformer that takes no text', Object.keys(modalities.json).join(', '), ['text']);
  }
  const { method, method_output_name } = modalities.fields('text').json;
  oneOf('the method of the transformer', method, ['forward']);
  oneOf('the output of the transformer', method_output_name, [output]);
}
