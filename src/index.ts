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
  env,
  type ModelCallOptions,
  type ModelEventMap,
  type ModelInputs,
  type ModelOutput,
  PreTrainedModel,
  PreTrainedTokenizer,
  type PretrainedOptions,
  Tensor,
  type TokenizerOptions,
} from './api/index.ts';
export type {
  Environment,
  LocalFile,
  ModelCache,
  ModelLocation,
  ProgressCallback,
  ProgressInfo,
} from './checkpoint/source/index.ts';
export { isSupported, type Support } from './engine/index.ts';
export {
  CheckpointError,
  DeviceError,
  InputError,
  NotFiniteError,
  SourceError,
  UnsupportedError,
  WebGPUBertError,
} from './errors.ts';
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
} from './registry/index.ts';
export type {
  Answer,
  Classification,
  Entity,
  FilledMask,
  FillMaskOptions,
  PoolingName,
  PromptOptions,
  QuestionAnsweringOptions,
  RankedDocument,
  TextClassificationOptions,
  TextRankingOptions,
  TokenClassificationOptions,
  ZeroShotOptions,
  ZeroShotResult,
} from './tasks/index.ts';

declare global {
  /**
   * WebGPU's device, which `device` options take. Older compilers do not know it: there it is declared here, as an object of which
   * nothing is known, so that these types stand alone. A compiler that knows it, or @webgpu/types, merges this with its own.
   */
  interface GPUDevice {}
}
