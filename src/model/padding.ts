import type { EncoderConfig } from './encoder-config.ts';

/** The padding's id where config.json says none, for the families whose class has another one than 0. Source: transformers 5.24. */
const DEFAULT_PADDING: Readonly<Record<string, number>> = {
  modernbert: 50283,
  eurobert: 128001,
  convbert: 1,
  gte: 1,
  jina_embeddings_v3: 1,
  'xlm-roberta-flash': 1,
};

/**
 * The rows of the embeddings' tables that stand for padding: torch.nn.Embedding's padding_idx, which training leaves as they are. The row
 * of a word is config.json's pad_token_id, also in families whose positions do not depend on it; null says that there is none.
 */
export function paddingRows({ raw, modelType, padTokenId, positionOffset }: EncoderConfig): {
  words: number | undefined;
  positions: number | undefined;
} {
  // Only in fairseq's models do positions depend on padding, and there the config's id was read and checked.
  if (positionOffset > 0) return { words: padTokenId, positions: padTokenId };
  const { pad_token_id: given = DEFAULT_PADDING[modelType] ?? 0 } = raw;
  return { words: typeof given === 'number' ? given : undefined, positions: undefined };
}
