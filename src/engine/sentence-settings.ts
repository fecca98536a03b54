import { inside, type ModelSource } from '../checkpoint/source/index.ts';
import { Fields, isRecord, isText, isWhole, type Json } from '../json.ts';

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
  return new Fields((await source.json(GENERAL, { optional: true })) ?? {}, '', GENERAL).json;
}

/** The settings in config_sentence_transformers.json, with their defaults. Throws SourceError where one is malformed. */
export function settingsOf(json: Json, kind: ModelKind): SentenceSettings {
  const fields = new Fields(json, '', GENERAL);
  const defaults: Record<string, string> = kind === 'SentenceTransformer' ? { query: '', document: '' } : {};
  const prompts = { ...defaults, ...(fields.has('prompts') && promptsOf(fields.fields('prompts'))) };
  const defaultPrompt = fields.has('default_prompt_name') ? fields.text('default_prompt_name') : undefined;
  if (defaultPrompt !== undefined && !Object.hasOwn(prompts, defaultPrompt)) {
    throw fields.malformed(defaultPrompt, `one of ${Object.keys(prompts).join(', ')}`, 'default_prompt_name');
  }
  return {
    prompts,
    defaultPrompt,
    similarity: SIMILARITIES.find(name => name === json.similarity_fn_name) ?? 'cosine',
    truncateDim: fields.has('truncate_dim') ? fields.integer('truncate_dim', undefined, { min: 1 }) : undefined,
    activation: isText(json.activation_fn) ? json.activation_fn : undefined,
    maxLength: undefined,
    lowerCase: false,
  };
}

/** Prompts by name; null is the empty prompt. */
const promptsOf = (fields: Fields): Record<string, string> =>
  Object.fromEntries(Object.keys(fields.json).map(name => [name, fields.text(name, '')]));

/** The settings of the transformer in its folder, from the first of its possible files that is there and not empty. */
export async function transformerSettings(
  source: ModelSource,
  folder: string,
): Promise<Pick<SentenceSettings, 'maxLength' | 'lowerCase'>> {
  const read = async (name: string) => {
    const file = inside(folder, name);
    return new Fields((await source.json(file, { optional: true })) ?? {}, '', file);
  };
  const isEmpty = ({ json }: Fields) => Object.keys(json).length === 0;
  let fields = await read(TRANSFORMER_FILE);
  if (isEmpty(fields)) {
    const older = await Promise.all(OLD_TRANSFORMER_FILES.map(read));
    fields = older.find(file => !isEmpty(file)) ?? fields;
  }
  const { max_seq_length, processor_kwargs, tokenizer_args } = fields.json;
  // An argument for the tokenizer comes before max_seq_length. Versions name the arguments differently.
  const tokenizerLength = [processor_kwargs, tokenizer_args].find(isRecord)?.model_max_length;
  return {
    maxLength: [tokenizerLength, max_seq_length].find(isWhole),
    lowerCase: fields.flag('do_lower_case', false),
  };
}
