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
  type ModelEventMap,
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
  NotFiniteError,
  SourceError,
  UnsupportedError,
  WebGPUBertError,
} from './errors.ts';
export type { ModelInputs } from './model-inputs.ts';
export {
  type CacheCheckResult,
  type CacheClearResult,
  type CachedModel,
  type CacheSize,
  type DownloadSize,
  type FileMetadata,
  type MemoryFootprint,
  ModelRegistry,
  type RegistryOptions,
} from './model-registry.ts';
export type { PretrainedOptions } from './options.ts';
export {
  type FeatureExtractionPipeline,
  type FillMaskPipeline,
  type MultipleChoicePipeline,
  type NextSentencePredictionPipeline,
  type Pipeline,
  pipeline,
  type QuestionAnsweringPipeline,
  type SentenceSimilarityPipeline,
  type Task,
  type TextClassificationPipeline,
  type TextRankingPipeline,
  type TokenClassificationPipeline,
  type ZeroShotClassificationPipeline,
} from './pipeline.ts';
export type { FeatureExtractionOptions } from './pipelines/feature-extraction.ts';
export type { OverflowOptions, RunOptions, Said } from './pipelines/session.ts';
export type { ClassificationInput } from './pipelines/text-classification.ts';
export { isSupported, type Support } from './support.ts';
export type { PoolingName } from './tasks/feature-extraction.ts';
export type { FilledMask, FillMaskOptions } from './tasks/fill-mask.ts';
export type { PromptOptions } from './tasks/prompts.ts';
export type { Answer, QuestionAnsweringOptions } from './tasks/question-answering.ts';
export type { Classification, TextClassificationOptions } from './tasks/text-classification.ts';
export type { RankedDocument, TextRankingOptions } from './tasks/text-ranking.ts';
export type { Entity, TokenClassificationOptions } from './tasks/token-classification.ts';
export type { ZeroShotOptions, ZeroShotResult } from './tasks/zero-shot-classification.ts';
export { Tensor } from './tensor.ts';
export { PreTrainedTokenizer } from './tokenizer.ts';
