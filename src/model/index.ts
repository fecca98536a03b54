/**
 * What a model is: config.json, its forward pass as a graph of ops, its heads, and the inputs it takes. `engine`, `api`, `tasks` and
 * `registry` import it. It never knows a kernel, a device or a file.
 */

export {
  canonicalRequest,
  type EncoderRequest,
  encoderGraph,
  everything,
  POOLER_TENSOR,
} from './bert.ts';
export { type EncoderConfig, labelCount, labelNames, readConfig } from './config.ts';
export type { HeadKind } from './heads.ts';
export { checkSequence, positionsOf, type RawSequence } from './input.ts';
export { type ChainStep, embeddingColumns, type PoolRequest } from './sentence-chain.ts';
