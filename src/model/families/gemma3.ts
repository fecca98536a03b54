import { oneOf } from '../../errors.ts';
import type { Fields } from '../../json.ts';
import { type AttentionKind, attentionKinds } from '../attention-kinds.ts';
import type { EncoderConfig } from '../encoder-config.ts';
import { ENCODER, type Family, MAX_LAYERS, MAX_ROWS } from '../family.ts';
import { rotaryOf } from '../rotary.ts';
import { keyHeadsOf } from './eurobert.ts';

/**
 * EmbeddingGemma (Schechter Vera et al., arXiv 2509.20354): Gemma 3 (arXiv 2503.19786), whose tokens see all others. RMS norms, which
 * keep gamma - 1, stand before and after each part of a layer, and on every head of q and k. Most layers look at a window; these have
 * rotary positions of another base.
 */
export const GEMMA3: Family = {
  headKinds: { SequenceClassification: 'SequenceClassification' },
  types: 0,
  activation: 'gelu_pytorch_tanh',
  eps: 1e-6,
  norm: { kind: 'rms', bias: false, unitOffset: true },
  headSize: 256,
  supported: { ...ENCODER, attn_logit_softcapping: null },
  fields: { hidden_act: 'hidden_activation', layer_norm_eps: 'rms_norm_eps' },
  sizes: { max_position_embeddings: 131_072 },
  // Gemma3TextForSequenceClassification: the last token.
  classifier: { dense: 'none', pooling: 'last', outputBias: false },
  variant: gemma3,
};

function gemma3(fields: Fields, { layers, headSize, heads, hiddenSize, maxPositions }: EncoderConfig) {
  // Without it a token sees those before it: a decoder.
  oneOf('"use_bidirectional_attention" of config.json', (fields.json.use_bidirectional_attention ?? false) as boolean, [
    true,
  ]);
  const rotary = { headSize, maxPositions };
  const kinds: Record<AttentionKind, EncoderConfig['attentions'][number]> = {
    full_attention: { rotary: rotaryOf(fields, { ...rotary, kind: 'full_attention', missing: 1_000_000 }) },
    sliding_attention: {
      // Python keeps half of it, + 1, as a bound that is excluded.
      window: Math.floor(fields.integer('sliding_window', 4096, { min: 1, max: MAX_ROWS }) / 2),
      rotary: rotaryOf(fields, {
        ...rotary,
        kind: 'sliding_attention',
        theta: 'rope_local_base_freq',
        missing: 10_000,
        ignoresOlderScaling: true,
      }),
    },
  };
  const pattern = fields.integer('sliding_window_pattern', 6, { min: 1, max: MAX_LAYERS });
  const missing = (i: number): AttentionKind => ((i + 1) % pattern ? 'sliding_attention' : 'full_attention');
  const bias = fields.flag('attention_bias', false);
  const isPositive = (value: unknown): value is number => typeof value === 'number' && value > 0;
  const scalar = fields.get('query_pre_attn_scalar', isPositive, 'a positive number', 256);
  return {
    layerOrder: 'sandwich',
    embeddingFactor: Math.sqrt(hiddenSize),
    hasEmbeddingNorm: false,
    hasPositionTable: false,
    isGated: true,
    keyHeads: keyHeadsOf(fields, heads, 4),
    biases: { qkv: bias, attention: bias, intermediate: false, output: false },
    queryKeyNorm: 'head',
    attentionScale: 1 / Math.sqrt(scalar),
    attentions: attentionKinds(fields, layers, missing).map(kind => kinds[kind]),
  } satisfies Partial<EncoderConfig>;
}
