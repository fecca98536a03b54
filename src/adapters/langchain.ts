import type { PretrainedOptions } from '../api/index.ts';
import { checkNames, InputError } from '../errors.ts';
import type { FeatureExtractionOptions, PromptOptions, TextRankingOptions } from '../tasks/index.ts';
import { type AdapterModel, type AdapterPipeline, LazyPipeline } from './lazy-pipeline.ts';
import type { AdapterTask } from './shared-pipelines.ts';
import { promptForTask, type TaskType } from './task-prompts.ts';

/**
 * Embeddings and a reranker for LangChain (https://docs.langchain.com), as its package @langchain/core describes them: EmbeddingsInterface
 * and BaseDocumentCompressor. That package is not needed: the types are the same by their structure, and nothing in it asks for the class.
 */

export type { AdapterModel, AdapterPipeline, AdapterTask };

/** How texts are embedded. Default: pooling 'model', which does what sentence-transformers' encode() does. */
export type EmbeddingPipelineOptions = Omit<FeatureExtractionOptions, 'precision' | 'quantize' | 'ranges'>;

/** The fields of LangChain's HuggingFaceTransformersEmbeddings, where they have a meaning here, and `queryOptions`. */
export interface WebGPUBertEmbeddingsFields {
  /**
   * A hub id, or whatever else `pipeline` takes; or a feature-extraction pipeline, which stays the caller's.
   * Default: 'sentence-transformers/all-MiniLM-L6-v2'.
   */
  model?: AdapterModel<'feature-extraction'>;
  /** Options of the load: `dtype`, `progress_callback`, `signal`, ... */
  pretrainedOptions?: PretrainedOptions;
  /** Options of every call. Where it names no prompt, documents get the checkpoint's prompt for documents, queries that for queries. */
  pipelineOptions?: EmbeddingPipelineOptions;
  /** Options of `embedQuery`, over `pipelineOptions`. */
  queryOptions?: EmbeddingPipelineOptions;
}

const EMBEDDINGS_FIELD_NAMES = ['model', 'pretrainedOptions', 'pipelineOptions', 'queryOptions'];

/** LangChain's Embeddings: for every vector store. */
export class WebGPUBertEmbeddings {
  readonly #pipeline: LazyPipeline<'feature-extraction'>;
  readonly #documentOptions: EmbeddingPipelineOptions;
  readonly #queryOptions: EmbeddingPipelineOptions;

  /**
   * Loads nothing: the first call does, or `load`. Throws UnsupportedError for a field of another name, such as another package's
   * `modelName`: with it ignored, the texts would be embedded by a model that nobody has named.
   */
  constructor(fields: WebGPUBertEmbeddingsFields = {}) {
    const {
      model = 'sentence-transformers/all-MiniLM-L6-v2',
      pretrainedOptions = {},
      pipelineOptions = {},
      queryOptions = {},
    } = checkNames('WebGPUBertEmbeddings', fields, EMBEDDINGS_FIELD_NAMES);
    this.#pipeline = new LazyPipeline('feature-extraction', model, pretrainedOptions);
    this.#documentOptions = pipelineOptions;
    this.#queryOptions = { ...pipelineOptions, ...queryOptions };
  }

  /** The model's name: its id or URL, 'files' for files, 'pipeline' for a pipeline of the caller's. */
  get model(): string {
    return this.#pipeline.name;
  }

  /**
   * One vector for each text. A long list is computed in passes, so there is nothing to be cut into batches.
   * Rejects with what loading and running throw.
   */
  embedDocuments(documents: string[]): Promise<number[][]> {
    return this.#embed(documents, this.#documentOptions, 'retrieval-document');
  }

  /** Rejects as `embedDocuments` does. */
  async embedQuery(document: string): Promise<number[]> {
    const [vector] = await this.#embed([document], this.#queryOptions, 'retrieval-query');
    return vector!;
  }

  /** Loads the model, as the first call does otherwise. */
  async load(): Promise<void> {
    await this.#pipeline.load();
  }

  /** Frees the model on the GPU where no other object uses it. A later call loads it again. */
  dispose(): Promise<void> {
    return this.#pipeline.dispose();
  }

  async #embed(texts: readonly string[], options: EmbeddingPipelineOptions, taskType: TaskType): Promise<number[][]> {
    if (options.pooling === 'none') {
      throw new InputError({
        what: "pooling 'none' gives a row for each token",
        expected: 'one vector for each text',
        next: "Leave pooling out, or name another one, such as 'mean'.",
      });
    }
    if (texts.length === 0) return [];
    const pipe = await this.#pipeline.load(options.signal);
    const isNamed = (options.prompt ?? options.prompt_name ?? undefined) !== undefined;
    const prompt = isNamed ? {} : { prompt: promptForTask(pipe.prompts, taskType) };
    const result = await pipe(texts, { pooling: 'model', ...options, ...prompt });
    return result.tolist() as number[][];
  }
}

/** LangChain's Document, as far as it is needed here. */
export interface RerankableDocument {
  pageContent: string;
  metadata: Record<string, unknown>;
}

/** The fields of LangChain's rerankers. */
export interface WebGPUBertRerankFields {
  /**
   * A cross-encoder: a hub id, or whatever else `pipeline` takes; or a text-ranking pipeline, which stays the caller's.
   * Default: 'cross-encoder/ms-marco-MiniLM-L6-v2'.
   */
  model?: AdapterModel<'text-ranking'>;
  /** How many documents are kept. Default: all, in their order of relevance. */
  topN?: number;
  /** Options of the load: `dtype`, `progress_callback`, `signal`, ... */
  pretrainedOptions?: PretrainedOptions;
  /** Options of every call. */
  pipelineOptions?: PromptOptions & Pick<TextRankingOptions, 'activation'> & { signal?: AbortSignal };
}

const RERANK_FIELD_NAMES = ['model', 'topN', 'pretrainedOptions', 'pipelineOptions'];

/** LangChain's document compressor: for ContextualCompressionRetriever, and by itself. */
export class WebGPUBertRerank {
  readonly topN: number | undefined;
  readonly #pipeline: LazyPipeline<'text-ranking'>;
  readonly #options: NonNullable<WebGPUBertRerankFields['pipelineOptions']>;

  /** Loads nothing: the first call does, or `load`. Throws UnsupportedError for a field of another name. */
  constructor(fields: WebGPUBertRerankFields = {}) {
    const {
      model = 'cross-encoder/ms-marco-MiniLM-L6-v2',
      topN,
      pretrainedOptions = {},
      pipelineOptions = {},
    } = checkNames('WebGPUBertRerank', fields, RERANK_FIELD_NAMES);
    this.topN = topN;
    this.#pipeline = new LazyPipeline('text-ranking', model, pretrainedOptions);
    this.#options = pipelineOptions;
  }

  /** The model's name: its id or URL, 'files' for files, 'pipeline' for a pipeline of the caller's. */
  get model(): string {
    return this.#pipeline.name;
  }

  /**
   * The `topN` most relevant documents, best first: copies with `metadata.relevanceScore`. Rejects with what loading and running throw.
   */
  async compressDocuments<D extends RerankableDocument>(documents: D[], query: string): Promise<D[]> {
    const ranking = await this.rerank(documents, query);
    return ranking.map(({ index, relevanceScore }) => {
      const document = documents[index]!;
      const metadata = { ...document.metadata, relevanceScore };
      // A Document stays one.
      return Object.assign(Object.create(Object.getPrototypeOf(document)), document, { metadata }) as D;
    });
  }

  /** The places of the `topN` most relevant documents in the list, best first, with their scores. Rejects as `compressDocuments` does. */
  async rerank(
    documents: readonly (string | Pick<RerankableDocument, 'pageContent'>)[],
    query: string,
    { topN = this.topN }: { topN?: number } = {},
  ): Promise<{ index: number; relevanceScore: number }[]> {
    if (documents.length === 0) return [];
    const texts = documents.map(document => (typeof document === 'string' ? document : document.pageContent));
    const pipe = await this.#pipeline.load(this.#options.signal);
    const ranking = await pipe(query, texts, { ...this.#options, top_k: topN ?? null });
    return ranking.map(({ corpus_id, score }) => ({ index: corpus_id, relevanceScore: score }));
  }

  /** Loads the model, as the first call does otherwise. */
  async load(): Promise<void> {
    await this.#pipeline.load();
  }

  /** Frees the model on the GPU where no other object uses it. A later call loads it again. */
  dispose(): Promise<void> {
    return this.#pipeline.dispose();
  }
}
