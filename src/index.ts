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
  type ModelCallOptions,
  type ModelOutput,
  PreTrainedModel,
  type TokenizerOptions,
} from './auto.ts';
export type { Environment, ModelCache } from './checkpoint/environment.ts';
export type { LocalFile, ModelLocation } from './checkpoint/location.ts';
export type { ProgressCallback, ProgressInfo } from './checkpoint/types.ts';
export { env } from './env.ts';
export {
  CheckpointError,
  DeviceError,
  InputError,
  SourceError,
  UnsupportedError,
  WebGPUBertError,
} from './errors.ts';
export type { EncoderConfig } from './model/config.ts';
export type { ModelInputs } from './model-inputs.ts';
export type { PretrainedOptions } from './options.ts';
export {
  type FeatureExtractionOptions,
  FeatureExtractionPipeline,
  pipeline,
  type Task,
} from './pipeline.ts';
export type { PoolingName } from './tasks/feature-extraction.ts';
export { Tensor } from './tensor.ts';
export { PreTrainedTokenizer } from './tokenizer.ts';
