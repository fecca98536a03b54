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
  /** Rows of the position table: the longest sequence there can be. */
  readonly maxPositions: number;
  readonly typeVocabSize: number;
  readonly padTokenId: number;
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

/** The families by `model_type`. */
export const MODEL_TYPES = ['bert'] as const;

const FILE = 'config.json';

class Fields {
  readonly #raw: Record<string, unknown>;

  constructor(raw: unknown) {
    if (typeof raw !== 'object' || raw === null || Array.isArray(raw)) {
      throw new CheckpointError({
        what: `${FILE} is no JSON object`,
        actual: JSON.stringify(raw)?.slice(0, 80),
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
  if (typeof modelType !== 'string' || !(MODEL_TYPES as readonly string[]).includes(modelType)) {
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
  const act = fields.get('hidden_act') ?? 'gelu';
  const activation = typeof act === 'string' && Object.hasOwn(ACTIVATIONS, act) ? ACTIVATIONS[act] : undefined;
  if (!activation) {
    throw new UnsupportedError({
      what: 'this activation ("hidden_act" in config.json) is not supported',
      actual: JSON.stringify(act),
      supported: Object.keys(ACTIVATIONS),
    });
  }
  const hiddenSize = fields.count('hidden_size');
  const heads = fields.count('num_attention_heads');
  if (hiddenSize % heads !== 0) {
    throw new CheckpointError({
      what: `${FILE} has a hidden size that its heads do not divide`,
      actual: `hidden_size ${hiddenSize} and num_attention_heads ${heads}`,
      file: FILE,
    });
  }
  const eps = fields.get('layer_norm_eps') ?? 1e-12;
  if (typeof eps !== 'number' || !(eps >= 0 && eps < 1)) {
    throw new CheckpointError({ what: `${FILE} has a bad "layer_norm_eps"`, actual: JSON.stringify(eps), file: FILE });
  }
  return {
    modelType,
    vocabSize: fields.count('vocab_size'),
    hiddenSize,
    layers: fields.count('num_hidden_layers'),
    heads,
    headSize: hiddenSize / heads,
    intermediateSize: fields.count('intermediate_size'),
    activation,
    normEps: eps,
    maxPositions: fields.count('max_position_embeddings'),
    typeVocabSize: fields.count('type_vocab_size', { fallback: 2 }),
    padTokenId: fields.count('pad_token_id', { least: 0, fallback: 0 }),
  };
}
