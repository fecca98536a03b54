/**
 * The face of transformers.js below `pipeline`: AutoModel and its sisters, AutoTokenizer, Tensor, env, options. `tasks`, `registry`,
 * `vectors`, `worker` and the root import it. It never knows a task.
 */

export {
  type AutoClass,
  AutoModel,
  AutoModelForMaskedLM,
  AutoModelForMultipleChoice,
  AutoModelForNextSentencePrediction,
  AutoModelForPreTraining,
  AutoModelForQuestionAnswering,
  AutoModelForSequenceClassification,
  AutoModelForTokenClassification,
  AutoTokenizer,
  type NewModelOptions,
  type TokenizerOptions,
} from './auto-classes.ts';
export { Callable } from './callable.ts';
export { AutoConfig, type ConfigOptions, PretrainedConfig } from './config.ts';
export { env, LogLevel, USUAL_ENVIRONMENT } from './env.ts';
export type { ModelInputs } from './inputs.ts';
export {
  foundTokenizer,
  loadTokenizer,
  type Reopen,
  readOptions,
  reopening,
  withSharedJson,
} from './loading.ts';
export { type CallableModel, type ModelCallOptions, PreTrainedModel, usualRequest } from './model.ts';
export { MODEL_EVENTS, type ModelEventMap, type ModelListener } from './model-events.ts';
export {
  checkOptionNames,
  type DataType,
  type DeviceType,
  FORMATS,
  type NewHeadOptions,
  type PretrainedOptions,
} from './options.ts';
export { type Origin, originOf } from './origin.ts';
export { type ModelOutput, type OutputName, outputOf, slicesOf } from './outputs.ts';
export { type NestedList, Tensor, type TensorData, type TensorType } from './tensor.ts';
export type { Slice } from './tensor-axes.ts';
export {
  cat,
  full,
  full_like,
  layer_norm,
  matmul,
  mean,
  mean_pooling,
  ones,
  ones_like,
  permute,
  quantize_embeddings,
  rand,
  randn,
  slice,
  stack,
  std_mean,
  topk,
  zeros,
  zeros_like,
} from './tensor-functions.ts';
export type { BatchEncoding, ListEncoding, Texts, TokenizeOptions } from './tokenize-call.ts';
export { type DecodeOptions, PreTrainedTokenizer, type TokenizerSaveOptions } from './tokenizer.ts';
export { readTokenizerFiles } from './tokenizer-files.ts';
export { cos_sim, dot, log_softmax, softmax } from './vectors.ts';
