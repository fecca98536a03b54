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
  type NewHeadOptions,
  type PretrainedOptions,
  type Remotely,
  type RemoteModel,
  type RemoteTokenizer,
  type WorkerEnvironment,
  type WorkerModelClass,
  WorkerSide,
} from './worker/index.ts';

export {
  AutoConfig,
  type ConfigOptions,
  cat,
  cos_sim,
  dot,
  full,
  full_like,
  LogLevel,
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
  PretrainedConfig,
  permute,
  quantize_embeddings,
  rand,
  randn,
  slice,
  softmax,
  stack,
  std_mean,
  Tensor,
  type TokenizerOptions,
  type TokenizerSaveOptions,
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
export type { Similarity, Support } from './engine/index.ts';
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
export type { SavedDtype, SaveOptions } from './saving/index.ts';
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
export type * from './type-names.ts';
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
  type NewHeadOptions,
  type NewModelOptions,
  type PretrainedOptions,
  type Remotely,
  type RemoteModel,
  type RemoteTokenizer,
  type WorkerClass,
  type WorkerEnvironment as Environment,
  WorkerError,
  type WorkerModelClass,
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

/** The options of `pipeline`: those of `from_pretrained`, and a tokenizer. */
export interface PipelineOptions extends PretrainedOptions {
  /** A tokenizer, of AutoTokenizer.from_pretrained of this entry. Default: that of the model's files. */
  tokenizer?: RemoteTokenizer | null;
}

interface Functions {
  pipeline<T extends Task>(
    task: T,
    model?: ModelLocation | RemoteModel | null,
    options?: PipelineOptions | null,
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
const withHead = <Name extends keyof Api & string>(name: Name): WorkerModelClass<Loaded<Name>, NewHeadOptions> =>
  side.modelClass(name);

export const AutoModel = /* @__PURE__ */ side.modelClass<Loaded<'AutoModel'>>('AutoModel');
export const AutoModelForMaskedLM = /* @__PURE__ */ withHead('AutoModelForMaskedLM');
export const AutoModelForMultipleChoice = /* @__PURE__ */ withHead('AutoModelForMultipleChoice');
export const AutoModelForNextSentencePrediction = /* @__PURE__ */ withHead('AutoModelForNextSentencePrediction');
export const AutoModelForPreTraining = /* @__PURE__ */ withHead('AutoModelForPreTraining');
export const AutoModelForQuestionAnswering = /* @__PURE__ */ withHead('AutoModelForQuestionAnswering');
export const AutoModelForSequenceClassification = /* @__PURE__ */ withHead('AutoModelForSequenceClassification');
export const AutoModelForTokenClassification = /* @__PURE__ */ withHead('AutoModelForTokenClassification');
export const AutoTokenizer = /* @__PURE__ */ side.loader<TokenizerHere, TokenizerOptions>('AutoTokenizer');
export const MultiVectorEncoder = /* @__PURE__ */ side.loader<MultiVectorEncoderHere>('MultiVectorEncoder');
export const SparseEncoder = /* @__PURE__ */ side.loader<SparseEncoderHere>('SparseEncoder');

/** The classes of transformers.js for every family and head, as in 'webgpu-bert' (class-names.ts): other names of those above. */
export {
  AutoModel as AlbertModel,
  AutoModel as BertModel,
  AutoModel as CamembertModel,
  AutoModel as ConvBertModel,
  AutoModel as DebertaModel,
  AutoModel as DebertaV2Model,
  AutoModel as DistilBertModel,
  AutoModel as ElectraModel,
  AutoModel as EsmModel,
  AutoModel as EuroBertModel,
  AutoModel as Gemma3Model,
  AutoModel as MobileBertModel,
  AutoModel as ModernBertModel,
  AutoModel as MPNetModel,
  AutoModel as NeoBertModel,
  AutoModel as NomicBertModel,
  AutoModel as RobertaModel,
  AutoModel as RoFormerModel,
  AutoModel as SqueezeBertModel,
  AutoModel as XLMRobertaModel,
  AutoModelForMaskedLM as AlbertForMaskedLM,
  AutoModelForMaskedLM as BertForMaskedLM,
  AutoModelForMaskedLM as CamembertForMaskedLM,
  AutoModelForMaskedLM as ConvBertForMaskedLM,
  AutoModelForMaskedLM as DebertaForMaskedLM,
  AutoModelForMaskedLM as DebertaV2ForMaskedLM,
  AutoModelForMaskedLM as DistilBertForMaskedLM,
  AutoModelForMaskedLM as ElectraForMaskedLM,
  AutoModelForMaskedLM as EsmForMaskedLM,
  AutoModelForMaskedLM as EuroBertForMaskedLM,
  AutoModelForMaskedLM as MobileBertForMaskedLM,
  AutoModelForMaskedLM as ModernBertForMaskedLM,
  AutoModelForMaskedLM as MPNetForMaskedLM,
  AutoModelForMaskedLM as NeoBertForMaskedLM,
  AutoModelForMaskedLM as RobertaForMaskedLM,
  AutoModelForMaskedLM as RoFormerForMaskedLM,
  AutoModelForMaskedLM as SqueezeBertForMaskedLM,
  AutoModelForMaskedLM as XLMRobertaForMaskedLM,
  AutoModelForQuestionAnswering as AlbertForQuestionAnswering,
  AutoModelForQuestionAnswering as BertForQuestionAnswering,
  AutoModelForQuestionAnswering as CamembertForQuestionAnswering,
  AutoModelForQuestionAnswering as ConvBertForQuestionAnswering,
  AutoModelForQuestionAnswering as DebertaForQuestionAnswering,
  AutoModelForQuestionAnswering as DebertaV2ForQuestionAnswering,
  AutoModelForQuestionAnswering as DistilBertForQuestionAnswering,
  AutoModelForQuestionAnswering as ElectraForQuestionAnswering,
  AutoModelForQuestionAnswering as MobileBertForQuestionAnswering,
  AutoModelForQuestionAnswering as MPNetForQuestionAnswering,
  AutoModelForQuestionAnswering as NeoBertForQuestionAnswering,
  AutoModelForQuestionAnswering as RobertaForQuestionAnswering,
  AutoModelForQuestionAnswering as RoFormerForQuestionAnswering,
  AutoModelForQuestionAnswering as SqueezeBertForQuestionAnswering,
  AutoModelForQuestionAnswering as XLMRobertaForQuestionAnswering,
  AutoModelForSequenceClassification as AlbertForSequenceClassification,
  AutoModelForSequenceClassification as BertForSequenceClassification,
  AutoModelForSequenceClassification as CamembertForSequenceClassification,
  AutoModelForSequenceClassification as ConvBertForSequenceClassification,
  AutoModelForSequenceClassification as DebertaForSequenceClassification,
  AutoModelForSequenceClassification as DebertaV2ForSequenceClassification,
  AutoModelForSequenceClassification as DistilBertForSequenceClassification,
  AutoModelForSequenceClassification as ElectraForSequenceClassification,
  AutoModelForSequenceClassification as EsmForSequenceClassification,
  AutoModelForSequenceClassification as EuroBertForSequenceClassification,
  AutoModelForSequenceClassification as MobileBertForSequenceClassification,
  AutoModelForSequenceClassification as ModernBertForSequenceClassification,
  AutoModelForSequenceClassification as MPNetForSequenceClassification,
  AutoModelForSequenceClassification as NeoBertForSequenceClassification,
  AutoModelForSequenceClassification as RobertaForSequenceClassification,
  AutoModelForSequenceClassification as RoFormerForSequenceClassification,
  AutoModelForSequenceClassification as SqueezeBertForSequenceClassification,
  AutoModelForSequenceClassification as XLMRobertaForSequenceClassification,
  AutoModelForTokenClassification as BertForTokenClassification,
  AutoModelForTokenClassification as CamembertForTokenClassification,
  AutoModelForTokenClassification as ConvBertForTokenClassification,
  AutoModelForTokenClassification as DebertaForTokenClassification,
  AutoModelForTokenClassification as DebertaV2ForTokenClassification,
  AutoModelForTokenClassification as DistilBertForTokenClassification,
  AutoModelForTokenClassification as ElectraForTokenClassification,
  AutoModelForTokenClassification as EsmForTokenClassification,
  AutoModelForTokenClassification as EuroBertForTokenClassification,
  AutoModelForTokenClassification as ModernBertForTokenClassification,
  AutoModelForTokenClassification as MPNetForTokenClassification,
  AutoModelForTokenClassification as NeoBertForTokenClassification,
  AutoModelForTokenClassification as RobertaForTokenClassification,
  AutoModelForTokenClassification as RoFormerForTokenClassification,
  AutoModelForTokenClassification as XLMRobertaForTokenClassification,
  AutoTokenizer as AlbertTokenizer,
  AutoTokenizer as BertTokenizer,
  AutoTokenizer as CamembertTokenizer,
  AutoTokenizer as ConvBertTokenizer,
  AutoTokenizer as DebertaTokenizer,
  AutoTokenizer as DebertaV2Tokenizer,
  AutoTokenizer as DistilBertTokenizer,
  AutoTokenizer as ElectraTokenizer,
  AutoTokenizer as EsmTokenizer,
  AutoTokenizer as GemmaTokenizer,
  AutoTokenizer as MobileBertTokenizer,
  AutoTokenizer as MPNetTokenizer,
  AutoTokenizer as RobertaTokenizer,
  AutoTokenizer as RoFormerTokenizer,
  AutoTokenizer as SqueezeBertTokenizer,
  AutoTokenizer as TokenizersBackend,
  AutoTokenizer as XLMRobertaTokenizer,
};

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
