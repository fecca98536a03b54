import type { Fields } from '../../json.ts';
import type { EncoderConfig } from '../encoder-config.ts';
import { type Family, MAX_COLUMNS } from '../family.ts';
import { COMMON_HEADS } from '../head-kind.ts';
import { BERT } from './bert.ts';

/** Chung et al., arXiv 2010.12821: BERT whose input and output embeddings have sizes of their own. */
export const REMBERT: Family = { ...BERT, headKinds: COMMON_HEADS, variant: remBert };

function remBert(fields: Fields): Partial<EncoderConfig> {
  const size = (name: string, missing: number) => fields.integer(name, missing, { min: 1, max: MAX_COLUMNS });
  return {
    embeddingSize: size('input_embedding_size', 256),
    // Also where both sizes are the same.
    projectsEmbedding: true,
    decoderSize: size('output_embedding_size', 1664),
    // Whatever tie_word_embeddings says: Python ties nothing.
    tiedDecoder: false,
  };
}
