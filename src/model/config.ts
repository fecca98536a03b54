import type { Activation } from '../../shaders/activation.ts';
import { CheckpointError, UnsupportedError } from '../errors.ts';

/** What the encoder needs to know of a checkpoint: config.json, checked once and under one set of names. */
export interface EncoderConfig {
  readonly modelType: string;
  readonly vocabSize: number;
  /** C */
  readonly hiddenSize: number;
  readonly layers: number;
  /** H and D; H D = C. */
  readonly heads: number;
  readonly headSize: number;
  /** F */
  readonly intermediateSize: number;
  readonly activation: Activation;
  readonly normEps: number;
  /** The longest sequence there can be. */
  readonly maxPositions: number;
  /** Added to a token's place: RoBERTa's tables begin with the padding's row and those before it. */
  readonly positionOffset: number;
  /** 0: the model knows no segments. */
  readonly typeVocabSize: number;
  readonly padTokenId: number;
  /** Floats of an embedding; where it is not C, a linear leads from one to the other. */
  readonly embeddingSize: number;
  readonly projectsEmbedding: boolean;
  /** Rows of ERNIE's task table, of which row 0 is added to every token; 0: none. */
  readonly taskVocabSize: number;
  /** The weights of every layer, by number: [0, 1, 2, ...], or the same one many times (ALBERT). */
  readonly layerWeights: readonly number[];
  /** Buckets of MPNet's relative positions, whose bias all layers share; 0: none. */
  readonly relativeBuckets: number;
  /** Whether the masked-LM decoder is the word table. */
  readonly tiedDecoder: boolean;
  /** The classes of a head, by index; Python's default is LABEL_0 and LABEL_1. */
  readonly labels: readonly string[];
  readonly problemType: string | undefined;
  /** config.json, whole: what a task needs beyond the encoder. */
  readonly raw: Readonly<Record<string, unknown>>;
}

/** `hidden_act` as checkpoints spell it. The two spellings of tanh GELU differ in no digit that float32 keeps. */
const ACTIVATIONS: Readonly<Record<string, Activation>> = {
  gelu: 'gelu',
  gelu_python: 'gelu',
  gelu_new: 'gelu_tanh',
  gelu_fast: 'gelu_tanh',
  gelu_pytorch_tanh: 'gelu_tanh',
  relu: 'relu',
  silu: 'silu',
  swish: 'silu',
  tanh: 'tanh',
};

/** How a family's config.json and encoder differ from BERT's. Its tensors' names are in checkpoint/names.ts. */
interface Family {
  /** Names of the fields, where they are not BERT's. */
  readonly fields?: Readonly<Partial<Record<FieldName, string>>>;
  /** Positions count from the padding's id + 1, as in fairseq's models. */
  readonly fairseqPositions?: true;
  /** Default of type_vocab_size; 0: the family has no segments. */
  readonly types: number;
  readonly activation: string;
  readonly eps: number;
  /** Embeddings of another size than C are projected; ALBERT projects always. */
  readonly projection?: 'if needed' | 'always';
  readonly sharedLayers?: true;
  readonly relativeBias?: true;
  readonly tasks?: true;
}

type FieldName = 'hidden_size' | 'num_attention_heads' | 'num_hidden_layers' | 'intermediate_size' | 'hidden_act';

const BERT: Family = { types: 2, activation: 'gelu', eps: 1e-12 };
const ROBERTA: Family = { ...BERT, fairseqPositions: true };

/** The families by `model_type`; defaults are those of transformers' config classes. */
const FAMILIES: Readonly<Record<string, Family>> = {
  bert: BERT,
  distilbert: {
    ...BERT,
    types: 0,
    fields: {
      hidden_size: 'dim',
      num_attention_heads: 'n_heads',
      num_hidden_layers: 'n_layers',
      intermediate_size: 'hidden_dim',
      hidden_act: 'activation',
    },
  },
  roberta: ROBERTA,
  'xlm-roberta': ROBERTA,
  camembert: ROBERTA,
  electra: { ...BERT, projection: 'if needed' },
  albert: { ...BERT, activation: 'gelu_new', projection: 'always', sharedLayers: true },
  mpnet: { ...BERT, types: 0, fairseqPositions: true, relativeBias: true },
  ernie: { ...BERT, tasks: true },
};

export const MODEL_TYPES: readonly string[] = Object.keys(FAMILIES);

const FILE = 'config.json';

class Fields {
  readonly #raw: Record<string, unknown>;

  constructor(raw: unknown) {
    if (typeof raw !== 'object' || raw === null || Array.isArray(raw)) {
      throw new CheckpointError({
        what: `${FILE} is no JSON object`,
        actual: JSON.stringify(raw)?.slice(0, 80),
        expected: 'an object with "model_type"',
        file: FILE,
      });
    }
    this.#raw = raw as Record<string, unknown>;
  }

  get(name: string): unknown {
    return this.#raw[name];
  }

  /** A whole number of at least `least`; the fallback, where there is one, stands for a field that is missing or null. */
  count(name: string, { least = 1, fallback }: { least?: number; fallback?: number } = {}): number {
    const value = this.#raw[name] ?? fallback;
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < least) {
      throw new CheckpointError({
        what: `${FILE} has a bad "${name}"`,
        actual: JSON.stringify(value) ?? 'nothing',
        expected: `a whole number of at least ${least}`,
        next: 'Check that the file belongs to this model.',
        file: FILE,
      });
    }
    return value;
  }

  /** Refuses a field that, set so, asks for something that is not built. */
  only(name: string, allowed: readonly unknown[]): void {
    const value = this.#raw[name];
    if (value === undefined || value === null || allowed.includes(value)) return;
    throw new UnsupportedError({
      what: `${FILE} asks for "${name}": ${JSON.stringify(value)}, which is not supported`,
      actual: JSON.stringify(value),
      supported: allowed.map(String),
    });
  }
}

/**
 * Reads config.json. Throws UnsupportedError for a family, activation or variant that is not built (with the list of what is),
 * CheckpointError for a field that is missing or makes no sense.
 * Names and defaults: transformers' BertConfig.
 */
export function readConfig(raw: unknown): EncoderConfig {
  const fields = new Fields(raw);
  const modelType = fields.get('model_type');
  const family = typeof modelType === 'string' && Object.hasOwn(FAMILIES, modelType) ? FAMILIES[modelType] : undefined;
  if (!family) {
    throw new UnsupportedError({
      what: 'this model type is not supported',
      actual: modelType === undefined ? 'no "model_type" in config.json' : JSON.stringify(modelType),
      supported: MODEL_TYPES,
      next: 'Choose a checkpoint of a supported family.',
    });
  }
  fields.only('position_embedding_type', ['absolute']);
  fields.only('is_decoder', [false]);
  fields.only('add_cross_attention', [false]);
  fields.only('inner_group_num', [1]);
  const named = (name: FieldName) => family.fields?.[name] ?? name;
  const hiddenSize = fields.count(named('hidden_size'));
  const heads = fields.count(named('num_attention_heads'));
  if (hiddenSize % heads !== 0) {
    throw new CheckpointError({
      what: `${FILE} has a hidden size that its heads do not divide`,
      actual: `${named('hidden_size')} ${hiddenSize} and ${named('num_attention_heads')} ${heads}`,
      expected: 'a hidden size that is a multiple of the heads',
      file: FILE,
    });
  }
  const layers = fields.count(named('num_hidden_layers'));
  const groups = family.sharedLayers ? fields.count('num_hidden_groups', { fallback: 1 }) : layers;
  const padTokenId = fields.count('pad_token_id', { least: 0, fallback: family.fairseqPositions ? 1 : 0 });
  const positionOffset = family.fairseqPositions ? padTokenId + 1 : 0;
  const embeddingSize = family.projection ? fields.count('embedding_size', { fallback: 128 }) : hiddenSize;
  return {
    modelType: String(modelType),
    vocabSize: fields.count('vocab_size'),
    hiddenSize,
    layers,
    heads,
    headSize: hiddenSize / heads,
    intermediateSize: fields.count(named('intermediate_size')),
    activation: activationOf(fields.get(named('hidden_act')) ?? family.activation),
    normEps: epsOf(fields.get('layer_norm_eps') ?? family.eps),
    maxPositions: fields.count('max_position_embeddings') - positionOffset,
    positionOffset,
    typeVocabSize: family.types && fields.count('type_vocab_size', { least: 0, fallback: family.types }),
    padTokenId,
    embeddingSize,
    projectsEmbedding: family.projection === 'always' || embeddingSize !== hiddenSize,
    taskVocabSize:
      family.tasks && fields.get('use_task_id') === true ? fields.count('task_type_vocab_size', { fallback: 3 }) : 0,
    layerWeights: Array.from({ length: layers }, (_, i) => Math.floor(i / (layers / groups))),
    relativeBuckets: family.relativeBias ? fields.count('relative_attention_num_buckets', { fallback: 32 }) : 0,
    tiedDecoder: fields.get('tie_word_embeddings') !== false,
    labels: labelsOf(fields),
    problemType: typeof fields.get('problem_type') === 'string' ? String(fields.get('problem_type')) : undefined,
    raw: raw as Record<string, unknown>,
  };
}

function activationOf(act: unknown): Activation {
  const activation = typeof act === 'string' && Object.hasOwn(ACTIVATIONS, act) ? ACTIVATIONS[act] : undefined;
  if (activation) return activation;
  throw new UnsupportedError({
    what: 'this activation ("hidden_act" in config.json) is not supported',
    actual: JSON.stringify(act),
    supported: Object.keys(ACTIVATIONS),
  });
}

function epsOf(eps: unknown): number {
  if (typeof eps === 'number' && eps >= 0 && eps < 1) return eps;
  throw new CheckpointError({
    what: `${FILE} has a bad "layer_norm_eps"`,
    actual: JSON.stringify(eps),
    expected: 'a number from 0 to 1',
    file: FILE,
  });
}

/** id2label's names in the order of their ids; without it num_labels of LABEL_i, 2 unless told. */
function labelsOf(fields: Fields): string[] {
  const names = fields.get('id2label');
  if (typeof names !== 'object' || names === null) {
    return Array.from({ length: fields.count('num_labels', { fallback: 2 }) }, (_, i) => `LABEL_${i}`);
  }
  const labels: string[] = [];
  for (const [id, name] of Object.entries(names)) labels[Number(id)] = String(name);
  if (labels.length > 0 && Object.keys(labels).length === labels.length) return labels;
  throw new CheckpointError({
    what: `${FILE} has an "id2label" with gaps`,
    actual: JSON.stringify(names).slice(0, 120),
    expected: 'a name for every id from 0 on',
    file: FILE,
  });
}
