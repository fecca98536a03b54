import type { PretrainedOptions } from '../api/index.ts';
import { checkNames, oneOf, UnsupportedError, wrong } from '../errors.ts';
import type { FeatureExtractionOptions, PromptOptions, TextRankingOptions } from '../tasks/index.ts';
import { type AdapterModel, type AdapterPipeline, LazyPipeline } from './lazy-pipeline.ts';
import type { AdapterTask } from './shared-pipelines.ts';
import { promptForTask, TASK_TYPES, type TaskType } from './task-prompts.ts';

/**
 * Models for the AI SDK (https://ai-sdk.dev), as its package @ai-sdk/provider describes them: EmbeddingModelV2, V3 and V4,
 * RerankingModelV3 and V4. That package is not needed: the types are the same by their structure.
 */

export type { AdapterModel, AdapterPipeline, AdapterTask, TaskType };

/** The version of the AI SDK's interfaces: V3 is taken by the packages `ai` 6 and 7, V4 by `ai` 7, V2 by `ai` 5. */
export type SpecificationVersion = 'v2' | 'v3' | 'v4';

const PROVIDER = 'webgpu-bert';
/** The name under which `providerOptions` and `providerMetadata` have ours. */
const OPTIONS_KEY = 'webgpuBert';

type JSONValue = null | string | number | boolean | Readonly<JSONObject> | readonly JSONValue[];
type JSONObject = { [key: string]: JSONValue | undefined };

export type ModelWarning =
  | { type: 'compatibility'; feature: string; details?: string }
  | { type: 'other'; message: string };

/** What the AI SDK gives to every call of a model. `headers` are for requests to a server, of which there are none. */
interface CallOptions {
  abortSignal?: AbortSignal;
  providerOptions?: Record<string, JSONObject>;
  headers?: Record<string, string | undefined>;
}

/** `providerOptions.webgpuBert` of `embed` and `embedMany`. At most one of `taskType`, `prompt_name` and `prompt` is given. */
export interface EmbeddingProviderOptions
  extends PromptOptions,
    Pick<FeatureExtractionOptions, 'normalize' | 'truncate_dim' | 'overflow' | 'stride'> {
  /** What the embeddings are for: chooses the checkpoint's prompt, under whatever name it has there. */
  taskType?: TaskType;
}

/** `providerOptions.webgpuBert` of `rerank`. */
export type RerankingProviderOptions = PromptOptions & Pick<TextRankingOptions, 'activation'>;

export interface EmbeddingCallOptions extends CallOptions {
  values: string[];
  /** Keeps the first columns, as `truncate_dim` does (AI SDK 7). */
  dimensions?: number;
}

export interface EmbeddingResult {
  embeddings: number[][];
  /** How many tokens were run. */
  usage: { tokens: number };
  warnings: ModelWarning[];
  /** Embeddings may be compared exactly if their `embeddingSpace` is the same. */
  providerMetadata: { webgpuBert: { embeddingSpace: string } };
}

export interface RerankingCallOptions extends CallOptions {
  query: string;
  documents: { type: 'text'; values: string[] } | { type: 'object'; values: JSONObject[] };
  topN?: number;
}

export interface RerankingResult {
  /** Best first. */
  ranking: { index: number; relevanceScore: number }[];
  warnings: ModelWarning[];
}

/** Options of the load, and the defaults of `providerOptions.webgpuBert`. */
export interface EmbeddingModelSettings extends PretrainedOptions {
  defaults?: EmbeddingProviderOptions;
}
export interface RerankingModelSettings extends PretrainedOptions {
  defaults?: RerankingProviderOptions;
}

/** What the models of both kinds have. */
interface LoadableModel {
  /** Loads the model, as the first call does otherwise. Rejects with what `pipeline` throws. */
  load(): Promise<void>;
  /** Frees the model on the GPU where no other object uses it. A later call loads it again. */
  dispose(): Promise<void>;
}

/** The AI SDK's EmbeddingModel. */
export interface WebGPUBertEmbeddingModel<V extends SpecificationVersion> extends LoadableModel {
  readonly specificationVersion: V;
  readonly provider: string;
  readonly modelId: string;
  readonly maxEmbeddingsPerCall: number;
  readonly supportsParallelCalls: boolean;
  /** Rejects with UnsupportedError or InputError for options, with what loading and running throw, or with the signal's reason. */
  doEmbed(options: EmbeddingCallOptions): Promise<EmbeddingResult>;
}

/** The AI SDK's RerankingModel. */
export interface WebGPUBertRerankingModel<V extends SpecificationVersion> extends LoadableModel {
  readonly specificationVersion: V;
  readonly provider: string;
  readonly modelId: string;
  /** Rejects as `doEmbed` of an EmbeddingModel does. */
  doRerank(options: RerankingCallOptions): Promise<RerankingResult>;
}

/** The AI SDK's Provider: also for `createProviderRegistry` and `customProvider`. */
export interface WebGPUBertProvider<V extends SpecificationVersion> {
  readonly specificationVersion: V;
  /**
   * A model for `embed` and `embedMany`. Nothing is loaded before its first call. A call does what pooling 'model' of
   * feature-extraction does: what sentence-transformers' encode() does.
   * @param model a hub id, or whatever else `pipeline` takes; or a feature-extraction pipeline, which stays the caller's
   */
  embeddingModel(
    model: AdapterModel<'feature-extraction'>,
    settings?: EmbeddingModelSettings,
  ): WebGPUBertEmbeddingModel<V>;
  /** The older name of `embeddingModel`. */
  textEmbeddingModel(
    model: AdapterModel<'feature-extraction'>,
    settings?: EmbeddingModelSettings,
  ): WebGPUBertEmbeddingModel<V>;
  /**
   * A cross-encoder for `rerank`. Nothing is loaded before its first call.
   * @param model a hub id, or whatever else `pipeline` takes; or a text-ranking pipeline, which stays the caller's
   */
  rerankingModel(model: AdapterModel<'text-ranking'>, settings?: RerankingModelSettings): WebGPUBertRerankingModel<V>;
  /** Throws: encoders generate no text. The AI SDK's NoSuchModelError.isInstance() knows the error. */
  languageModel(modelId: string): never;
  /** Throws, as `languageModel` does. */
  imageModel(modelId: string): never;
}

/**
 * A provider of one's own. `specificationVersion` is for programs that need another than V3, which `ai` 6 and 7 take: 'v2' for `ai` 5.
 * Throws UnsupportedError for a version that is not known, and for another setting.
 */
export function createWebGPUBert<V extends SpecificationVersion = 'v3'>(
  settings: { specificationVersion?: V } = {},
): WebGPUBertProvider<V> {
  const { specificationVersion = 'v3' as V } = checkNames('createWebGPUBert', settings, ['specificationVersion']);
  oneOf('this specificationVersion', specificationVersion, ['v2', 'v3', 'v4']);
  const embeddingModel: WebGPUBertProvider<V>['embeddingModel'] = (model, settings) =>
    embeddingModelOf(specificationVersion, model, settings);
  return {
    specificationVersion,
    embeddingModel,
    textEmbeddingModel: embeddingModel,
    rerankingModel: (model, settings) => rerankingModelOf(specificationVersion, model, settings),
    languageModel: modelId => noSuchModel(modelId, 'languageModel'),
    imageModel: modelId => noSuchModel(modelId, 'imageModel'),
  };
}

/**
 * The provider for `ai` 6 and 7.
 *
 *   import { embed, rerank } from 'ai';
 *   const model = webgpuBert.embeddingModel('sentence-transformers/all-MiniLM-L6-v2');
 *   const { embedding } = await embed({ model, value: 'a text' });
 */
export const webgpuBert: WebGPUBertProvider<'v3'> = /* @__PURE__ */ createWebGPUBert();

// The AI SDK calls models of older interfaces through a Proxy, which has no private members: models are objects of closures.

/** What the models of both kinds have. */
const modelOf = <T extends AdapterTask, V extends SpecificationVersion>(pipeline: LazyPipeline<T>, version: V) => ({
  specificationVersion: version,
  provider: PROVIDER,
  modelId: pipeline.name,
  load: async (): Promise<void> => {
    await pipeline.load();
  },
  dispose: (): Promise<void> => pipeline.dispose(),
});

function embeddingModelOf<V extends SpecificationVersion>(
  version: V,
  model: AdapterModel<'feature-extraction'>,
  { defaults: given, ...load }: EmbeddingModelSettings = {},
): WebGPUBertEmbeddingModel<V> {
  const pipeline = new LazyPipeline('feature-extraction', model, load);
  const defaults = checkNames('defaults', given, EMBEDDING_OPTION_NAMES);
  return {
    ...modelOf(pipeline, version),
    // Long lists are computed in passes.
    maxEmbeddingsPerCall: Number.POSITIVE_INFINITY,
    // Calls made at the same time share passes.
    supportsParallelCalls: true,
    async doEmbed({ values, dimensions, abortSignal, providerOptions }) {
      const own = ownOptions<EmbeddingProviderOptions>(providerOptions, EMBEDDING_OPTION_NAMES);
      const { taskType, prompt, prompt_name, ...options } = withDefaults(defaults, own);
      const pipe = await pipeline.load(abortSignal);
      const metadata = (embeddingSpace: string) => ({ [OPTIONS_KEY]: { embeddingSpace } }) as const;
      if (values.length === 0) {
        return { embeddings: [], usage: { tokens: 0 }, warnings: [], providerMetadata: metadata(pipe.space) };
      }
      const result = await pipe(values, {
        ...options,
        ...(taskType === undefined ? { prompt, prompt_name } : { prompt: promptForTask(pipe.prompts, taskType) }),
        ...(dimensions !== undefined && { truncate_dim: dimensions }),
        pooling: 'model',
        signal: abortSignal,
      });
      return {
        embeddings: result.tolist() as number[][],
        usage: { tokens: result.tokens.reduce((sum, tokens) => sum + tokens, 0) },
        warnings: cutWarnings(result.truncated, 'values'),
        providerMetadata: metadata(result.space),
      };
    },
  };
}

function rerankingModelOf<V extends SpecificationVersion>(
  version: V,
  model: AdapterModel<'text-ranking'>,
  { defaults: given, ...load }: RerankingModelSettings = {},
): WebGPUBertRerankingModel<V> {
  const pipeline = new LazyPipeline('text-ranking', model, load);
  const defaults = checkNames('defaults', given, RERANKING_OPTION_NAMES);
  return {
    ...modelOf(pipeline, version),
    async doRerank({ query, documents, topN, abortSignal, providerOptions }) {
      const own = ownOptions<RerankingProviderOptions>(providerOptions, RERANKING_OPTION_NAMES);
      const warnings: ModelWarning[] = [];
      if (documents.values.length === 0) return { ranking: [], warnings };
      const texts = documents.type === 'text' ? documents.values : documents.values.map(value => JSON.stringify(value));
      if (documents.type === 'object') {
        warnings.push({
          type: 'compatibility',
          feature: 'object documents',
          details: 'A cross-encoder reads text: every object is ranked by its JSON text.',
        });
      }
      const pipe = await pipeline.load(abortSignal);
      const options = withDefaults(defaults, own);
      const result = await pipe(query, texts, { ...options, top_k: topN ?? null, signal: abortSignal });
      return {
        ranking: result.map(({ corpus_id, score }) => ({ index: corpus_id, relevanceScore: score })),
        warnings: [...warnings, ...cutWarnings(result.truncated, 'documents')],
      };
    },
  };
}

const PROMPT_NAMES = ['taskType', 'prompt_name', 'prompt'] as const;
const EMBEDDING_OPTION_NAMES = [...PROMPT_NAMES, 'normalize', 'truncate_dim', 'overflow', 'stride'];
const RERANKING_OPTION_NAMES = ['prompt_name', 'prompt', 'activation'];

/** Our part of `providerOptions`. Throws UnsupportedError for an option that is not known, InputError where it is no object. */
function ownOptions<Options extends object>(
  providerOptions: Record<string, JSONObject> | undefined,
  names: readonly string[],
): Options {
  return checkNames(`providerOptions.${OPTIONS_KEY}`, providerOptions?.[OPTIONS_KEY] as Options | undefined, names);
}

/** The options of a call over those of the model. A prompt of the call replaces that of the model, however each is named. */
function withDefaults<Options extends EmbeddingProviderOptions>(defaults: Options, given: Options): Options {
  const isGiven = (options: Options) => (name: keyof EmbeddingProviderOptions) =>
    (options[name] ?? undefined) !== undefined;
  const promptsOf = (options: Options) => PROMPT_NAMES.filter(isGiven(options));
  const ours = promptsOf(given).length > 0 ? given : defaults;
  const [name, other] = promptsOf(ours);
  if (other !== undefined) throw wrong(`${name} beside ${other}`, ours[other], 'one of them: both choose the prompt');
  if (ours.taskType !== undefined) oneOf('this taskType', ours.taskType, TASK_TYPES);
  const rest = { ...defaults, ...given };
  for (const prompt of PROMPT_NAMES) delete rest[prompt];
  return name === undefined ? rest : { ...rest, [name]: ours[name] };
}

/** A warning that names the texts which were cut. */
function cutWarnings(truncated: readonly boolean[], name: 'values' | 'documents'): ModelWarning[] {
  const cut = truncated.flatMap((isCut, i) => (isCut ? [i] : []));
  if (cut.length === 0) return [];
  const listed = cut.slice(0, 10).join(', ') + (cut.length > 10 ? ', ...' : '');
  const advice = name === 'values' ? "Split them, or embed them in windows: overflow 'window'." : 'Split them.';
  const message = `${cut.length} of ${truncated.length} ${name} were cut, because the model takes no more tokens: those at ${listed} (from 0). ${advice}`;
  return [{ type: 'other', message }];
}

/** The AI SDK tells its errors by symbols, so that they need not be of one copy of its package. */
function noSuchModel(modelId: string, modelType: string): never {
  const error = new UnsupportedError({
    what: `${PROVIDER} has no ${modelType}`,
    actual: JSON.stringify(modelId),
    supported: ['embeddingModel', 'rerankingModel'],
  });
  const markers = ['vercel.ai.error', 'vercel.ai.error.AI_NoSuchModelError'].map(name => [Symbol.for(name), true]);
  throw Object.assign(error, { modelId, modelType }, Object.fromEntries(markers));
}
