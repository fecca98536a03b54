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
export { pipeline } from './pipeline.ts';
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
  ClassificationInput,
  Entity,
  FeatureExtractionOptions,
  FeatureExtractionPipeline,
  FilledMask,
  FillMaskOptions,
  FillMaskPipeline,
  MultipleChoicePipeline,
  NextSentencePredictionPipeline,
  OverflowOptions,
  Pipeline,
  PoolingName,
  PromptOptions,
  QuestionAnsweringOptions,
  QuestionAnsweringPipeline,
  RankedDocument,
  RunOptions,
  SentenceSimilarityPipeline,
  Task,
  TextClassificationOptions,
  TextClassificationPipeline,
  TextRankingOptions,
  TextRankingPipeline,
  TokenClassificationOptions,
  TokenClassificationPipeline,
  WithTruncated,
  ZeroShotClassificationPipeline,
  ZeroShotOptions,
  ZeroShotResult,
} from './tasks/index.ts';
export {
  type EncodeTask,
  MultiVectorEncoder,
  type MultiVectorRankOptions,
  type MultiVectorSimilarityOptions,
  type SparseEncodeOptions,
  SparseEncoder,
  type SparseSimilarity,
  type SparseVector,
  type TextOptions,
  type TokenVectors,
} from './vectors/index.ts';

declare global {
  /**
   * WebGPU's device, which `device` options take. Older compilers do not know it: there it is declared here, as an object of which
   * nothing is known, so that these types stand alone. A compiler that knows it, or @webgpu/types, merges this with its own.
   */
  interface GPUDevice {}
}
