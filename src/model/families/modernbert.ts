import { oneOf } from '../../errors.ts';
import type { Fields } from '../../json.ts';
import { type AttentionKind, attentionKinds } from '../attention-kinds.ts';
import type { EncoderConfig } from '../encoder-config.ts';
import { ACTIVATIONS, ENCODER, type Family, MAX_LAYERS, MAX_ROWS } from '../family.ts';
import { COMMON_HEADS } from '../head-kind.ts';
import { rotaryOf } from '../rotary.ts';

/**
 * Warner et al., arXiv 2412.13663; also mmBERT, Ettin and Granite R2. Norms stand before the layers, positions are rotary, feed-forward
 * layers are gated, and most layers look at a window. Layer 0 has no norm before its attention, because the embeddings are normalised.
 */
export const MODERNBERT: Family = {
  headKinds: COMMON_HEADS,
  types: 0,
  activation: 'gelu',
  eps: 1e-5,
  // position_embedding_type is in some of its files, with several values; Python does not read it.
  supported: ENCODER,
  fields: { hidden_act: 'hidden_activation', layer_norm_eps: 'norm_eps' },
  sizes: { max_position_embeddings: 8192 },
  classifier: { dense: 'head', norm: true, ofTokens: true },
  variant: modernBert,
};

function modernBert(
  fields: Fields,
  { layers, headSize, maxPositions, norm, classifier }: EncoderConfig,
): Partial<EncoderConfig> {
  const normBias = fields.flag('norm_bias', false);
  const attentionBias = fields.flag('attention_bias', false);
  const mlpBias = fields.flag('mlp_bias', false);
  const window = Math.floor(fields.integer('local_attention', 128, { min: 0, max: MAX_ROWS }) / 2);
  const every = fields.integer('global_attn_every_n_layers', 3, { min: 1, max: MAX_LAYERS });
  const kinds: Record<AttentionKind, EncoderConfig['attentions'][number]> = {
    full_attention: {
      rotary: rotaryOf(fields, {
        headSize,
        maxPositions,
        kind: 'full_attention',
        theta: 'global_rope_theta',
        missing: 160_000,
      }),
    },
    sliding_attention: {
      window,
      rotary: rotaryOf(fields, {
        headSize,
        maxPositions,
        kind: 'sliding_attention',
        theta: 'local_rope_theta',
        missing: 10_000,
      }),
    },
  };
  const activation = fields.text('classifier_activation', 'gelu');
  const pooling = fields.text('classifier_pooling', 'cls');
  const bias = fields.flag('classifier_bias', false);
  return {
    layerOrder: 'pre-norm',
    norm: { ...norm, bias: normBias },
    hasPositionTable: false,
    hasFirstAttentionNorm: false,
    isGated: true,
    biases: { qkv: attentionBias, attention: attentionBias, intermediate: mlpBias, output: mlpBias },
    attentions: attentionKinds(fields, layers, i => (i % every ? 'sliding_attention' : 'full_attention')).map(
      kind => kinds[kind],
    ),
    classifier: {
      ...classifier,
      activation: ACTIVATIONS[oneOf('"classifier_activation" of config.json', activation, Object.keys(ACTIVATIONS))]!,
      bias,
      pooling: oneOf('"classifier_pooling" of config.json', pooling, ['cls', 'mean'] as const),
    },
    masked: {
      activation: ACTIVATIONS[activation]!,
      transform: true,
      bias,
      decoderBias: fields.flag('decoder_bias', true),
    },
  };
}
