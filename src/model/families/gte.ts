import { oneOf } from '../../errors.ts';
import type { Fields } from '../../json.ts';
import type { EncoderConfig } from '../encoder-config.ts';
import { ENCODER, type Family } from '../family.ts';
import { COMMON_HEADS, FEW_HEADS } from '../head-kind.ts';
import { rotaryOf } from '../rotary.ts';
import { BERT } from './bert.ts';

/**
 * Zhang et al., arXiv 2407.19669: BERT with rotary positions and a gated feed-forward layer, whose down projection alone has a bias.
 * Defaults and names of transformers 5.
 */
export const GTE: Family = {
  ...BERT,
  headKinds: FEW_HEADS,
  types: 1,
  mayLackTypes: true,
  // A BERT tokenizer tells the texts of a pair apart, which a table of one row does not.
  mayShareOneType: true,
  maskedActivation: 'gelu',
  sizes: { max_position_embeddings: 8192 },
  // Python does not read position_embedding_type here.
  supported: ENCODER,
  variant: (fields, config) => gte(fields, config, 160_000),
};

/** The same encoder on the hub, whose classes are remote code (Alibaba-NLP/new-impl), with its defaults. */
export const NEW: Family = {
  ...GTE,
  headKinds: COMMON_HEADS,
  // The encoder's.
  maskedActivation: undefined,
  sizes: { max_position_embeddings: 2048 },
  supported: {
    ...ENCODER,
    position_embedding_type: ['rope', 'absolute'],
    logn_attention_scale: false,
  },
  variant: (fields, config) => ({
    ...gte(fields, config, 10_000),
    ...normsOf(fields, config),
    ...(fields.json.position_embedding_type === 'absolute' && {
      hasPositionTable: true,
      attentions: config.attentions,
    }),
  }),
};

/** The norms of the layers by `layer_norm_type`. That of the embeddings and that of the masked-LM head are LayerNorms in any case. */
function normsOf(fields: Fields, { norm, masked }: EncoderConfig): Partial<EncoderConfig> {
  const type = fields.text('layer_norm_type', 'layer_norm');
  if (oneOf('"layer_norm_type" of config.json', type, ['layer_norm', 'rms_norm']) === 'layer_norm') return {};
  return { norm: { ...norm, kind: 'rms', bias: false }, embeddingNorm: norm, masked: { ...masked, norm } };
}

function gte(fields: Fields, { layers, headSize, maxPositions }: EncoderConfig, theta: number): Partial<EncoderConfig> {
  return {
    hasPositionTable: false,
    isGated: true,
    biases: { qkv: true, attention: true, intermediate: false, output: true },
    attentions: new Array(layers).fill({ rotary: rotaryOf(fields, { headSize, maxPositions, missing: theta }) }),
  };
}
