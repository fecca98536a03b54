/**
 * Reads the weight files of a checkpoint: safetensors headers, shards, and the names, shapes and dtypes of tensors; says what a
 * repository has in their place. `engine` and `registry` import it. It never knows a model, a GPU, or how the bytes were fetched.
 */

export { openCheckpoint } from './checkpoint.ts';
export { toFloats } from './floats.ts';
export { type StoredPiece, UpdateMerger } from './low-rank.ts';
export { matchTensors, type TensorNaming, usualNaming, type WantedTensor } from './match.ts';
export { type NewNames, newTensorNames, tensorFinder } from './names.ts';
export { adapterAdvice, noWeights } from './other-formats.ts';
export { parseShardIndex } from './shard-index.ts';
export type { Checkpoint, HostDtype, TensorChunk, TensorDtype, TensorInfo } from './types.ts';
export { fileRow, type TensorView, ViewCutter, viewBytes } from './view.ts';
