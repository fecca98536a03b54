import type { Activation } from '../../shaders/activation.ts';
import { CheckpointError, oneOf } from '../errors.ts';
import { Fields, isText, malformed } from '../fields.ts';

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
  /** Where a sequence is classified by its first token through a dense layer, not by the pooler: that layer's activation. */
  readonly classifier: Activation | undefined;
  /** Of the masked-LM transform. */
  readonly maskedActivation: Activation;
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
  /** See EncoderConfig. */
  readonly classifier?: Activation;
  /** Where it is not the encoder's. */
  readonly maskedActivation?: Activation;
}

type FieldName = 'hidden_size' | 'num_attention_heads' | 'num_hidden_layers' | 'intermediate_size' | 'hidden_act';

const BERT: Family = { types: 2, activation: 'gelu', eps: 1e-12 };
const ROBERTA: Family = { ...BERT, fairseqPositions: true, classifier: 'tanh', maskedActivation: 'gelu' };

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
  mpnet: { ...ROBERTA, types: 0, relativeBias: true },
  ernie: { ...BERT, tasks: true },
};

export const MODEL_TYPES: readonly string[] = Object.keys(FAMILIES);

const FILE = 'config.json';

/** Fields of which one value alone is built. */
const ONLY = { position_embedding_type: 'absolute', is_decoder: false, add_cross_attention: false, inner_group_num: 1 };

/**
 * Reads config.json. Throws UnsupportedError for a family, activation or variant that is not built (with the list of what is),
 * CheckpointError for a field that is missing or makes no sense.
 * Names and defaults: transformers' BertConfig.
 */
export function readConfig(raw: unknown): EncoderConfig {
  const fields = new Fields(raw, '', FILE, CheckpointError);
  const { json } = fields;
  const modelType = String(json.model_type);
  const family = FAMILIES[oneOf(`"model_type" of ${FILE}`, json.model_type, MODEL_TYPES)]!;
  for (const [name, only] of Object.entries(ONLY)) oneOf(`"${name}" of ${FILE}`, json[name] ?? only, [only]);
  const named = (name: FieldName) => family.fields?.[name] ?? name;
  const count = (name: string, missing?: number) => fields.integer(name, missing, 1);
  const hiddenSize = count(named('hidden_size'));
  const heads = count(named('num_attention_heads'));
  if (hiddenSize % heads !== 0) {
    const sizes = `${named('hidden_size')} ${hiddenSize}, ${named('num_attention_heads')} ${heads}`;
    throw malformed(sizes, hiddenSize / heads, 'heads of a whole size', FILE, CheckpointError);
  }
  const act = named('hidden_act');
  const activation =
    ACTIVATIONS[oneOf(`"${act}" of ${FILE}`, json[act] ?? family.activation, Object.keys(ACTIVATIONS))]!;
  const layers = count(named('num_hidden_layers'));
  const groups = family.sharedLayers ? count('num_hidden_groups', 1) : layers;
  const padTokenId = fields.integer('pad_token_id', family.fairseqPositions ? 1 : 0);
  const positionOffset = family.fairseqPositions ? padTokenId + 1 : 0;
  const embeddingSize = family.projection ? count('embedding_size', 128) : hiddenSize;
  return {
    modelType,
    vocabSize: count('vocab_size'),
    hiddenSize,
    layers,
    heads,
    headSize: hiddenSize / heads,
    intermediateSize: count(named('intermediate_size')),
    activation,
    normEps: fields.get('layer_norm_eps', isEps, 'a number from 0 to 1', family.eps),
    maxPositions: count('max_position_embeddings') - positionOffset,
    positionOffset,
    typeVocabSize: family.types && fields.integer('type_vocab_size', family.types),
    padTokenId,
    embeddingSize,
    projectsEmbedding: family.projection === 'always' || embeddingSize !== hiddenSize,
    taskVocabSize: family.tasks && json.use_task_id === true ? count('task_type_vocab_size', 3) : 0,
    layerWeights: Array.from({ length: layers }, (_, i) => Math.floor(i / (layers / groups))),
    relativeBuckets: family.relativeBias ? count('relative_attention_num_buckets', 32) : 0,
    tiedDecoder: json.tie_word_embeddings !== false,
    classifier: family.classifier,
    maskedActivation: family.maskedActivation ?? activation,
    labels: labelsOf(fields),
    problemType: isText(json.problem_type) ? json.problem_type : undefined,
    raw: json,
  };
}

const isEps = (value: unknown): value is number => typeof value === 'number' && value >= 0 && value < 1;

/** id2label's names in the order of their ids; without it num_labels of LABEL_i, 2 unless told. */
function labelsOf(fields: Fields): string[] {
  const names = fields.json.id2label;
  if (typeof names !== 'object' || !names)
    return Array.from({ length: fields.integer('num_labels', 2, 1) }, (_, i) => `LABEL_${i}`);
  const labels: string[] = [];
  for (const [id, name] of Object.entries(names)) labels[Number(id)] = String(name);
  if (labels.length > 0 && Object.keys(labels).length === labels.length) return labels;
  throw fields.malformed(names, 'a name for every id from 0 on', 'id2label');
}
