import type { Family } from '../family.ts';
import { BERT, ROBERTA } from './bert.ts';

/** BERT and RoBERTa with norms before the layers. */
export const PRE_NORM_FAMILIES: Readonly<Record<string, Family>> = {
  // Shoeybi et al., arXiv 1909.08053. The embeddings are not normalised, because every layer begins with a norm.
  'megatron-bert': { ...BERT, variant: () => ({ layerOrder: 'pre-norm', hasEmbeddingNorm: false }) },
  // fairseq's encoder-normalize-before (Wettig et al., arXiv 2202.08005).
  'roberta-prelayernorm': { ...ROBERTA, variant: () => ({ layerOrder: 'pre-norm' }) },
};
