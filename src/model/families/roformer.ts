import type { Fields } from '../../json.ts';
import type { EncoderConfig } from '../encoder-config.ts';
import { ENCODER, type Family, MAX_COLUMNS } from '../family.ts';
import { COMMON_HEADS } from '../head-kind.ts';
import { frequenciesOf } from '../rotary.ts';
import { BERT } from './bert.ts';

/** Su et al., arXiv 2104.09864: BERT with rotary positions, which turn neighbouring columns, and heads like ELECTRA's. */
export const ROFORMER: Family = {
  ...BERT,
  headKinds: COMMON_HEADS,
  // Python does not read position_embedding_type.
  supported: ENCODER,
  sizes: { max_position_embeddings: 1536 },
  classifier: { dense: 'head' },
  summary: { type: 'last', dense: false },
  variant: roFormer,
};

function roFormer(fields: Fields, config: EncoderConfig): Partial<EncoderConfig> {
  const { hiddenSize, headSize, layers, classifier, activation, maxPositions: positions } = config;
  const embeddingSize = fields.integer('embedding_size', hiddenSize, { min: 1, max: MAX_COLUMNS });
  const rotary = {
    frequencies: frequenciesOf(10_000, headSize),
    stored: { tensor: 'encoder.embed_positions.weight', positions },
    interleaved: true,
    turnsValues: fields.flag('rotary_value', false),
  };
  return {
    hasPositionTable: false,
    embeddingSize,
    projectsEmbedding: embeddingSize !== hiddenSize,
    decoderSize: embeddingSize,
    attentions: new Array(layers).fill({ rotary }),
    classifier: { ...classifier, activation },
  };
}
