import { openCheckpoint } from '../checkpoint/file/index.ts';
import { inside, type ModelSource } from '../checkpoint/source/index.ts';
import {
  type Module,
  moduleChain,
  moduleOf,
  type SentenceSettings,
  settingsOf,
  type TokenModules,
  transformerSettings,
} from '../engine/index.ts';
import { UnsupportedError } from '../errors.ts';
import { Fields, isRecord, isText, isWhole, type Json } from '../json.ts';
import type { ChainStep } from '../model/index.ts';
import type { TextSettings } from './encode-options.ts';
import {
  type Expansion,
  type Knobs,
  PYLATE_KEYS,
  pylateKnobs,
  stanfordKnobs,
  transformerKnobs,
} from './late-interaction.ts';
import { optionalConfigOf, type Repository, refuseKind } from './repository.ts';

/** Which tokens of a text get a vector. */
export interface ScoringMask {
  /** Tokens that are left out. */
  readonly skipped: readonly string[];
  /** The tasks for which they are. */
  readonly tasks: readonly string[];
  /** Ids of the only tokens of a document that count; undefined: all. */
  readonly kept: readonly number[] | undefined;
}

/** What a repository says of a late-interaction model, before its weights are read. */
export interface MultiVectorLayout {
  readonly folder: string;
  /**
   * What makes the vectors of the hidden states. Opens the weights of the encoder in `source` where their shapes alone tell how many
   * columns a vector has. Throws SourceError, CheckpointError.
   */
  readonly modules: (source: ModelSource) => Promise<TokenModules>;
  readonly settings: TextSettings;
  readonly similarity: 'maxsim' | 'meanmaxsim';
  readonly queryLength: number | undefined;
  readonly documentLength: number | undefined;
  readonly expansion: Expansion | undefined;
  /** Undefined: every token counts but those of an expansion. */
  readonly mask: ScoringMask | undefined;
  /** Texts before queries and documents that are one token each, where the vocabulary has it. */
  readonly markers: readonly string[];
}

const CLASS = 'MultiVectorEncoder';
const MASK = 'MultiVectorMask';
/** string.punctuation of Python. */
const PUNCTUATION = [...'!"#$%&\'()*+,-./:;<=>?@[\\]^_`{|}~'];
const DENSE = 'sentence_transformers.base.modules.dense.Dense';

/**
 * The layout of a repository: of sentence-transformers' MultiVectorEncoder, of PyLate, or of Stanford's ColBERT. Throws
 * UnsupportedError for a repository of another kind, with the class to take, and for modules that are not built; SourceError.
 */
export async function multiVectorLayout(source: ModelSource, repository: Repository): Promise<MultiVectorLayout> {
  const { modules, kind, architectures, general } = repository;
  if (modules === undefined) {
    if (!architectures.includes('HF_ColBERT')) {
      throw refuseKind(CLASS, kind ?? (architectures.join(', ') || 'a model without modules.json'));
    }
    return stanfordLayout(source);
  }
  const isPylate = kind === 'ColBERT' || PYLATE_KEYS.some(key => Object.hasOwn(general, key));
  // Where no file says the class, a module does that no other class has.
  const isNative = kind === CLASS || (kind === undefined && modules.some(module => module.kind === MASK));
  if (!isNative && !isPylate) throw refuseKind(CLASS, kind ?? modules.map(module => module.kind).join(', '));
  return moduleLayout(source, modules, general, isNative);
}

/** @param isNative whether the modules say all: older files leave the normalisation and the skip list out */
async function moduleLayout(
  source: ModelSource,
  modules: readonly Module[],
  general: Json,
  isNative: boolean,
): Promise<MultiVectorLayout> {
  const [first, ...rest] = modules;
  if (first?.kind !== 'Transformer') {
    throw new UnsupportedError({
      what: 'a late-interaction model that does not begin with a Transformer is not supported',
      actual: modules.map(({ kind }) => kind).join(', '),
      supported: ['Transformer'],
    });
  }
  const list = rest.map(module =>
    module.type === 'pylate.models.Dense.Dense' ? moduleOf(DENSE, module.path) : module,
  );
  const masks = list.filter(({ kind }) => kind === MASK);
  // Whatever was pooled in a model of one vector is not pooled here.
  const others = list.filter(({ kind }) => kind !== MASK && (isNative || kind !== 'Pooling'));
  const file = inside(first.path, 'sentence_bert_config.json');
  const [chain, mask, transformer, ofTransformer] = await Promise.all([
    moduleChain(onTokens(source, others), others, { transformer: first.path }),
    masks[0] && maskOf(source, masks[0]),
    transformerSettings(source, first.path, 'hidden'),
    source.json(file, { optional: true }),
  ]);
  const knobs = transformerKnobs(isRecord(ofTransformer) ? ofTransformer : {}, file, pylateKnobs(general));
  const { prefixes } = knobs;
  const steps = isNative ? chain.tokenSteps : normalized(chain.tokenSteps);
  const tokenModules: TokenModules = {
    steps,
    files: chain.files.filter(({ from }) => steps.some(step => 'from' in step && step.from === from)),
  };
  return {
    ...lengthsOf(knobs),
    folder: first.path,
    modules: async () => tokenModules,
    settings: { ...promptsOf(general, prefixes), ...transformer },
    similarity: general.similarity_fn_name === 'meanmaxsim' ? 'meanmaxsim' : 'maxsim',
    mask: mask ?? (isNative ? undefined : skipping(knobs.skipped ?? PUNCTUATION)),
    markers: Object.values(prefixes),
  };
}

/** Stanford's ColBERT: `linear.weight` beside the encoder, and artifact.metadata. */
async function stanfordLayout(source: ModelSource): Promise<MultiVectorLayout> {
  const file = 'artifact.metadata';
  const metadata = new Fields((await source.json(file, { optional: true })) ?? {}, '', file);
  const knobs = stanfordKnobs(metadata);
  const dim = metadata.has('dim') ? metadata.integer('dim', undefined, { min: 1, max: 2 ** 17 }) : undefined;
  return {
    ...lengthsOf(knobs),
    folder: '',
    modules: async source => stanfordModules(dim ?? (await columnsIn(source))),
    settings: { ...promptsOf({}, knobs.prefixes), maxLength: undefined, lowerCase: false },
    similarity: 'maxsim',
    mask: skipping(metadata.flag('mask_punctuation', true) ? PUNCTUATION : []),
    markers: Object.values(knobs.prefixes),
  };
}

/** The projection of Stanford's ColBERT, and the scaling of its rows to length 1. */
function stanfordModules(columns: number): TokenModules {
  const from = 'sentence.1';
  const dense: ChainStep = {
    step: 'dense',
    from,
    outputs: columns,
    bias: false,
    activation: undefined,
    residual: 'none',
  };
  return { steps: normalized([dense]), files: [], inEncoder: { from, config: 'artifact.metadata' } };
}

/** The rows of `linear.weight`, where artifact.metadata does not say how many columns a vector has. */
async function columnsIn(source: ModelSource): Promise<number> {
  const checkpoint = await openCheckpoint(source);
  await checkpoint.cancel();
  return checkpoint.tensors.get('linear.weight')?.shape[0] ?? 128;
}

const lengthsOf = ({ queryLength, documentLength, expansion }: Knobs) => ({ queryLength, documentLength, expansion });

/** The steps, with the last one scaling rows to length 1. */
const normalized = (steps: readonly ChainStep[]): readonly ChainStep[] =>
  steps.at(-1)?.step === 'normalize' ? steps : [...steps, { step: 'normalize' }];

/** The same files, but a Dense that does not say what it reads is one of tokens. */
function onTokens(source: ModelSource, modules: readonly Module[]): ModelSource {
  const configs = modules.filter(({ kind }) => kind === 'Dense').map(({ path }) => inside(path, 'config.json'));
  return {
    name: source.name,
    open: (file, options) => source.open(file, options),
    async json(file, options) {
      const json = await source.json(file, options);
      return isRecord(json) && configs.includes(file) ? { module_input_name: 'token_embeddings', ...json } : json;
    },
  };
}

const skipping = (skipped: readonly string[]): ScoringMask => ({ skipped, tasks: ['document'], kept: undefined });

async function maskOf(source: ModelSource, module: Module): Promise<ScoringMask> {
  const fields = await optionalConfigOf(source, module);
  const kept = fields.has('keep_only_token_ids') ? fields.list('keep_only_token_ids') : [];
  if (!kept.every(isWhole)) throw fields.malformed(kept, 'a list of token ids', 'keep_only_token_ids');
  const tasks = [fields.json.skiplist_tasks ?? 'document'].flat();
  if (!tasks.every(isText)) throw fields.malformed(tasks, '"query" or "document", or a list of them', 'skiplist_tasks');
  return {
    skipped: fields.list('skiplist_words', []).map(String),
    tasks,
    kept: kept.length > 0 ? kept : undefined,
  };
}

/** The prompts of a checkpoint; a prefix comes before the prompt of its name, once. */
function promptsOf(
  general: Json,
  prefixes: Readonly<Record<string, string>>,
): Pick<SentenceSettings, 'prompts' | 'defaultPrompt'> {
  const { prompts, defaultPrompt } = settingsOf(general, 'SentenceTransformer');
  const prefixed = Object.entries(prefixes).map(([name, prefix]) => {
    const prompt = prompts[name] ?? '';
    return [name, prefix + (prompt.startsWith(prefix) ? prompt.slice(prefix.length) : prompt)];
  });
  return { prompts: { ...prompts, ...Object.fromEntries(prefixed) }, defaultPrompt };
}
