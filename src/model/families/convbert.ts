import type { Fields } from '../../json.ts';
import type { EncoderConfig } from '../encoder-config.ts';
import { ENCODER, type Family, MAX_COLUMNS } from '../family.ts';
import { COMMON_HEADS } from '../head-kind.ts';

/** Jiang et al., arXiv 2008.02496. */
export const CONVBERT: Family = {
  headKinds: COMMON_HEADS,
  types: 2,
  activation: 'gelu',
  eps: 1e-12,
  supported: ENCODER,
  sizes: {
    vocab_size: 30522,
    hidden_size: 768,
    num_hidden_layers: 12,
    num_attention_heads: 12,
    intermediate_size: 3072,
    max_position_embeddings: 512,
  },
  // Heads of the attention are half of the columns: see convBert.
  headSize: 32,
  summary: { type: 'last', dense: false },
  maskedActivation: 'gelu',
  variant: convBert,
};

/** Many times that of any model. */
const MAX_WIDTH = 1023;

function convBert(fields: Fields, config: EncoderConfig): Partial<EncoderConfig> {
  const { hiddenSize, intermediateSize, activation, classifier } = config;
  const ratio = fields.integer('head_ratio', 2, { min: 1, max: MAX_COLUMNS });
  // Fewer heads than the ratio are one.
  const heads = Math.max(1, Math.floor(config.heads / ratio));
  if (hiddenSize % (2 * heads) !== 0) {
    const expected = `a number whose quotient by head_ratio, which is ${ratio}, divides half of hidden_size, which is ${hiddenSize}`;
    throw fields.malformed(config.heads, expected, 'num_attention_heads');
  }
  const headSize = hiddenSize / (2 * heads);
  const width = fields.integer('conv_kernel_size', 9, { min: 1, max: MAX_WIDTH });
  // Python's depthwise convolution then gives a token too many, and its first pass fails.
  if (width % 2 === 0) throw fields.malformed(width, 'an odd number', 'conv_kernel_size');
  const groups = fields.integer('num_groups', 1, { min: 1, max: MAX_COLUMNS });
  if (hiddenSize % groups !== 0 || intermediateSize % groups !== 0) {
    throw fields.malformed(groups, `a divisor of ${hiddenSize} and of ${intermediateSize}`, 'num_groups');
  }
  const embeddingSize = fields.integer('embedding_size', 768, { min: 1, max: MAX_COLUMNS });
  return {
    heads,
    keyHeads: heads,
    headSize,
    attentionScale: 1 / Math.sqrt(headSize),
    spanConvolution: { width },
    groupMatrices: groups === 1 ? undefined : groups,
    embeddingSize,
    projectsEmbedding: embeddingSize !== hiddenSize,
    decoderSize: embeddingSize,
    mayPool: false,
    classifier: { ...classifier, dense: 'head', activation },
  };
}
