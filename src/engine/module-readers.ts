import type { Activation } from '../../shaders/activation.ts';
import type { Pooling } from '../../shaders/pool.ts';
import { inside, type ModelSource } from '../checkpoint/source/index.ts';
import { describe, oneOf } from '../errors.ts';
import { Fields, isRecord, isText } from '../json.ts';
import type { ChainStep } from '../model/index.ts';
import { optionalFields, TRANSFORMER_FILE } from './sentence-settings.ts';

/** An entry of modules.json. */
export interface Module {
  /** The Python class with its package. */
  readonly type: string;
  /** The class alone where it is one of sentence-transformers, else as `type`. */
  readonly kind: string;
  /** The folder of its files; '' for the folder of the model. */
  readonly path: string;
}

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

/** Activations of dense layers by the classes of torch.nn, which are made without arguments, as Dense.load does. */
const ACTIVATIONS: Readonly<Record<string, Activation | undefined>> = {
  Identity: undefined,
  Tanh: 'tanh',
  ReLU: 'relu',
  GELU: 'gelu',
  SiLU: 'silu',
  // With their default arguments both are one function.
  CELU: 'elu',
  ELU: 'elu',
  Hardshrink: 'hardshrink',
  Hardsigmoid: 'hardsigmoid',
  Hardswish: 'hardswish',
  Hardtanh: 'hardtanh',
  LeakyReLU: 'leaky_relu',
  LogSigmoid: 'logsigmoid',
  Mish: 'mish',
  ReLU6: 'relu6',
  RReLU: 'rrelu',
  SELU: 'selu',
  Sigmoid: 'sigmoid',
  Softplus: 'softplus',
  Softshrink: 'softshrink',
  Softsign: 'softsign',
  Tanhshrink: 'tanhshrink',
};

/** The features that modules hand on. */
type Feature = 'token_embeddings' | 'sentence_embedding';

/** What a module does: it pools, takes a step, puts others in place of the tokens' rows, or does nothing. */
export type Effect =
  | { readonly pooling: readonly Pooling[]; readonly includePrompt: boolean }
  | { readonly step: ChainStep; readonly on: Feature | 'all_layer_embeddings'; readonly file?: string }
  | undefined;

/**
 * Reads a module.
 * @param from the prefix of the module's tensors
 * @param transformer the folder of the transformer before it; undefined where there is none
 */
type Reader = (source: ModelSource, module: Module, from: string, transformer: string | undefined) => Promise<Effect>;

/** The modules after an encoder, by their classes. */
export const READERS: Readonly<Record<string, Reader>> = {
  async Pooling(source, module) {
    const fields = await configOf(source, module);
    return { pooling: poolingOf(fields), includePrompt: fields.flag('include_prompt', true) };
  },
  async Dense(source, module, from) {
    const [fields, file] = await Promise.all([configOf(source, module), weightFile(source, module)]);
    return { step: denseOf(fields, from), on: featureOf(fields), file };
  },
  async LayerNorm(source, module, from) {
    const [fields, file] = await Promise.all([configOf(source, module), weightFile(source, module)]);
    // Checked here although it is not used: the number of columns follows from what comes before.
    fields.integer('dimension');
    return { step: { step: 'layerNorm', from }, on: 'sentence_embedding', file };
  },
  async WeightedLayerPooling(source, module, from, transformer) {
    const fields = await configOf(source, module);
    const layers = fields.integer('num_hidden_layers', 12, { min: 1 });
    const first = fields.integer('layer_start', 4, { min: 0, max: layers });
    // Without the hidden states of the layers sentence-transformers hands the tokens on as they are.
    if (transformer === undefined || !(await givesLayers(source, transformer))) {
      // Asked for all the same: Python reads the weights, so whoever saves the model must know of them.
      await (await source.open(inside(module.path, 'model.safetensors'), { optional: true }))?.cancel();
      return undefined;
    }
    const file = await weightFile(source, module);
    return { step: { step: 'weightedLayers', from, first }, on: 'all_layer_embeddings', file };
  },
  async Normalize(source, module) {
    return { step: { step: 'normalize' }, on: await normalizedFeature(source, module) };
  },
  // It does something in training alone.
  Dropout: async () => undefined,
};

/** The weight file of a module. A missing one is reported before the model is loaded with it. */
async function weightFile(source: ModelSource, { path }: Module): Promise<string> {
  const file = inside(path, 'model.safetensors');
  await (await source.open(file))!.cancel();
  return file;
}

/** Whether the transformer in this folder hands on the hidden states of its layers, as its files set it. */
async function givesLayers(source: ModelSource, folder: string): Promise<boolean> {
  const config = inside(folder, 'config.json');
  const [json, settings] = await Promise.all([
    source.json(config),
    optionalFields(source, inside(folder, TRANSFORMER_FILE)),
  ]);
  // Arguments of the config come before what config.json says. Versions name them differently.
  const key = 'output_hidden_states';
  const own = ['config_kwargs', 'config_args']
    .filter(name => isRecord(settings.json[name]))
    .map(name => settings.fields(name));
  return [...own, new Fields(json, '', config)].find(fields => fields.has(key))?.flag(key, false) ?? false;
}

async function configOf(source: ModelSource, { path }: Module): Promise<Fields> {
  const file = inside(path, 'config.json');
  return new Fields(await source.json(file), '', file);
}

/** From version 6 on `pooling_mode` names one pooling, or several in a list. Before, each had a flag; without any it is the mean. */
function poolingOf(fields: Fields): Pooling[] {
  const { pooling_mode } = fields.json;
  const modes = pooling_mode === undefined ? flaggedModes(fields) : [pooling_mode].flat();
  if (modes.length === 0) modes.push('none');
  return modes.map(mode => {
    const name = isText(mode) ? mode : describe(mode);
    return POOLINGS[oneOf("this checkpoint's pooling", name, MODES)];
  });
}

/** The poolings whose flags are set: one that is not supported first, then the others in their order. */
function flaggedModes(fields: Fields): unknown[] {
  const { json } = fields;
  const named = Object.keys(json).filter(key => key.startsWith('pooling_mode_'));
  const flags = named.filter(key => fields.flag(key, false));
  if (flags.length === 0) return ['mean'];
  const unsupported = flags
    .filter(flag => !Object.hasOwn(POOLING_FLAGS, flag))
    .map(flag => flag.replace('pooling_mode_', '').replace(/_tokens?$/, ''));
  return [...unsupported, ...MODES.filter(mode => flags.some(flag => POOLING_FLAGS[flag] === mode))];
}

function denseOf(fields: Fields, from: string): ChainStep {
  // The file names the class with its package: torch.nn.modules.activation.Tanh. Python takes Tanh for a class of another package,
  // unless remote code is trusted; that would be another function than the model was trained with.
  const name = 'activation_function' in fields.json ? fields.text('activation_function') : 'torch.nn.Tanh';
  const className = name.replace(/^torch\.nn\.(\w+\.)*/, '');
  const activation = ACTIVATIONS[oneOf("a dense layer's activation", className, Object.keys(ACTIVATIONS))];
  const inputs = fields.integer('in_features');
  const outputs = fields.integer('out_features');
  const residual = inputs === outputs ? 'identity' : 'projected';
  return {
    step: 'dense',
    from,
    inputs,
    outputs,
    bias: fields.flag('bias', true),
    activation,
    residual: fields.flag('use_residual', false) ? residual : 'none',
  };
}

/** The feature that a module reads and writes. Throws UnsupportedError for one that is none, or where it writes another. */
function featureOf({ json }: Fields): Feature {
  const input = json.module_input_name ?? 'sentence_embedding';
  const feature = oneOf<unknown>('module_input_name', input, ['sentence_embedding', 'token_embeddings']) as Feature;
  oneOf('module_output_name', json.module_output_name ?? feature, [feature]);
  return feature;
}

/** From version 6 on the module has a config.json. */
async function normalizedFeature(source: ModelSource, { type, path }: Module): Promise<Feature> {
  if (type.startsWith('sentence_transformers.models.')) return 'sentence_embedding';
  return featureOf(await optionalFields(source, inside(path, 'config.json')));
}
