import type { Pooling } from '../../shaders/pool.ts';
import { inside, type ModelSource } from '../checkpoint/source/index.ts';
import { describe, oneOf, UnsupportedError } from '../errors.ts';
import { Fields, isRecord, isText } from '../json.ts';
import type { DenseLayer } from '../model/index.ts';

/** How a checkpoint of sentence-transformers makes one vector of a text: its modules after the transformer. */
export interface SentenceModules {
  /** One or several; the rows of several are joined to one. */
  readonly pooling: readonly Pooling[];
  /** Whether the tokens of a prompt are pooled too. */
  readonly includePrompt: boolean;
  /** Linear layers on the pooled row, in order. */
  readonly dense: readonly DenseLayer[];
  /** The weight file of each dense layer. */
  readonly files: readonly string[];
  readonly normalize: boolean;
}

/** The classes of models whose modules.json is read, each with the modules that it may list, in their order. */
const CHAINS = {
  SentenceTransformer: /^Transformer, Pooling(, Dense)*(, Normalize)?$/,
  CrossEncoder: /^Transformer$/,
} as const;
export type ModelKind = keyof typeof CHAINS;

/** Poolings by the names of sentence-transformers, in the order in which versions before 6 join several. */
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

/** The flags by which versions before 6 name the same poolings. */
const POOLING_FLAGS: Readonly<Record<string, PoolingMode>> = {
  pooling_mode_cls_token: 'cls',
  pooling_mode_max_tokens: 'max',
  pooling_mode_mean_tokens: 'mean',
  pooling_mode_mean_sqrt_len_tokens: 'mean_sqrt_len_tokens',
  pooling_mode_weightedmean_tokens: 'weightedmean',
  pooling_mode_lasttoken: 'lasttoken',
};

/** Activations of dense layers by the names of their PyTorch classes. */
const ACTIVATIONS: Readonly<Record<string, DenseLayer['activation']>> = {
  Identity: undefined,
  Tanh: 'tanh',
  ReLU: 'relu',
  GELU: 'gelu',
  SiLU: 'silu',
};

/** The values that modules after the pooling must have. On token embeddings they would be part of a late-interaction model. */
const ON_SENTENCES = { module_input_name: 'sentence_embedding', module_output_name: 'sentence_embedding' };
/** The values that a dense layer must have. */
const DENSE_VALUES = { ...ON_SENTENCES, use_residual: 'false' };

/** An entry of modules.json. */
export interface Module {
  /** The Python class with its package. */
  readonly type: string;
  /** The class alone where it is one of sentence-transformers, else as `type`. */
  readonly kind: string;
  /** The folder of its files; '' for the folder of the model. */
  readonly path: string;
}

/** The entries of modules.json. Throws SourceError where it is malformed. */
export function modulesOf(json: unknown): readonly Module[] {
  const file = 'modules.json';
  return new Fields({ modules: json }, '', file).list('modules').map(module => {
    const fields = new Fields(module, '', file);
    const type = fields.text('type');
    const path = fields.text('path');
    return moduleOf(type, path);
  });
}

/** A module of this class, with its files in this folder. */
export const moduleOf = (type: string, path: string): Module => ({
  type,
  // A class of the repository itself may have any name; it is reported whole.
  kind: type.replace(/^sentence_transformers\.(\w+\.)*/, ''),
  path: path.replace(/^\.(\/|$)/, '').replace(/\/$/, ''),
});

/**
 * Reads the modules after the transformer; a cross-encoder has none. Throws UnsupportedError for a module, an order of modules or
 * a value that is not supported, SourceError where a file is missing or malformed.
 */
export async function embedderModules(
  source: ModelSource,
  modules: readonly Module[],
  kind: ModelKind,
): Promise<SentenceModules | undefined> {
  checkChain(modules, kind);
  if (kind === 'CrossEncoder') return undefined;
  const [, pooling, ...rest] = modules;
  const denseModules = rest.filter(module => module.kind === 'Dense');
  const normalizeModules = rest.filter(module => module.kind === 'Normalize');
  const files = denseModules.map(({ path }) => inside(path, 'model.safetensors'));
  const [poolingConfig, dense] = await Promise.all([
    configOf(source, pooling!),
    Promise.all(denseModules.map(async module => denseOf(await configOf(source, module)))),
    // A missing weight file is reported before the model is loaded with it.
    Promise.all(files.map(async file => (await source.open(file))!.cancel())),
    Promise.all(normalizeModules.map(module => checkNormalize(source, module))),
  ]);
  return {
    pooling: poolingOf(poolingConfig),
    includePrompt: poolingConfig.flag('include_prompt', true),
    dense,
    files,
    normalize: normalizeModules.length > 0,
  };
}

function checkChain(modules: readonly Module[], kind: ModelKind): void {
  const kinds = modules.map(module => module.kind).join(', ');
  if (CHAINS[kind].test(kinds)) return;
  throw new UnsupportedError({
    what: 'the modules of modules.json, or their order, are not supported',
    actual: kinds || 'none',
    expected: CHAINS[kind].source.slice(1, -1),
    supported: kind === 'CrossEncoder' ? ['Transformer'] : ['Transformer', 'Pooling', 'Dense', 'Normalize'],
  });
}

async function configOf(source: ModelSource, { path }: Module): Promise<Fields> {
  const file = inside(path, 'config.json');
  return new Fields(await source.json(file), '', file);
}

/** From version 6 on `pooling_mode` names one pooling, or several in a list. Before, each had a flag; without any it is the mean. */
function poolingOf({ json }: Fields): Pooling[] {
  const modes = json.pooling_mode === undefined ? flaggedModes(json) : [json.pooling_mode].flat();
  if (modes.length === 0) modes.push('none');
  return modes.map(mode => {
    const name = isText(mode) ? mode : describe(mode);
    return POOLINGS[oneOf("this checkpoint's pooling", name, MODES)];
  });
}

/** The poolings whose flags are set: one that is not supported first, then the others in their order. */
function flaggedModes(json: Fields['json']): unknown[] {
  const flags = Object.keys(json).filter(key => key.startsWith('pooling_mode_') && json[key] === true);
  if (flags.length === 0) return ['mean'];
  const unsupported = flags
    .filter(flag => !Object.hasOwn(POOLING_FLAGS, flag))
    .map(flag => flag.replace('pooling_mode_', '').replace(/_tokens?$/, ''));
  return [...unsupported, ...MODES.filter(mode => flags.some(flag => POOLING_FLAGS[flag] === mode))];
}

function denseOf(fields: Fields): DenseLayer {
  checkValues(fields, DENSE_VALUES);
  // The file names the class with its package: torch.nn.modules.activation.Tanh.
  const className = fields.text('activation_function', 'Tanh').split('.').at(-1)!;
  const activation = ACTIVATIONS[oneOf("a dense layer's activation", className, Object.keys(ACTIVATIONS))];
  // Checked here although it is not used: the number of columns follows from what comes before.
  fields.integer('in_features');
  return { outputs: fields.integer('out_features'), bias: fields.json.bias !== false, activation };
}

/** From version 6 on the module has a config.json. */
async function checkNormalize(source: ModelSource, { type, path }: Module): Promise<void> {
  if (type.startsWith('sentence_transformers.models.')) return;
  const file = inside(path, 'config.json');
  const json = await source.json(file, { optional: true });
  if (isRecord(json)) checkValues(new Fields(json, '', file), ON_SENTENCES);
}

/** Throws UnsupportedError where a field is there and has another value than the one it must have. */
function checkValues({ json }: Fields, values: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(values)) {
    const actual = json[name] ?? value;
    oneOf(name, typeof actual === 'boolean' ? String(actual) : actual, [value]);
  }
}
