import type * as api from './api/index.ts';
import {
  type CallableModel as CallableModelHere,
  env as environment,
  type OutputName,
  type PreTrainedTokenizer as TokenizerHere,
  type TokenizerOptions,
} from './api/index.ts';
import type { ModelLocation } from './checkpoint/source/index.ts';
import type { Support } from './engine/index.ts';
import type { Pipeline as PipelineHere, Task } from './tasks/index.ts';
import type {
  MultiVectorEncoder as MultiVectorEncoderHere,
  SparseEncoder as SparseEncoderHere,
} from './vectors/index.ts';
import {
  type PretrainedOptions,
  type Remotely,
  type RemoteModel,
  type RemoteTokenizer,
  type WorkerClass,
  type WorkerEnvironment,
  WorkerSide,
} from './worker/index.ts';

export {
  cat,
  cos_sim,
  dot,
  full,
  full_like,
  layer_norm,
  log_softmax,
  type ModelCallOptions,
  type ModelEventMap,
  type ModelInputs,
  type ModelOutput,
  matmul,
  mean,
  mean_pooling,
  type OutputName,
  ones,
  ones_like,
  permute,
  quantize_embeddings,
  slice,
  softmax,
  stack,
  std_mean,
  Tensor,
  type TokenizerOptions,
  topk,
  zeros,
  zeros_like,
} from './api/index.ts';
export type {
  LocalFile,
  ModelCache,
  ModelLocation,
  ProgressCallback,
  ProgressInfo,
} from './checkpoint/source/index.ts';
export type { Support } from './engine/index.ts';
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
  FilledMask,
  FillMaskOptions,
  OverflowOptions,
  PoolingName,
  PromptOptions,
  QuestionAnsweringOptions,
  RankedDocument,
  RunOptions,
  Task,
  TextClassificationOptions,
  TextRankingOptions,
  TokenClassificationOptions,
  WithTruncated,
  ZeroShotOptions,
  ZeroShotResult,
} from './tasks/index.ts';
export type {
  EncodeTask,
  MultiVectorRankOptions,
  MultiVectorSimilarityOptions,
  SparseEncodeOptions,
  SparseSimilarity,
  SparseVector,
  TextOptions,
  TokenVectors,
} from './vectors/index.ts';
export {
  type PretrainedOptions,
  type Remotely,
  type RemoteModel,
  type RemoteTokenizer,
  type WorkerClass,
  type WorkerEnvironment as Environment,
  WorkerError,
} from './worker/index.ts';

/** The `env` of 'webgpu-bert', and `worker`. The worker is told of its settings before each load. */
export const env: WorkerEnvironment = environment;

// Bundlers find the worker by this very text.
const side = /* @__PURE__ */ new WorkerSide(
  () => new Worker(new URL('./worker-script.js', import.meta.url), { type: 'module' }),
  env,
);

/** What `pipeline()` resolves to: it is called as that of 'webgpu-bert', and computes in the worker. */
export type Pipeline<T extends Task> = Remotely<PipelineHere<T>>;

interface Functions {
  pipeline<T extends Task>(
    task: T,
    model?: ModelLocation | null,
    options?: PretrainedOptions | null,
  ): Promise<Pipeline<T>>;
  isSupported(): Promise<Support>;
}

const functions = /* @__PURE__ */ side.root<Functions>('functions', ['pipeline', 'isSupported']);

/**
 * The `pipeline` of 'webgpu-bert' in a worker: tokenising, packing and reading back leave the page free. Of what it resolves to, methods
 * that give their result at once give a promise of it (`tokenizer('a text')`, say); the rest is the same, errors and signals included.
 * Throws what that one throws, and WorkerError.
 */
export const { pipeline } = functions;
/** Whether models run in the worker: as that of 'webgpu-bert'. Throws WorkerError where there is no worker. */
export const { isSupported } = functions;

type Api = typeof api;
/** What a class of the library loads. */
type Loaded<Name extends keyof Api> = Api[Name] extends { from_pretrained(...values: never[]): Promise<infer Model> }
  ? Model
  : never;
const loader = <Name extends keyof Api & string>(name: Name): WorkerClass<Loaded<Name>> => side.loader(name);

export const AutoModel = /* @__PURE__ */ loader('AutoModel');
export const AutoModelForMaskedLM = /* @__PURE__ */ loader('AutoModelForMaskedLM');
export const AutoModelForMultipleChoice = /* @__PURE__ */ loader('AutoModelForMultipleChoice');
export const AutoModelForNextSentencePrediction = /* @__PURE__ */ loader('AutoModelForNextSentencePrediction');
export const AutoModelForPreTraining = /* @__PURE__ */ loader('AutoModelForPreTraining');
export const AutoModelForQuestionAnswering = /* @__PURE__ */ loader('AutoModelForQuestionAnswering');
export const AutoModelForSequenceClassification = /* @__PURE__ */ loader('AutoModelForSequenceClassification');
export const AutoModelForTokenClassification = /* @__PURE__ */ loader('AutoModelForTokenClassification');
export const AutoTokenizer = /* @__PURE__ */ side.loader<TokenizerHere, TokenizerOptions>('AutoTokenizer');
export const MultiVectorEncoder = /* @__PURE__ */ side.loader<MultiVectorEncoderHere>('MultiVectorEncoder');
export const SparseEncoder = /* @__PURE__ */ side.loader<SparseEncoderHere>('SparseEncoder');

export type MultiVectorEncoder = Remotely<MultiVectorEncoderHere>;
export type SparseEncoder = Remotely<SparseEncoderHere>;
export type PreTrainedModel = RemoteModel;
export type PreTrainedTokenizer = RemoteTokenizer;
export type CallableModel<Outputs extends OutputName = OutputName> = Remotely<CallableModelHere<Outputs>>;

export type FeatureExtractionPipeline = Pipeline<'feature-extraction'>;
export type FillMaskPipeline = Pipeline<'fill-mask'>;
export type MultipleChoicePipeline = Pipeline<'multiple-choice'>;
export type NextSentencePredictionPipeline = Pipeline<'next-sentence-prediction'>;
export type QuestionAnsweringPipeline = Pipeline<'question-answering'>;
export type SentenceSimilarityPipeline = Pipeline<'sentence-similarity'>;
export type TextClassificationPipeline = Pipeline<'text-classification'>;
export type TextRankingPipeline = Pipeline<'text-ranking'>;
export type TokenClassificationPipeline = Pipeline<'token-classification'>;
export type ZeroShotClassificationPipeline = Pipeline<'zero-shot-classification'>;
