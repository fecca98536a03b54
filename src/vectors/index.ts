/**
 * Texts to vectors of other shapes than one row of numbers: sparse ones (SPLADE) and one for each token (ColBERT), as
 * sentence-transformers' SparseEncoder and MultiVectorEncoder. Each class loads its model, and reads how it was saved. The root and the
 * registry import it. It never knows a kernel or a device.
 */

export type { TextOptions } from './encode-options.ts';
export { askForVectorFiles, type VectorClass } from './model-files.ts';
export {
  MultiVectorEncoder,
  type MultiVectorRankOptions,
  type MultiVectorSimilarityOptions,
  type TokenVectors,
} from './multi-vector-encoder.ts';
export type { EncodeTask } from './router.ts';
export { type SparseEncodeOptions, SparseEncoder } from './sparse-encoder.ts';
export type { SparseSimilarity, SparseVector } from './sparse-vector.ts';
