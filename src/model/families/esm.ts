import type { Fields } from '../../json.ts';
import type { EncoderConfig } from '../encoder-config.ts';
import { ENCODER, type Family, MAX_ROWS } from '../family.ts';
import { FEW_HEADS } from '../head-kind.ts';
import { frequenciesOf, isPositive } from '../rotary.ts';

/** The share of tokens that were replaced by the mask when the models were trained. */
const MASKED_SHARE = 0.15 * 0.8;

/**
 * Protein language models: ESM-1b and ESM-2 (Lin et al., Science 379, 2023). Norms stand before the layers; positions are rotary
 * (ESM-2) or a table (ESM-1b).
 */
export const ESM: Family = {
  headKinds: FEW_HEADS,
  types: 0,
  activation: 'gelu',
  fixedActivation: true,
  eps: 1e-12,
  // Of folding models only the trunk would be computed.
  supported: { position_embedding_type: ['absolute', 'rotary'], is_folding_model: false, ...ENCODER },
  sizes: { max_position_embeddings: 1026 },
  fairseqPositions: 'configured',
  classifier: { dense: 'head', activation: 'tanh' },
  maskedActivation: 'gelu',
  variant: esm,
};

function esm(fields: Fields, config: EncoderConfig): Partial<EncoderConfig> {
  const isRotary = fields.json.position_embedding_type === 'rotary';
  const theta = fields.get('rope_theta', isPositive, 'a positive number', 10_000);
  const rotary = {
    frequencies: frequenciesOf(theta, config.headSize),
    // Those of ESM-2 are rounded to float16, as they were in training.
    stored: { tensor: 'rotary_embeddings.inv_freq' },
  };
  return {
    layerOrder: 'pre-norm',
    hasEmbeddingNorm: fields.flag('emb_layer_norm_before', false),
    tokenDropout: fields.flag('token_dropout', false)
      ? { token: fields.integer('mask_token_id', -1, { min: -1, max: MAX_ROWS }), share: MASKED_SHARE }
      : undefined,
    ...(isRotary && {
      attentions: new Array(config.layers).fill({ rotary }),
      hasPositionTable: false,
      maxPositions: config.maxPositions + config.positionOffset,
      positionOffset: 0,
      padTokenId: 0,
    }),
  };
}
