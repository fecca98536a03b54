import { ContextualCompressionRetriever } from '@langchain/classic/retrievers/contextual_compression';
import { MemoryVectorStore } from '@langchain/classic/vectorstores/memory';
import { Document } from '@langchain/core/documents';
import { Embeddings, type EmbeddingsInterface } from '@langchain/core/embeddings';
import { BaseDocumentCompressor } from '@langchain/core/retrievers/document_compressors';
import { afterAll, expect, test } from 'vitest';
import { InputError, pipeline, UnsupportedError } from 'webgpu-bert';
import { WebGPUBertEmbeddings, WebGPUBertRerank } from 'webgpu-bert/langchain';
import { DOCUMENTS, embedderFiles, embeddingsOf, QUERY, rankerFiles, rankingOf } from './models.ts';

/** `webgpu-bert/langchain` with LangChain itself. */

// The compiler says whether the classes are those that LangChain describes.
const embeddings = new WebGPUBertEmbeddings({ model: embedderFiles() });
embeddings satisfies EmbeddingsInterface;
const reranker = new WebGPUBertRerank({ model: rankerFiles(), topN: 2 });
reranker satisfies BaseDocumentCompressor;

afterAll(async () => {
  await embeddings.dispose();
  await reranker.dispose();
});
const documents = () => DOCUMENTS.map((pageContent, i) => new Document({ pageContent, metadata: { i }, id: `${i}` }));

test('queries and documents get their prompts', async () => {
  expect(await embeddings.embedDocuments(DOCUMENTS)).toEqual(await embeddingsOf(DOCUMENTS, 'passage: '));
  expect(await embeddings.embedQuery(QUERY)).toEqual((await embeddingsOf([QUERY], 'query: '))[0]);
  expect(await embeddings.embedDocuments([])).toEqual([]);
});

test('a field of another name is refused, so that no other model is taken in silence', () => {
  for (const make of [
    () => new WebGPUBertEmbeddings({ modelName: 'intfloat/e5-small-v2' } as object),
    () => new WebGPUBertRerank({ topK: 2 } as object),
  ]) {
    expect(make).toThrow(UnsupportedError);
    expect(make).toThrow(/has no option "(modelName|topK)": expected one of model,/);
  }
});

test('options of calls, and a pipeline of the caller', async () => {
  const extractor = await pipeline('feature-extraction', embedderFiles());
  const other = new WebGPUBertEmbeddings({
    model: extractor,
    pipelineOptions: { truncate_dim: 8, prompt: '' },
    queryOptions: { prompt_name: 'query', prompt: null },
  });
  expect(other.model).toBe('pipeline');
  expect(await other.embedDocuments(['a'])).toEqual(await embeddingsOf(['a'], '', { truncate_dim: 8 }));
  expect(await other.embedQuery('a')).toEqual((await embeddingsOf(['a'], 'query: ', { truncate_dim: 8 }))[0]);
  await other.dispose();
  const tokens = new WebGPUBertEmbeddings({ model: extractor, pipelineOptions: { pooling: 'none' } });
  await expect(tokens.embedQuery('a')).rejects.toBeInstanceOf(InputError);
  expect((await extractor('a')).dims).toHaveLength(3);
  await extractor.dispose();
});

test('a vector store and its retriever', async () => {
  const store = await MemoryVectorStore.fromDocuments(documents(), embeddings);
  const found = await store.similaritySearchWithScore(QUERY, 3);
  const query = await embeddings.embedQuery(QUERY);
  const vectors = await embeddings.embedDocuments(DOCUMENTS);
  const dot = (a: number[], b: number[]) => a.reduce((sum, x, i) => sum + x * b[i]!, 0);
  const scores = vectors.map(vector => dot(query, vector));
  for (const [document, score] of found) {
    expect(score).toBeCloseTo(scores[DOCUMENTS.indexOf(document.pageContent)]!, 5);
  }
  expect((await store.asRetriever(1).invoke(QUERY))[0]!.pageContent).toBe(found[0]![0].pageContent);
});

test('a compressor behind a retriever', async () => {
  expect(BaseDocumentCompressor.isBaseDocumentCompressor(reranker)).toBe(true);
  const store = await MemoryVectorStore.fromDocuments(documents(), embeddings);
  const retriever = new ContextualCompressionRetriever({
    baseCompressor: reranker,
    baseRetriever: store.asRetriever(3),
  });
  const expected = await rankingOf(QUERY, DOCUMENTS);
  const found = await retriever.invoke(QUERY);
  expect(found.map(({ pageContent }) => pageContent)).toEqual(
    expected.slice(0, 2).map(({ corpus_id }) => DOCUMENTS[corpus_id]),
  );
  const given = documents();
  const [best] = await reranker.compressDocuments(given, QUERY);
  const { corpus_id, score } = expected[0]!;
  expect(best).toBeInstanceOf(Document);
  expect(best).toMatchObject({ id: `${corpus_id}`, metadata: { i: corpus_id, relevanceScore: score } });
  expect(given[corpus_id]!.metadata).toEqual({ i: corpus_id });
  expect(await reranker.rerank(DOCUMENTS, QUERY, { topN: 1 })).toEqual([{ index: corpus_id, relevanceScore: score }]);
  expect(await reranker.compressDocuments([], QUERY)).toEqual([]);
});

test('where a program wants the class itself', async () => {
  class Own extends Embeddings {
    embedQuery = (text: string) => embeddings.embedQuery(text);
    embedDocuments = (texts: string[]) => embeddings.embedDocuments(texts);
  }
  const own = new Own({ maxConcurrency: 1 });
  expect(own).toBeInstanceOf(Embeddings);
  expect(await own.embedQuery(QUERY)).toEqual(await embeddings.embedQuery(QUERY));
});
