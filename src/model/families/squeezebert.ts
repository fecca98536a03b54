import type { Fields } from '../../json.ts';
import type { EncoderConfig, Groups } from '../encoder-config.ts';
import { type Family, MAX_COLUMNS } from '../family.ts';
import { MASKED_HEADS } from '../head-kind.ts';

/**
 * Iandola et al., arXiv 2006.11316: BERT whose linears are convolutions over single tokens, most of them in groups. Python gives as
 * attentions the scores before their softmax.
 */
export const SQUEEZEBERT: Family = {
  headKinds: MASKED_HEADS,
  types: 2,
  activation: 'gelu',
  eps: 1e-12,
  // Python reads neither position_embedding_type nor is_decoder.
  supported: {},
  sizes: {
    vocab_size: 30522,
    hidden_size: 768,
    num_hidden_layers: 12,
    num_attention_heads: 12,
    intermediate_size: 3072,
    max_position_embeddings: 512,
  },
  variant: squeezeBert,
};

function squeezeBert(fields: Fields, { hiddenSize, intermediateSize }: EncoderConfig): Partial<EncoderConfig> {
  const embeddingSize = fields.integer('embedding_size', 768, { min: 1, max: MAX_COLUMNS });
  if (embeddingSize !== hiddenSize) {
    throw fields.malformed(embeddingSize, `hidden_size, which is ${hiddenSize}`, 'embedding_size');
  }
  /** The groups of a convolution between so many columns. */
  const groups = (name: string, missing: number, ...columns: number[]): number => {
    const count = fields.integer(name, missing, { min: 1, max: MAX_COLUMNS });
    if (columns.every(size => size % count === 0)) return count;
    throw fields.malformed(count, `a divisor of ${columns.join(' and of ')}`, name);
  };
  const all: Groups = {
    query: groups('q_groups', 4, hiddenSize),
    key: groups('k_groups', 4, hiddenSize),
    value: groups('v_groups', 4, hiddenSize),
    attention: groups('post_attention_groups', 1, hiddenSize),
    intermediate: groups('intermediate_groups', 4, hiddenSize, intermediateSize),
    output: groups('output_groups', 4, intermediateSize, hiddenSize),
  };
  return { groups: all, attentionsAreScores: true };
}
