/**
 * What a model is: config.json, its forward pass as a graph of ops, its heads, and the inputs it takes. `engine`, `api`, `tasks` and
 * `registry` import it. It never knows a kernel, a device or a file.
 */

export { familyPart, MODEL_TYPE_OF_CLASSES } from './class-name.ts';
export { MODEL_TYPES, readConfig, withTensors } from './config.ts';
export { encoderGraph, everything, hasPooler } from './encoder.ts';
export type { EncoderConfig, StaticTable } from './encoder-config.ts';
export { MAX_COLUMNS } from './family.ts';
export { type HeadKind, hasHead, headOf } from './head-kind.ts';
export { isOfHead } from './heads.ts';
export { type InitialValues, initialValues } from './initial-values.ts';
export { checkSequence, positionsOf, type RawSequence } from './input.ts';
export {
  labelCount,
  labelNames,
  labelsOf,
  PROBLEM_TYPES,
  type ProblemType,
  withCountedLabels,
} from './labels.ts';
export { withTask } from './lora.ts';
export { modelTypeOf } from './model-type.ts';
export { namesOfNew, poolsWhenNew } from './new-model.ts';
export { paddingRows } from './padding.ts';
export { type Preparation, preparationsOf, preparedNumbers } from './preparation.ts';
export { glinerError } from './refused-types.ts';
export { canonicalRequest, type EncoderRequest } from './request.ts';
export { type ChainStep, embeddingColumns, type PoolRequest } from './sentence-chain.ts';
export {
  checkMapping,
  STATIC_MAPPING,
  STATIC_ROWS,
  STATIC_WEIGHTS,
  staticConfig,
  staticSequence,
} from './static.ts';
