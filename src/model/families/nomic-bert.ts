import { oneOf } from '../../errors.ts';
import type { Fields } from '../../json.ts';
import type { EncoderConfig } from '../encoder-config.ts';
import { ENCODER, type Family, MAX_ROWS } from '../family.ts';
import { frequenciesOf, isPositive, type Rotary, rotaryOf } from '../rotary.ts';

/**
 * Nussbaum et al., arXiv 2402.01613: BERT with rotary positions, a gated feed-forward layer, and linears without biases. config.json has
 * the names of GPT-2 (the hub's files, whose classes are remote code) or those of transformers 5.
 */
export const NOMIC_BERT: Family = {
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

/** The gated activations by their names on the hub. The others are of layers without a gate. */
const GATED = { swiglu: 'silu', geglu: 'gelu' } as const;
/** Rows that the inner size of the hub's classes is rounded up to. */
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

function hubVariant(fields: Fields, config: EncoderConfig): Partial<EncoderConfig> {
  const { layers, intermediateSize, masked } = config;
  const qkv = fields.flag('qkv_proj_bias', true);
  const intermediate = fields.flag('mlp_fc1_bias', true);
  const output = fields.flag('mlp_fc2_bias', true);
  const name = oneOf(
    '"activation_function" of config.json',
    fields.text('activation_function', 'gelu'),
    Object.keys(GATED) as (keyof typeof GATED)[],
  );
  const activation = GATED[name];
  // Its masked-LM class takes the flag for its head, too; the class of transformers 5 always has biases.
  const ofHead = fields.list('architectures', []).includes('NomicBertForPreTraining') ? intermediate : true;
  return {
    activation,
    intermediateSize: Math.ceil(intermediateSize / INNER_MULTIPLE) * INNER_MULTIPLE,
    biases: { qkv, attention: qkv, intermediate, output },
    attentions: new Array(layers).fill({ rotary: hubRotary(fields, config) }),
    masked: { ...masked, activation, bias: ofHead, decoderBias: ofHead },
  };
}

function hubRotary(fields: Fields, { headSize }: EncoderConfig): Rotary {
  const fraction = fields.get('rotary_emb_fraction', isPositive, 'a positive number: without rotary positions', 1);
  const theta = fields.get('rotary_emb_base', isPositive, 'a positive number', 10_000);
  const columns = 2 * Math.floor((headSize * Math.min(1, fraction)) / 2);
  return {
    frequencies: frequenciesOf(theta, columns),
    interleaved: fields.flag('rotary_emb_interleaved', false),
    // 0 is none, as in Python.
    ...(fields.json.rotary_scaling_factor
      ? {
          stretch: {
            factor: fields.get('rotary_scaling_factor', isPositive, 'a positive number'),
            positions: fields.integer('max_trained_positions', 2048, { min: 1, max: MAX_ROWS }),
          },
        }
      : {}),
  };
}
