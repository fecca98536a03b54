import { oneOf } from '../../errors.ts';
import type { Fields } from '../../json.ts';
import type { EncoderConfig } from '../encoder-config.ts';
import { ENCODER, type Family, MAX_ROWS, paddedVocabulary } from '../family.ts';
import { FEW_HEADS } from '../head-kind.ts';
import { flashRotary, isPositive, type Rotary, rotaryOf } from '../rotary.ts';

/**
 * Nussbaum et al., arXiv 2402.01613: BERT with rotary positions, a gated feed-forward layer, and linears without biases. config.json has
 * the names of GPT-2 (the hub's files, whose classes are remote code) or those of transformers 5.
 */
export const NOMIC_BERT: Family = {
  headKinds: FEW_HEADS,
  types: 2,
  mayLackTypes: true,
  activation: 'silu',
  eps: 1e-12,
  fields: {
    hidden_size: ['hidden_size', 'n_embd'],
    num_attention_heads: ['num_attention_heads', 'n_head'],
    num_hidden_layers: ['num_hidden_layers', 'n_layer'],
    intermediate_size: ['intermediate_size', 'n_inner'],
    max_position_embeddings: ['max_position_embeddings', 'n_positions'],
    layer_norm_eps: ['layer_norm_eps', 'layer_norm_epsilon'],
  },
  sizes: { max_position_embeddings: 2048 },
  supported: {
    ...ENCODER,
    causal: false,
    prenorm: false,
    parallel_block: false,
    use_rms_norm: false,
    rotary_emb_scale_base: null,
    rotary_head_dim: false,
    num_heads_kv: null,
    // The mixture of experts of nomic-embed-text-v2-moe.
    num_experts: [null, 0, 1],
  },
  variant: nomicBert,
};

/** The gated activations by their names on the hub. */
const GATED = { swiglu: 'silu', geglu: 'gelu' } as const;
/**
 * The names of layers without a gate, whose activation is GELU in any case, and what the dense layer of the masked-LM head has by the same
 * name.
 */
const PLAIN = { gelu: 'gelu', gelu_new: 'gelu_tanh', gelu_fast: 'gelu_tanh', gelu_pytorch_tanh: 'gelu_tanh' } as const;
/** Rows that the inner size of the hub's gated layers is rounded up to. */
const INNER_MULTIPLE = 256;

const isHub = (fields: Fields): boolean => fields.has('n_embd');

function nomicBert(fields: Fields, config: EncoderConfig): Partial<EncoderConfig> {
  return {
    hasPositionTable: false,
    isGated: true,
    ...(isHub(fields) ? hubVariant(fields, config) : nativeVariant(fields, config)),
  };
}

function nativeVariant(fields: Fields, { layers, headSize, maxPositions }: EncoderConfig): Partial<EncoderConfig> {
  const rotary = rotaryOf(fields, { headSize, maxPositions, missing: 1000 });
  return {
    biases: { qkv: false, attention: false, intermediate: false, output: false },
    attentions: new Array(layers).fill({ rotary }),
    // Positions that are stretched with the length go beyond those that the model was trained with.
    maxPositions: rotary.stretch ? Math.floor(maxPositions * rotary.stretch.factor) : maxPositions,
  };
}

/** Defaults are those of its configuration_hf_nomic_bert.py, and of GPT-2's configuration, which that extends. */
function hubVariant(fields: Fields, config: EncoderConfig): Partial<EncoderConfig> {
  const { layers, intermediateSize, masked, vocabSize, norm } = config;
  const qkv = fields.flag('qkv_proj_bias', true);
  const intermediate = fields.flag('mlp_fc1_bias', true);
  const output = fields.flag('mlp_fc2_bias', true);
  const name = oneOf(
    '"activation_function" of config.json',
    fields.text('activation_function', 'gelu_new'),
    Object.keys({ ...GATED, ...PLAIN }) as (keyof typeof GATED | keyof typeof PLAIN)[],
  );
  const isGated = name === 'swiglu' || name === 'geglu';
  const [activation, ofTransform] = isGated ? [GATED[name], GATED[name]] : (['gelu', PLAIN[name]] as const);
  // Its masked-LM class takes the flag for its head, too; the class of transformers 5 always has biases.
  const ofHead = fields.list('architectures', []).includes('NomicBertForPreTraining') ? intermediate : true;
  const rotary = hubRotary(fields, config);
  return {
    norm: hasEps(fields) ? norm : { ...norm, eps: 1e-5 },
    activation,
    vocabSize: paddedVocabulary(fields, vocabSize),
    hasPositionTable: rotary === undefined,
    isGated,
    intermediateSize: isGated ? Math.ceil(intermediateSize / INNER_MULTIPLE) * INNER_MULTIPLE : intermediateSize,
    biases: { qkv, attention: qkv, intermediate, output },
    attentions: new Array(layers).fill(rotary ? { rotary } : {}),
    masked: { ...masked, activation: ofTransform, bias: ofHead, decoderBias: ofHead },
  };
}

const hasEps = (fields: Fields): boolean => fields.has('layer_norm_eps') || fields.has('layer_norm_epsilon');

/** Undefined where no column turns: the model has a table of positions then. */
function hubRotary(fields: Fields, { headSize }: EncoderConfig): Rotary | undefined {
  const fraction = fields.get('rotary_emb_fraction', isFraction, 'a number from 0 to 1', 0);
  if (fraction === 0) return undefined;
  const columns = headSize * fraction;
  const rotary = flashRotary(fields, { columns, headSize, where: 'rotary_emb_fraction', missing: 1000 });
  // 0 is none, as in Python.
  if (!fields.json.rotary_scaling_factor) return rotary;
  oneOf('"rotary_scaling_factor" with a number of rotary columns that is not even', columns % 2, [0]);
  const factor = fields.get('rotary_scaling_factor', isPositive, 'a positive number');
  const positions = fields.integer('max_trained_positions', 2048, { min: 1, max: MAX_ROWS });
  return { ...rotary, stretch: { factor, positions } };
}

const isFraction = (value: unknown): value is number => typeof value === 'number' && value >= 0 && value <= 1;
