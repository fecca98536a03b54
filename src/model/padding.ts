import type { EncoderConfig } from './encoder-config.ts';

/** The rows of the embeddings' tables that stand for padding: torch.nn.Embedding's padding_idx, which training leaves as they are. */
export function paddingRows({ raw, padTokenId, positionOffset }: EncoderConfig): {
  words: number | undefined;
  positions: number | undefined;
} {
  const words = raw.pad_token_id === null ? undefined : padTokenId;
  // Only fairseq's models have a position of their own for padding.
  return { words, positions: positionOffset > 0 ? padTokenId : undefined };
}
