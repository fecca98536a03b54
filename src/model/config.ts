import { oneOf } from '../errors.ts';
import { Fields, isText, malformed } from '../json.ts';
import { CONFIG_FILE } from './config-file.ts';
import type { Classifier, EncoderConfig } from './encoder-config.ts';
import { FAMILIES } from './families/index.ts';
import { ACTIVATIONS, type Family, type FieldName, MAX_COLUMNS, MAX_LAYERS, MAX_ROWS } from './family.ts';
import { labelsOf } from './labels.ts';
import { BUCKETS } from './layer-parts.ts';
import { modelTypeOf } from './model-type.ts';
import { summaryOf } from './summary.ts';

export const MODEL_TYPES: readonly string[] = Object.keys(FAMILIES);

/**
 * Reads config.json. Throws UnsupportedError for a family, activation or variant that is not supported (with the list of those that are),
 * CheckpointError for a field that is missing or makes no sense.
 * Names and defaults: transformers' config classes.
 */
export function readConfig(raw: unknown): EncoderConfig {
  const fields = new Fields(raw, '', CONFIG_FILE);
  const modelType = modelTypeOf(fields.json, MODEL_TYPES);
  const family = FAMILIES[modelType]!;
  checkSupported(fields, family);
  const config = bertConfig(fields, modelType, family);
  return { ...config, ...family.variant?.(fields, config) };
}

/** The configuration of a checkpoint whose tensors have these names. Only families that their names tell something wait for them. */
export async function withTensors(
  config: EncoderConfig,
  names: () => Promise<Iterable<string>>,
): Promise<EncoderConfig> {
  const byTensors = FAMILIES[config.modelType]?.byTensors;
  return byTensors ? { ...config, ...byTensors([...(await names())]) } : config;
}

/** Throws UnsupportedError where a field has another value than those that are supported. */
function checkSupported({ json }: Fields, { supported }: Family): void {
  for (const [name, value] of Object.entries(supported)) {
    const values = [value].flat();
    oneOf(`"${name}" of config.json`, json[name] ?? values[0], values);
  }
}

/** What all families have in common: BERT, with the family's data in the places where these suffice. */
function bertConfig(fields: Fields, modelType: string, family: Family): EncoderConfig {
  const { json } = fields;
  const named = (name: FieldName): string => {
    const names = [family.fields?.[name] ?? name].flat();
    return names.find(spelling => fields.has(spelling)) ?? names[0]!;
  };
  const count = (name: FieldName, max: number) => fields.integer(named(name), family.sizes?.[name], { min: 1, max });
  const hiddenSize = count('hidden_size', MAX_COLUMNS);
  const heads = count('num_attention_heads', MAX_COLUMNS);
  const headSize =
    family.headSize !== undefined && !fields.has('head_dim')
      ? family.headSize
      : headSizeOf(fields, hiddenSize, heads, [named('hidden_size'), named('num_attention_heads')]);
  const act = named('hidden_act');
  const spelledActivation = family.fixedActivation ? family.activation : (json[act] ?? family.activation);
  const activation =
    ACTIVATIONS[oneOf(`"${act}" of config.json`, spelledActivation, Object.keys(ACTIVATIONS)) as string]!;
  const eps = family.fixedEps
    ? family.eps
    : fields.get(named('layer_norm_eps'), isEps, 'a number from 0 to 1', family.eps);
  const turns = count('num_hidden_layers', MAX_LAYERS);
  const shared = (name: string) => fields.integer(name, 1, { min: 1, max: MAX_LAYERS });
  const groups = family.sharedLayers ? shared('num_hidden_groups') : turns;
  const layersPerGroup = family.sharedLayers ? shared('inner_group_num') : 1;
  const layers = turns * layersPerGroup;
  if (layers > MAX_LAYERS) {
    const expected = `at most ${Math.floor(MAX_LAYERS / turns)} with ${turns} layers`;
    throw fields.malformed(layersPerGroup, expected, 'inner_group_num');
  }
  const padTokenId = paddingOf(fields, family);
  const positionOffset = family.fairseqPositions ? padTokenId + 1 : 0;
  const positions = count('max_position_embeddings', MAX_ROWS);
  if (positions <= positionOffset) {
    const expected = `more than ${positionOffset}: the first positions are those of the padding, pad_token_id ${padTokenId}`;
    throw fields.malformed(positions, expected, 'max_position_embeddings');
  }
  const rows = (name: string, missing: number, min = 1) => fields.integer(name, missing, { min, max: MAX_ROWS });
  const types = family.types && rows(named('type_vocab_size'), family.types, family.mayLackTypes ? 0 : 1);
  const embeddingSize = family.projection
    ? fields.integer('embedding_size', 128, { min: 1, max: MAX_COLUMNS })
    : hiddenSize;
  const classifier: Classifier = {
    dense: 'pooler',
    activation: 'tanh',
    bias: true,
    outputBias: true,
    norm: false,
    pooling: 'cls',
    pools: 'first',
    ofTokens: false,
    ...family.classifier,
  };
  return {
    modelType,
    headKinds: family.headKinds,
    vocabSize: count('vocab_size', MAX_ROWS),
    hiddenSize,
    layers,
    heads,
    keyHeads: heads,
    headSize,
    intermediateSize: count('intermediate_size', MAX_COLUMNS),
    activation,
    norm: { ...family.norm, eps },
    layerOrder: 'post-norm',
    bottleneck: undefined,
    layerSize: hiddenSize,
    groups: undefined,
    groupMatrices: undefined,
    spanConvolution: undefined,
    hasFirstAttentionNorm: true,
    hasSecondAttentionNorm: false,
    isGated: false,
    biases: { qkv: true, attention: true, intermediate: true, output: true },
    queryKeyNorm: undefined,
    attentionScale: 1 / Math.sqrt(headSize),
    attentionsAreScores: false,
    attentions: new Array(layers).fill({}),
    disentangled: undefined,
    convolution: undefined,
    embeddingFactor: 1,
    tokenDropout: undefined,
    hasEmbeddingNorm: true,
    hasPositionTable: true,
    maxPositions: positions - positionOffset,
    positionOffset,
    typeVocabSize: types,
    sharesOneType: family.mayShareOneType === true && types === 1,
    padTokenId,
    embeddingSize,
    projectsEmbedding: family.projection === 'always' || embeddingSize !== hiddenSize,
    normsProjection: false,
    projectsWords: false,
    hasTrigrams: false,
    taskVocabSize: family.tasks && json.use_task_id === true ? rows('task_type_vocab_size', 3) : 0,
    layersPerGroup,
    layerWeights: Array.from({ length: layers }, (_, i) => {
      const group = Math.floor(Math.floor(i / layersPerGroup) / (turns / groups));
      return group * layersPerGroup + (i % layersPerGroup);
    }),
    relativeRows: family.relativeBias ? rows('relative_attention_num_buckets', BUCKETS, BUCKETS) : 0,
    tiedDecoder: json.tie_word_embeddings !== false,
    decoderSize: embeddingSize,
    mayPool: true,
    hasPoolerDense: true,
    poolerSize: hiddenSize,
    poolerActivation: 'tanh',
    classifier,
    choiceDense: family.choiceDense ?? 'classifier',
    summary: family.summary && (() => summaryOf(fields, family.summary!)),
    masked: { transform: true, activation: family.maskedActivation ?? activation, bias: true, decoderBias: true },
    lora: undefined,
    labels: labelsOf(json),
    problemType: isText(json.problem_type) ? json.problem_type : undefined,
    raw: json,
  };
}

/** D. Some families say it; for the others the heads must divide C. */
function headSizeOf(fields: Fields, hiddenSize: number, heads: number, [size, count]: [string, string]): number {
  if (fields.has('head_dim')) return fields.integer('head_dim', undefined, { min: 1, max: MAX_COLUMNS });
  if (hiddenSize % heads === 0) return hiddenSize / heads;
  const where = `${size} ${hiddenSize}, ${count} ${heads}`;
  throw malformed(CONFIG_FILE, { where, actual: hiddenSize / heads, expected: 'heads of a whole size' });
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
