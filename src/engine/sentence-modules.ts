import type { Activation } from '../../shaders/activation.ts';
import type { Pooling } from '../../shaders/pool.ts';
import { inside, type ModelSource } from '../checkpoint/source/index.ts';
import { describe, oneOf, UnsupportedError } from '../errors.ts';
import { Fields, isRecord, isText } from '../json.ts';
import type { ChainStep, PoolRequest } from '../model/index.ts';

/** How a checkpoint of sentence-transformers makes one vector of a text: its modules after the transformer. */
export interface SentenceModules extends PoolRequest {
  /** On the rows of tokens, before the pooling. */
  readonly tokenSteps: readonly ChainStep[];
  /** One or several; the rows of several are joined to one. */
  readonly pooling: readonly Pooling[];
  /** Whether the tokens of a prompt are pooled too. */
  readonly includePrompt: boolean;
  /** On the pooled row. */
  readonly rowSteps: readonly ChainStep[];
  /** Whether the last module scales the row to length 1. */
  readonly normalize: boolean;
  /** The weight files of the steps. */
  readonly files: readonly ModuleFile[];
}

/** The weights of a module. */
export interface ModuleFile {
  /** The prefix of the module's tensors in a graph: see ChainStep. */
  readonly from: string;
  readonly file: string;
}

/** The classes of models whose modules.json is read. */
export type ModelKind = 'SentenceTransformer' | 'CrossEncoder';

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
const ACTIVATIONS: Readonly<Record<string, Activation | undefined>> = {
  Identity: undefined,
  Tanh: 'tanh',
  ReLU: 'relu',
  GELU: 'gelu',
  SiLU: 'silu',
};

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
    return {
      type,
      // A class of the repository itself may have any name; it is reported whole.
      kind: type.replace(/^sentence_transformers\.(\w+\.)*/, ''),
      path: path.replace(/^\.(\/|$)/, '').replace(/\/$/, ''),
    };
  });
}

/**
 * Reads the modules after the transformer; a cross-encoder has none. Throws UnsupportedError for a module, an order of modules or
 * a value that is not supported, SourceError where a file is missing or malformed.
 */
export async function embedderModules(
  source: ModelSource,
  modules: readonly Module[],
  kind: ModelKind,
): Promise<SentenceModules | undefined> {
  const kinds = modules.map(module => module.kind);
  if (kind === 'CrossEncoder') {
    if (kinds.join() === 'Transformer') return undefined;
    throw unsupportedModules(kinds, 'Transformer', ['Transformer']);
  }
  const [first, ...rest] = modules;
  const isStatic = first?.kind === 'StaticEmbedding';
  if (!isStatic && first?.kind !== 'Transformer') throw unsupportedModules(kinds, ORDER);
  const { tokenSteps, sentence, files } = await moduleChain(source, rest, isStatic ? MEAN : undefined);
  // A StaticEmbedding hands on no tokens.
  const readsTokens = tokenSteps.length > 0 || kinds.includes('Pooling');
  if (isStatic && readsTokens) throw unsupportedModules(kinds, ORDER);
  if (sentence === undefined) throw unsupportedModules(kinds, ORDER);
  const isScaled = sentence.rowSteps.at(-1)?.step === 'normalize';
  const chain = { ...sentence, rowSteps: isScaled ? sentence.rowSteps.slice(0, -1) : sentence.rowSteps };
  return { ...chain, normalize: isScaled, files: filesOf(chain, files) };
}

/** What is supported, in words. */
const ORDER =
  'a Transformer, then any of the other modules with a Pooling among them; or a StaticEmbedding, then modules that read no tokens';
/** What a StaticEmbedding does. */
const MEAN: SentenceChain = { tokenSteps: [], pooling: ['mean'], includePrompt: true, rowSteps: [] };

function unsupportedModules(
  kinds: readonly string[],
  expected: string,
  supported: readonly string[] = ['Transformer', 'StaticEmbedding', ...Object.keys(READERS)],
): UnsupportedError {
  const unknown = kinds.filter(kind => !supported.includes(kind));
  return new UnsupportedError({
    what:
      unknown.length > 0
        ? `modules.json lists a module that is not supported: ${unknown.join(', ')}`
        : 'the modules of modules.json stand in an order that is not supported',
    actual: kinds.join(', ') || 'none',
    expected,
    supported,
  });
}

/** What a pooling makes of the tokens. */
export interface SentenceChain {
  readonly tokenSteps: readonly ChainStep[];
  readonly pooling: readonly Pooling[];
  readonly includePrompt: boolean;
  readonly rowSteps: readonly ChainStep[];
}

/** What modules make of the hidden states of an encoder: rows of tokens, and one row where there is a pooling. */
export interface ModuleChain {
  /** What the rows of the tokens have gone through after all modules. */
  readonly tokenSteps: readonly ChainStep[];
  readonly sentence: SentenceChain | undefined;
  /** The weight files of all steps, those that no result needs included. */
  readonly files: readonly ModuleFile[];
}

/**
 * Follows the two features that modules hand on, `token_embeddings` and `sentence_embedding`, through modules in any order, as
 * sentence-transformers' forward() does. A second pooling replaces the first; what a later pooling does not read has no effect.
 * Throws UnsupportedError, SourceError.
 * @param modules those after the encoder, whose number is 0
 * @param pooled the row that the encoder itself hands on. Default: none
 */
export async function moduleChain(
  source: ModelSource,
  modules: readonly Module[],
  pooled?: SentenceChain,
): Promise<ModuleChain> {
  const effects = await Promise.all(
    modules.map((module, i) => {
      const reader = Object.hasOwn(READERS, module.kind) ? READERS[module.kind] : undefined;
      if (!reader) throw unsupportedModules(['Transformer', ...modules.map(({ kind }) => kind)], ORDER);
      return reader(source, module, `sentence.${i + 1}`);
    }),
  );
  let tokenSteps: readonly ChainStep[] = [];
  let sentence = pooled;
  for (const [i, effect] of effects.entries()) {
    if (!effect) continue;
    if ('pooling' in effect) {
      sentence = { ...effect, tokenSteps, rowSteps: [] };
    } else if (effect.on === 'token_embeddings') {
      tokenSteps = [...tokenSteps, effect.step];
    } else if (sentence) {
      sentence = { ...sentence, rowSteps: [...sentence.rowSteps, effect.step] };
    } else if (effect.step.step !== 'normalize') {
      // In Python a KeyError; a Normalize without its feature does nothing.
      throw new UnsupportedError({
        what: `a ${modules[i]!.kind} of modules.json reads sentence_embedding, and no Pooling stands before it`,
        actual: modules.map(({ kind }) => kind).join(', '),
        expected: ORDER,
        supported: Object.keys(READERS),
      });
    }
  }
  const files = effects.flatMap(effect =>
    effect && 'step' in effect && 'from' in effect.step && effect.file !== undefined
      ? [{ from: effect.step.from, file: effect.file }]
      : [],
  );
  return { tokenSteps, sentence, files };
}

/** The files whose tensors the steps of a chain read. */
const filesOf = ({ tokenSteps, rowSteps }: SentenceChain, files: readonly ModuleFile[]): readonly ModuleFile[] =>
  files.filter(({ from }) => [...tokenSteps, ...rowSteps].some(step => 'from' in step && step.from === from));

/** The features that modules hand on. */
type Feature = 'token_embeddings' | 'sentence_embedding';

/** What a module does: it pools, takes a step, or does nothing. */
type Effect =
  | { readonly pooling: readonly Pooling[]; readonly includePrompt: boolean }
  | { readonly step: ChainStep; readonly on: Feature; readonly file?: string }
  | undefined;

/** The modules after an encoder, by their classes. `from`: the prefix of the module's tensors. */
const READERS: Readonly<Record<string, (source: ModelSource, module: Module, from: string) => Promise<Effect>>> = {
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

function denseOf(fields: Fields, from: string): ChainStep {
  // The file names the class with its package: torch.nn.modules.activation.Tanh.
  const className = fields.text('activation_function', 'Tanh').split('.').at(-1)!;
  const activation = ACTIVATIONS[oneOf("a dense layer's activation", className, Object.keys(ACTIVATIONS))];
  const inputs = fields.integer('in_features');
  const outputs = fields.integer('out_features');
  const residual = inputs === outputs ? 'identity' : 'projected';
  return {
    step: 'dense',
    from,
    outputs,
    bias: fields.json.bias !== false,
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
  const file = inside(path, 'config.json');
  const json = await source.json(file, { optional: true });
  return isRecord(json) ? featureOf(new Fields(json, '', file)) : 'sentence_embedding';
}
