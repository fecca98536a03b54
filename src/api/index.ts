/**
 * The face of transformers.js below `pipeline`: AutoModel and its sisters, AutoTokenizer, Tensor, env, options. `tasks`, `registry` and the
 * root import it. It never knows a task.
 */

export { Callable } from './callable.ts';
export { env } from './env.ts';
export type { ModelInputs } from './inputs.ts';
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
  type CallableModel,
  loadTokenizer,
  type ModelCallOptions,
  type ModelEventMap,
  type ModelOutput,
  type OutputName,
  PreTrainedModel,
  readOptions,
  reopening,
  type TokenizerOptions,
} from './models.ts';
export { FORMATS, type PretrainedOptions } from './options.ts';
export { joined, outputOf, slicesOf } from './outputs.ts';
export { Tensor, type TensorData } from './tensor.ts';
export { PreTrainedTokenizer } from './tokenizer.ts';
export { readTokenizerFiles } from './tokenizer-files.ts';
