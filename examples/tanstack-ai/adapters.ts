import { requireTextOnlyEmbeddingInput, type TokenUsage } from '@tanstack/ai';
import { BaseEmbeddingAdapter, BaseRerankAdapter } from '@tanstack/ai/adapters';
import type { FeatureExtractionOptions, FeatureExtractionPipeline, TextRankingPipeline } from 'webgpu-bert';

type Extractor = FeatureExtractionPipeline['_call'];
type Ranker = TextRankingPipeline['_call'];
type EmbedOptions = Parameters<BaseEmbeddingAdapter<string, EmbeddingOptions>['createEmbeddings']>[0];
type RerankOptions = Parameters<BaseRerankAdapter['rerank']>[0];

/** `modelOptions` of `embed`. */
export type EmbeddingOptions = Pick<FeatureExtractionOptions, 'prompt' | 'prompt_name' | 'normalize' | 'signal'>;

const usageOf = (tokens: readonly number[]): TokenUsage => {
  const promptTokens = tokens.reduce((sum, count) => sum + count, 0);
  return { promptTokens, completionTokens: 0, totalTokens: promptTokens };
};

class EmbeddingAdapter extends BaseEmbeddingAdapter<string, EmbeddingOptions> {
  readonly name = 'webgpu-bert';
  readonly #extractor: Extractor;

  constructor(model: string, extractor: Extractor) {
    super(model);
    this.#extractor = extractor;
  }

  async createEmbeddings({ model, input, dimensions, modelOptions, logger }: EmbedOptions) {
    const texts = requireTextOnlyEmbeddingInput(input, this.name, model);
    logger.request(`${this.name}: ${texts.length} texts`, { provider: this.name, model });
    const result = await this.#extractor(texts, {
      ...modelOptions,
      ...(dimensions !== undefined && { truncate_dim: dimensions }),
      pooling: 'model',
    });
    const embeddings = (result.tolist() as number[][]).map((vector, index) => ({ vector, index }));
    return { id: this.generateId(), model, embeddings, usage: usageOf(result.tokens) };
  }
}

class RerankAdapter extends BaseRerankAdapter {
  readonly name = 'webgpu-bert';
  readonly #ranker: Ranker;

  constructor(model: string, ranker: Ranker) {
    super(undefined, model);
    this.#ranker = ranker;
  }

  async rerank({ model, query, documents, topN, abortSignal, logger }: RerankOptions) {
    logger.request(`${this.name}: ${documents.length} documents`, { provider: this.name, model });
    const result = await this.#ranker(query, documents, {
      top_k: topN ?? null,
      ...(abortSignal && { signal: abortSignal }),
    });
    const ranking = result.map(({ corpus_id, score }) => ({ index: corpus_id, score }));
    return { id: this.generateId(), ranking, usage: usageOf(result.tokens) };
  }
}

/** An adapter for `embed` of TanStack AI. @param model its name, for logs */
export const webgpuBertEmbedding = (model: string, extractor: Extractor): EmbeddingAdapter =>
  new EmbeddingAdapter(model, extractor);

/** An adapter for `rerank` of TanStack AI. @param model its name, for logs */
export const webgpuBertRerank = (model: string, ranker: Ranker): RerankAdapter => new RerankAdapter(model, ranker);
