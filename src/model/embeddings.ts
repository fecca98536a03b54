import type { Builder, Value } from '../plan/index.ts';
import type { EncoderConfig } from './encoder-config.ts';

/** The tables of a sum of embeddings. */
const words = ({ vocabSize: rows }: EncoderConfig) => ({ table: 'embeddings.word_embeddings', rows });
const types = ({ typeVocabSize: rows }: EncoderConfig) => ({ table: 'embeddings.token_type_embeddings', rows });
const positions = ({ hasPositionTable, maxPositions, positionOffset }: EncoderConfig) => ({
  table: 'embeddings.position_embeddings',
  rows: hasPositionTable ? maxPositions + positionOffset : 0,
});

/** -> [T, C] */
export function embeddings(b: Builder, config: EncoderConfig): Value {
  if (config.projectsWords) return projectedWords(b, config);
  const { taskVocabSize, normsProjection } = config;
  const norm = config.hasEmbeddingNorm ? { from: 'embeddings.LayerNorm', ...embeddingNorm(config) } : undefined;
  const x = b.embed({
    words: words(config),
    positions: positions(config),
    types: types(config),
    tasks: { table: 'embeddings.task_type_embeddings', rows: taskVocabSize },
    factor: config.embeddingFactor,
    dropout: config.tokenDropout,
    norm: normsProjection ? undefined : norm,
    columns: config.embeddingSize,
  }); // [T, E]
  if (!config.projectsEmbedding) return x;
  const y = b.linear(x, { from: 'embeddings_project', outputs: config.hiddenSize, bias: !normsProjection }); // [T, C]
  return norm && normsProjection ? b.norm(y, norm) : y;
}

const embeddingNorm = (config: EncoderConfig) => config.embeddingNorm ?? config.norm;

/**
 * norm(linear(words) + positions + types): words of E columns, or of those of the next token, the token and the one before it side by
 * side, and all else of C columns (MobileBERT: Sun et al., arXiv 2004.02984) -> [T, C]
 */
function projectedWords(b: Builder, config: EncoderConfig): Value {
  const { hiddenSize: columns, embeddingSize, hasTrigrams } = config;
  const x = b.embed({ words: words(config), columns: embeddingSize }); // [T, E]
  const read = hasTrigrams ? b.unfold(x, 3, 'rows') : x; // [T, 3 E]
  const residual = b.embed({ positions: positions(config), types: types(config), columns }); // [T, C]
  const sum = b.linear(read, { from: 'embeddings_project', outputs: columns, residual }); // [T, C]
  return b.norm(sum, { from: 'embeddings.LayerNorm', ...embeddingNorm(config) });
}
