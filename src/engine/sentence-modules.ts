import type { Pooling } from '../../shaders/pool.ts';
import { inside, type ModelSource } from '../checkpoint/source/index.ts';
import { describe, oneOf, UnsupportedError } from '../errors.ts';
import { Fields, isRecord, isText, isWhole, type Json } from '../json.ts';
import type { DenseLayer } from '../model/index.ts';

/**
 * What sentence-transformers writes into a checkpoint beside the encoder: modules.json and the files of its modules, and
 * config_sentence_transformers.json. Source: sentence-transformers 6.2, base/model.py, base/modules,
 * sentence_transformer/modules, cross_encoder/model.py; files of 1.x to 5.x have the same meaning there.
 */
export interface SentenceFiles {
  /** The folder of the transformer's files, '' for that of the model. Never rejects. */
  readonly folder: Promise<string>;
  /** How a text is encoded. Rejects where a file is malformed. */
  readonly settings: Promise<SentenceSettings>;
  /** The modules of an embedder; undefined where there are none, and for a cross-encoder. Rejects where one is not built, or a file of it is missing or malformed. */
  readonly modules: Promise<SentenceModules | undefined>;
}

/** How a text is encoded, whatever becomes of its tokens. */
export interface SentenceSettings {
  /** What stands before a text, by names; "query" and "document" are always among those of an embedder. */
  readonly prompts: Readonly<Record<string, string>>;
  /** The name of the prompt where none is asked for. */
  readonly defaultPrompt: string | undefined;
  /** How two embeddings are compared. */
  readonly similarity: Similarity;
  /** How many columns of an embedding are kept. */
  readonly truncateDim: number | undefined;
  /** Of a cross-encoder: the Python name of what makes a score of its logit. */
  readonly activation: string | undefined;
  /** `max_seq_length` of the transformer. */
  readonly maxLength: number | undefined;
  /** `do_lower_case` of the transformer: whether a text is put into lower case first, whatever the tokenizer does. */
  readonly lowerCase: boolean;
}

/** How a checkpoint of sentence-transformers makes one vector of a text: its modules after the transformer. */
export interface SentenceModules {
  /** One or several, whose rows stand one behind the other. */
  readonly pooling: readonly Pooling[];
  /** Whether the tokens of a prompt are pooled too. */
  readonly includePrompt: boolean;
  /** Linear layers on the pooled row, in order, and the files of their weights. */
  readonly dense: readonly DenseLayer[];
  readonly files: readonly string[];
  readonly normalize: boolean;
}

export const SIMILARITIES = ['cosine', 'dot', 'euclidean', 'manhattan'] as const;
export type Similarity = (typeof SIMILARITIES)[number];

/** Its names of poolings, in the order in which older versions join several, and ours. */
const POOLINGS = {
  cls: 'cls',
  max: 'max',
  mean: 'mean',
  mean_sqrt_len_tokens: 'mean_sqrt',
  weightedmean: 'weighted',
  lasttoken: 'last',
} as const;
type PoolingMode = keyof typeof POOLINGS;
const MODES = Object.keys(POOLINGS) as PoolingMode[];

const ACTIVATIONS: Readonly<Record<string, DenseLayer['activation']>> = {
  Identity: undefined,
  Tanh: 'tanh',
  ReLU: 'relu',
  GELU: 'gelu',
  SiLU: 'silu',
};

/** Files that a transformer's own settings may stand in; the later ones are those of version 1. */
const TRANSFORMER_FILES = ['bert', 'roberta', 'distilbert', 'camembert', 'albert', 'xlm-roberta', 'xlnet'].map(
  name => `sentence_${name}_config.json`,
);

/** The classes of a modules.json that are built, in their order. */
const CHAINS = {
  SentenceTransformer: /^Transformer, Pooling(, Dense)*(, Normalize)?$/,
  CrossEncoder: /^Transformer$/,
} as const;
export type ModelKind = keyof typeof CHAINS;

/**
 * Asks for modules.json, and for what it names as soon as it is there, all at once. None of the promises is left unhandled.
 * Their errors: UnsupportedError for a module, an order of modules or a pooling that is not built; SourceError for a file that
 * is missing or malformed.
 */
export function openSentence(source: ModelSource, kind: ModelKind = 'SentenceTransformer'): SentenceFiles {
  // A moment later, so that whoever calls this may ask for config.json first: its answer tells the commit of all files.
  const listed = Promise.resolve()
    .then(() => source.json('modules.json', { optional: true }))
    .then(json => (json === undefined ? undefined : listOf(json)));
  const folder = listed.then(
    modules => modules?.[0]?.path ?? '',
    () => '',
  );
  const general = listed.then(modules => (modules ? generalFile(source) : ({} as Json)));
  const isOfKind = general.then(json => (json.model_type ?? 'SentenceTransformer') === kind);
  const transformer = listed.then(modules => (modules ? transformerSettings(source, modules[0]?.path ?? '') : {}));
  // Files of another kind of model say nothing of this one, as in Python.
  const settings = Promise.all([general, isOfKind, transformer]).then(([json, own, more]) =>
    own ? { ...settingsOf(json, kind), ...more } : settingsOf({}, kind),
  );
  const modules = listed.then(async list => {
    if (list === undefined) return undefined;
    if (kind === 'CrossEncoder' && !(await isOfKind)) return undefined;
    checkChain(list, kind);
    return kind === 'SentenceTransformer' ? embedderModules(source, list) : undefined;
  });
  // Whoever needs one hears of its failure.
  for (const each of [settings, modules, transformer]) each.catch(() => undefined);
  return { folder, settings, modules };
}

interface Module {
  /** The class, of sentence-transformers' own without its package. */
  readonly kind: string;
  readonly type: string;
  readonly path: string;
}

function listOf(json: unknown): readonly Module[] {
  const file = 'modules.json';
  return fieldsOf({ modules: json }, file)
    .list('modules')
    .map(module => {
      const fields = fieldsOf(module, file);
      const type = fields.text('type');
      // A class of the repository's own may have any name; it is told whole.
      const kind = type.replace(/^sentence_transformers\.(\w+\.)*/, '');
      return {
        kind,
        type,
        path: fields
          .text('path')
          .replace(/^\.(\/|$)/, '')
          .replace(/\/$/, ''),
      };
    });
}

function checkChain(modules: readonly Module[], kind: ModelKind): void {
  const kinds = modules.map(({ kind }) => kind).join(', ');
  if (CHAINS[kind].test(kinds)) return;
  throw new UnsupportedError({
    what: 'the modules of modules.json, or their order, are not supported',
    actual: kinds || 'none',
    expected: CHAINS[kind].source.slice(1, -1),
    supported: kind === 'CrossEncoder' ? ['Transformer'] : ['Transformer', 'Pooling', 'Dense', 'Normalize'],
  });
}

const GENERAL = 'config_sentence_transformers.json';

async function generalFile(source: ModelSource): Promise<Json> {
  return fieldsOf((await source.json(GENERAL, { optional: true })) ?? {}, GENERAL).json;
}

function settingsOf(json: Json, kind: ModelKind): SentenceSettings {
  const fields = fieldsOf(json, GENERAL);
  const usual: Record<string, string> = kind === 'SentenceTransformer' ? { query: '', document: '' } : {};
  const prompts = { ...usual, ...given(fields.has('prompts') ? fields.fields('prompts') : fieldsOf({}, '')) };
  const defaultPrompt = fields.has('default_prompt_name') ? fields.text('default_prompt_name') : undefined;
  if (defaultPrompt !== undefined && !Object.hasOwn(prompts, defaultPrompt)) {
    throw fields.malformed(defaultPrompt, `one of ${Object.keys(prompts).join(', ')}`, 'default_prompt_name');
  }
  return {
    prompts,
    defaultPrompt,
    similarity: SIMILARITIES.find(name => name === json.similarity_fn_name) ?? 'cosine',
    truncateDim: fields.has('truncate_dim') ? fields.integer('truncate_dim', undefined, 1) : undefined,
    activation: isText(json.activation_fn) ? json.activation_fn : undefined,
    maxLength: undefined,
    lowerCase: false,
  };
}

/** Prompts by their names; null is the empty one. */
const given = (prompts: Fields): Record<string, string> =>
  Object.fromEntries(Object.keys(prompts.json).map(name => [name, prompts.text(name, '')]));

/** The settings of the transformer itself: the first of several files that is there and not empty. */
async function transformerSettings(source: ModelSource, folder: string) {
  const read = async (name: string) => {
    const file = inside(folder, name);
    return fieldsOf((await source.json(file, { optional: true })) ?? {}, file);
  };
  const isEmpty = ({ json }: Fields) => Object.keys(json).length === 0;
  const [usual, ...old] = TRANSFORMER_FILES;
  let fields = await read(usual!);
  if (isEmpty(fields)) fields = (await Promise.all(old.map(read))).find(each => !isEmpty(each)) ?? fields;
  const { max_seq_length: length, processor_kwargs, tokenizer_args } = fields.json;
  // Arguments for the tokenizer go before, under the name of either version.
  const named = [processor_kwargs, tokenizer_args].find(isRecord)?.model_max_length;
  return {
    maxLength: [named, length].find(isWhole),
    lowerCase: fields.flag('do_lower_case', false),
  };
}

async function embedderModules(source: ModelSource, modules: readonly Module[]): Promise<SentenceModules> {
  const [, first, ...rest] = modules;
  const config = async ({ path }: Module) => {
    const file = inside(path, 'config.json');
    return fieldsOf(await source.json(file), file);
  };
  const layers = rest.filter(({ kind }) => kind === 'Dense');
  const files = layers.map(({ path }) => inside(path, 'model.safetensors'));
  const [pooling, dense] = await Promise.all([
    config(first!),
    Promise.all(layers.map(async layer => denseOf(await config(layer)))),
    // That they are there is known before the model is loaded with them.
    Promise.all(files.map(async file => (await source.open(file))!.cancel())),
    Promise.all(rest.filter(({ kind }) => kind === 'Normalize').map(module => checkNormalize(source, module))),
  ]);
  return {
    pooling: poolingOf(pooling),
    includePrompt: pooling.flag('include_prompt', true),
    dense,
    files,
    normalize: rest.length > layers.length,
  };
}

/** From 6.x on `pooling_mode` names it, or several in a list; before, each had a boolean, and the mean was the usual. */
function poolingOf({ json }: Fields): Pooling[] {
  const modeOf = (key: string) => /^pooling_mode_(.+?)(_tokens?)?$/.exec(key)?.[1];
  const flagged = Object.keys(json).flatMap(key => (json[key] === true && modeOf(key)) || []);
  // `mean_sqrt_len_tokens` is the one name that ends as the flags do.
  const old = flagged.map(mode => (mode === 'mean_sqrt_len' ? 'mean_sqrt_len_tokens' : mode));
  const place = (mode: string) => MODES.indexOf(mode as PoolingMode);
  const modes =
    json.pooling_mode === undefined
      ? old.length > 0
        ? old.sort((a, b) => place(a) - place(b))
        : ['mean']
      : [json.pooling_mode].flat().map(mode => (isText(mode) ? mode : describe(mode)));
  if (modes.length === 0) modes.push('none');
  return modes.map(mode => POOLINGS[oneOf("this checkpoint's pooling", mode, MODES)]);
}

const fieldsOf = (value: unknown, file: string) => new Fields(value, '', file);

/** What a module after the pooling works on; of token embeddings it would be part of a late-interaction model. */
const ON_SENTENCES = { module_input_name: 'sentence_embedding', module_output_name: 'sentence_embedding' };
/** What a dense layer may not have otherwise. */
const FIXED = { ...ON_SENTENCES, use_residual: 'false' };

function checkFixed({ json }: Fields, fixed: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(fixed)) {
    const found = json[name] ?? value;
    oneOf(name, typeof found === 'boolean' ? String(found) : found, [value]);
  }
}

/** Of version 6 on it has a config.json. */
async function checkNormalize(source: ModelSource, { type, path }: Module): Promise<void> {
  if (/^sentence_transformers\.models\./.test(type)) return;
  const file = inside(path, 'config.json');
  const json = await source.json(file, { optional: true });
  if (isRecord(json)) checkFixed(fieldsOf(json, file), ON_SENTENCES);
}

function denseOf(fields: Fields): DenseLayer {
  const { json } = fields;
  checkFixed(fields, FIXED);
  const name = fields.text('activation_function', 'Tanh').split('.').at(-1)!;
  const activation = ACTIVATIONS[oneOf("a dense layer's activation", name, Object.keys(ACTIVATIONS))];
  fields.integer('in_features');
  return { outputs: fields.integer('out_features'), bias: json.bias !== false, activation };
}

/** What stands for `openSentence` where a model has nothing to do with sentence-transformers. */
export const NO_SENTENCE: SentenceFiles = {
  folder: Promise.resolve(''),
  settings: Promise.resolve(settingsOf({}, 'CrossEncoder')),
  modules: Promise.resolve(undefined),
};
