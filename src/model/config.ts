import type { Activation } from '../../shaders/activation.ts';
import { CheckpointError, oneOf } from '../errors.ts';
import { Fields, isText, isWhole, type Json, malformed } from '../json.ts';

/** config.json, checked, under one set of names for all families. */
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
  /** The largest number of tokens of a sequence. */
  readonly maxPositions: number;
  /** The row of the position table for the first token. RoBERTa's table begins with rows up to that of the padding. */
  readonly positionOffset: number;
  /** 0: the family has no segments. */
  readonly typeVocabSize: number;
  /** For fairseq's families, which count positions without padding: the id of the padding, -1 where no token is padding. Else 0. */
  readonly padTokenId: number;
  /** E: columns of the embeddings. */
  readonly embeddingSize: number;
  /** Whether a linear leads from E to C. */
  readonly projectsEmbedding: boolean;
  /** Rows of ERNIE's task table, whose row 0 is added to every token; 0: there is none. */
  readonly taskVocabSize: number;
  /** The number of the layer of the checkpoint whose weights each layer has: 0, 1, 2, ..., with repetitions where layers share (ALBERT). */
  readonly layerWeights: readonly number[];
  /** Buckets of MPNet's relative positions, whose bias all layers share; 0: there are none. */
  readonly relativeBuckets: number;
  /** Whether the masked-LM decoder is the word table. */
  readonly tiedDecoder: boolean;
  /** The activation of the dense layer through which a sequence is classified by its first token; undefined: by the pooler's output. */
  readonly classifier: Activation | undefined;
  /** The activation of the dense layer of the masked-LM head. */
  readonly maskedActivation: Activation;
  /** The names of the classes by id; undefined for a class without a name; empty where there are no classes. */
  readonly labels: readonly (string | undefined)[];
  readonly problemType: string | undefined;
  /** The whole config.json, for what a task needs beyond the encoder. */
  readonly raw: Readonly<Record<string, unknown>>;
}

/** By the spelling of `hidden_act`. gelu_new and gelu_fast are one function: their constants are the same float32. */
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

/** How a family's config.json and encoder differ from BERT's. The names of its tensors are in checkpoint/file/names.ts. */
interface Family {
  /** Names of fields that are not BERT's. */
  readonly fields?: Readonly<Partial<Record<FieldName, string>>>;
  /** Positions count from the padding's id + 1, as in fairseq's models. 'fixed': the id is 1, whatever config.json says. */
  readonly fairseqPositions?: 'configured' | 'fixed';
  /** Default of type_vocab_size; 0: the family has no segments. */
  readonly types: number;
  readonly activation: string;
  readonly eps: number;
  /** When a linear leads from E to C: where they differ, or always (ALBERT). */
  readonly projection?: 'if needed' | 'always';
  /** Layers share weights in groups. */
  readonly sharedLayers?: true;
  /** All layers add one bias by distance to their scores. */
  readonly relativeBias?: true;
  /** There may be a task table. */
  readonly tasks?: true;
  /** See EncoderConfig. */
  readonly classifier?: Activation;
  /** Default: the encoder's activation. */
  readonly maskedActivation?: Activation;
}

type FieldName = 'hidden_size' | 'num_attention_heads' | 'num_hidden_layers' | 'intermediate_size' | 'hidden_act';

const BERT: Family = { types: 2, activation: 'gelu', eps: 1e-12 };
const ROBERTA: Family = { ...BERT, fairseqPositions: 'configured', classifier: 'tanh', maskedActivation: 'gelu' };

/** The families by `model_type`; defaults are those of transformers' config classes. */
const FAMILIES: Readonly<Record<string, Family>> = {
  bert: BERT,
  distilbert: {
    ...BERT,
    types: 0,
    classifier: 'relu',
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
  electra: { ...BERT, projection: 'if needed', classifier: 'gelu', maskedActivation: 'gelu' },
  albert: { ...BERT, activation: 'gelu_new', projection: 'always', sharedLayers: true },
  mpnet: { ...ROBERTA, fairseqPositions: 'fixed', types: 0, relativeBias: true },
  ernie: { ...BERT, tasks: true },
};

export const MODEL_TYPES: readonly string[] = Object.keys(FAMILIES);

const FILE = 'config.json';
const CONFIG_FILE = { name: FILE, error: CheckpointError };

/**
 * The largest numbers that are accepted: many times those of any encoder. A larger one is a mistake, and would fill the memory with a
 * plan before the weights could show it. The limit on layers is the lowest, because a plan lists the steps of each.
 */
const MAX_LAYERS = 256;
const MAX_COLUMNS = 2 ** 17;
const MAX_ROWS = 2 ** 26;

/** Fields for which one value is supported. */
const SUPPORTED = {
  position_embedding_type: 'absolute',
  is_decoder: false,
  add_cross_attention: false,
  inner_group_num: 1,
};

/**
 * Reads config.json. Throws UnsupportedError for a family, activation or variant that is not supported (with the list of those that are),
 * CheckpointError for a field that is missing or makes no sense.
 * Names and defaults: transformers' config classes.
 */
export function readConfig(raw: unknown): EncoderConfig {
  const fields = new Fields(raw, '', CONFIG_FILE);
  const { json } = fields;
  const modelType = oneOf<unknown>(`"model_type" of ${FILE}`, json.model_type, MODEL_TYPES) as string;
  const family = FAMILIES[modelType]!;
  for (const [name, value] of Object.entries(SUPPORTED)) oneOf(`"${name}" of ${FILE}`, json[name] ?? value, [value]);
  const named = (name: FieldName) => family.fields?.[name] ?? name;
  const count = (name: string, max: number, missing?: number) => fields.integer(name, missing, { min: 1, max });
  const hiddenSize = count(named('hidden_size'), MAX_COLUMNS);
  const heads = count(named('num_attention_heads'), MAX_COLUMNS);
  if (hiddenSize % heads !== 0) {
    const sizes = `${named('hidden_size')} ${hiddenSize}, ${named('num_attention_heads')} ${heads}`;
    throw malformed(CONFIG_FILE, { where: sizes, actual: hiddenSize / heads, expected: 'heads of a whole size' });
  }
  const act = named('hidden_act');
  const activation =
    ACTIVATIONS[oneOf(`"${act}" of ${FILE}`, json[act] ?? family.activation, Object.keys(ACTIVATIONS))]!;
  const layers = count(named('num_hidden_layers'), MAX_LAYERS);
  const groups = family.sharedLayers ? count('num_hidden_groups', MAX_LAYERS, 1) : layers;
  const padTokenId = paddingOf(fields, family);
  const positionOffset = family.fairseqPositions ? padTokenId + 1 : 0;
  const positions = count('max_position_embeddings', MAX_ROWS);
  if (positions <= positionOffset) {
    const expected = `more than ${positionOffset}: the first positions are those of the padding, pad_token_id ${padTokenId}`;
    throw fields.malformed(positions, expected, 'max_position_embeddings');
  }
  const embeddingSize = family.projection ? count('embedding_size', MAX_COLUMNS, 128) : hiddenSize;
  return {
    modelType,
    vocabSize: count('vocab_size', MAX_ROWS),
    hiddenSize,
    layers,
    heads,
    headSize: hiddenSize / heads,
    intermediateSize: count(named('intermediate_size'), MAX_COLUMNS),
    activation,
    normEps: fields.get('layer_norm_eps', isEps, 'a number from 0 to 1', family.eps),
    maxPositions: positions - positionOffset,
    positionOffset,
    typeVocabSize: family.types && fields.integer('type_vocab_size', family.types, { min: 1, max: MAX_ROWS }),
    padTokenId,
    embeddingSize,
    projectsEmbedding: family.projection === 'always' || embeddingSize !== hiddenSize,
    taskVocabSize: family.tasks && json.use_task_id === true ? count('task_type_vocab_size', MAX_ROWS, 3) : 0,
    layerWeights: Array.from({ length: layers }, (_, i) => Math.floor(i / (layers / groups))),
    relativeBuckets: family.relativeBias ? count('relative_attention_num_buckets', MAX_ROWS, 32) : 0,
    tiedDecoder: json.tie_word_embeddings !== false,
    classifier: family.classifier,
    maskedActivation: family.maskedActivation ?? activation,
    labels: labelsOf(json),
    problemType: isText(json.problem_type) ? json.problem_type : undefined,
    raw: json,
  };
}

const isEps = (value: unknown): value is number => typeof value === 'number' && value >= 0 && value < 1;

/**
 * The padding's id where positions depend on it. All such models were trained with 1, so a missing id or null, with which Python's
 * classes fail, is read as 1. -1 says that no token is padding; then positions begin at 0.
 */
function paddingOf(fields: Fields, { fairseqPositions }: Family): number {
  if (fairseqPositions === undefined) return 0;
  return fairseqPositions === 'fixed' ? 1 : fields.integer('pad_token_id', 1, { min: -1, max: MAX_ROWS });
}

/**
 * The classes as transformers' PretrainedConfig counts them: as many as `id2label` has entries, whatever their ids. Without it there are
 * `num_labels` classes (default: 2) with the names LABEL_0, LABEL_1, ... Nothing is refused here, because most models have no classes.
 */
function labelsOf({ id2label, num_labels }: Json): (string | undefined)[] {
  if (id2label === undefined || id2label === null) {
    const count = num_labels ?? 2;
    return Array.from({ length: isWhole(count) && count <= MAX_COLUMNS ? count : 0 }, (_, id) => `LABEL_${id}`);
  }
  if (typeof id2label !== 'object') return [];
  return Array.from({ length: Object.keys(id2label).length }, (_, id) => {
    const name = (id2label as Json)[id];
    return isText(name) || typeof name === 'number' ? String(name) : undefined;
  });
}

const LABELS = 'A model without classes has no such head: take another task, or a checkpoint that was trained for it.';

/** The number of classes, for a head with a logit per class. Throws CheckpointError where config.json has none. */
export function labelCount({ labels, raw }: EncoderConfig): number {
  if (labels.length > 0) return labels.length;
  const where = (raw.id2label ?? null) === null ? 'num_labels' : 'id2label';
  const expected = 'at least one class, which this head needs';
  throw malformed(CONFIG_FILE, { where, actual: raw[where], expected, next: LABELS });
}

/** The name of every class, for a task whose answers are names. Throws CheckpointError where config.json lacks one. */
export function labelNames(config: EncoderConfig): readonly string[] {
  labelCount(config);
  return config.labels.map((name, id) => {
    if (name !== undefined) return name;
    const next = `Give class ${id} a name in a copy of ${FILE}, or take AutoModelForSequenceClassification, which gives logits.`;
    const expected = `a name for class ${id}`;
    throw malformed(CONFIG_FILE, { where: 'id2label', actual: config.raw.id2label, expected, next });
  });
}
