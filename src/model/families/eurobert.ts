import { oneOf } from '../../errors.ts';
import type { Fields } from '../../json.ts';
import type { Classifier, EncoderConfig } from '../encoder-config.ts';
import { ENCODER, type Family, MAX_COLUMNS } from '../family.ts';
import { FEW_HEADS } from '../head-kind.ts';
import { rotaryOf } from '../rotary.ts';

/**
 * Boizard et al., arXiv 2503.05500: Llama's layers, whose tokens see all others. Norms are RMS and stand before the layers, positions are
 * rotary, feed-forward layers are gated, and queries may share keys.
 */
export const EUROBERT: Family = {
  headKinds: FEW_HEADS,
  types: 0,
  activation: 'silu',
  eps: 1e-5,
  norm: { kind: 'rms', bias: false },
  // rope_scaling and what else changes the positions is read with them.
  supported: ENCODER,
  fields: { layer_norm_eps: 'rms_norm_eps' },
  sizes: { max_position_embeddings: 8192 },
  classifier: { dense: 'head', activation: 'gelu' },
  variant: euroBert,
};

/** What a sequence's class is made of: the first token, the mean, or the mean of the tokens' logits. */
const POOLINGS: Readonly<Record<string, Pick<Classifier, 'pooling' | 'pools'>>> = {
  bos: { pooling: 'cls', pools: 'first' },
  mean: { pooling: 'mean', pools: 'first' },
  // The classifier is linear: the mean of the logits is the classifier of the mean.
  late: { pooling: 'mean', pools: 'last' },
};

function euroBert(fields: Fields, config: EncoderConfig): Partial<EncoderConfig> {
  const { layers, heads, headSize, maxPositions, classifier } = config;
  const attentionBias = fields.flag('attention_bias', false);
  const mlpBias = fields.flag('mlp_bias', false);
  const rotary = rotaryOf(fields, { headSize, maxPositions, missing: 10_000 });
  const pooling = oneOf(
    '"classifier_pooling" of config.json',
    fields.text('classifier_pooling', 'late'),
    Object.keys(POOLINGS),
  );
  return {
    layerOrder: 'pre-norm',
    hasEmbeddingNorm: false,
    hasPositionTable: false,
    isGated: true,
    keyHeads: keyHeadsOf(fields, heads, heads),
    biases: { qkv: attentionBias, attention: attentionBias, intermediate: mlpBias, output: mlpBias },
    attentions: new Array(layers).fill({ rotary }),
    tiedDecoder: fields.flag('tie_word_embeddings', false),
    classifier: { ...classifier, ...POOLINGS[pooling] },
    masked: { ...config.masked, transform: false, decoderBias: mlpBias },
  };
}

/** G, which divides H. Throws CheckpointError where it does not. */
export function keyHeadsOf(fields: Fields, heads: number, missing: number): number {
  const keyHeads = fields.integer('num_key_value_heads', missing, { min: 1, max: MAX_COLUMNS });
  if (heads % keyHeads === 0) return keyHeads;
  throw fields.malformed(keyHeads, `a divisor of the ${heads} heads of queries`, 'num_key_value_heads');
}
