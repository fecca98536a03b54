import { PGlite } from '@electric-sql/pglite';
import { vector } from '@electric-sql/pglite-pgvector';
import { create, insert, insertMultiple, search } from '@orama/orama';
import { embed, rerank } from '@tanstack/ai';
import { ChromaClient, type EmbeddingFunction } from 'chromadb';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { type FeatureExtractionPipeline, pipeline, type TextRankingPipeline } from 'webgpu-bert';
import { openCollection, WebGPUBertEmbeddingFunction } from '../../examples/chroma/embedding-function.ts';
import { semanticSearch } from '../../examples/orama/semantic-search.ts';
import { Passages } from '../../examples/pglite/passages.ts';
import { webgpuBertEmbedding, webgpuBertRerank } from '../../examples/tanstack-ai/adapters.ts';
import { DOCUMENTS, embedderFiles, embeddingsOf, QUERY, rankerFiles, rankingOf } from './models.ts';

/** The examples of examples/ with the packages that they are for. */

let extractor: FeatureExtractionPipeline;
let ranker: TextRankingPipeline;
let rows: number[][];
let query: number[];
/** Texts by their cosine with the query, best first. The vectors have length 1. */
let ranked: { text: string; score: number }[];

beforeAll(async () => {
  extractor = await pipeline('feature-extraction', embedderFiles());
  ranker = await pipeline('text-ranking', rankerFiles());
  rows = await embeddingsOf(DOCUMENTS, 'passage: ');
  [query] = (await embeddingsOf([QUERY], 'query: ')) as [number[]];
  ranked = rows
    .map((row, i) => ({ text: DOCUMENTS[i]!, score: row.reduce((sum, x, at) => sum + x * query[at]!, 0) }))
    .sort((a, b) => b.score - a.score);
});
afterAll(async () => {
  await extractor.dispose();
  await ranker.dispose();
});

test('orama', async () => {
  const plugin = semanticSearch(extractor, { text: 'title', vector: 'embedding' });
  const db = create({ schema: { title: 'string', embedding: 'vector[48]' } as const, plugins: [plugin] });
  await insertMultiple(
    db,
    DOCUMENTS.slice(1).map(title => ({ title })),
  );
  await insert(db, { title: DOCUMENTS[0]! });
  const { hits } = await search(db, { mode: 'vector', term: QUERY, similarity: -1 } as never);
  expect(hits.map(({ document }) => (document as { title: string }).title)).toEqual(ranked.map(({ text }) => text));
  for (const [i, { score }] of hits.entries()) expect(score).toBeCloseTo(ranked[i]!.score, 4);
  // A search for words needs no vector.
  expect((await search(db, { term: 'capital' })).count).toBe(1);
  expect((await search(db, { mode: 'hybrid', term: 'capital', similarity: -1 } as never)).count).toBe(3);
});

test('pglite', async () => {
  const db = await PGlite.create({ extensions: { vector } });
  const passages = await Passages.open(db, extractor, 48);
  await passages.add(DOCUMENTS);
  const found = await passages.search(QUERY, 2);
  expect(found.map(({ text }) => text)).toEqual(ranked.slice(0, 2).map(({ text }) => text));
  for (const [i, { similarity }] of found.entries()) expect(similarity).toBeCloseTo(ranked[i]!.score, 4);
  await db.close();
});

test('tanstack-ai', async () => {
  const adapter = webgpuBertEmbedding('a/b', extractor);
  const plain = await embeddingsOf(DOCUMENTS);
  const result = await embed({ adapter, input: DOCUMENTS });
  expect(result.embeddings.map(each => each.vector)).toEqual(plain);
  expect(result.usage!.totalTokens).toBeGreaterThan(9);
  const one = await embed({ adapter, input: QUERY, dimensions: 8, modelOptions: { prompt_name: 'query' } });
  expect(one.embeddings[0]!.vector).toEqual((await embeddingsOf([QUERY], 'query: ', { truncate_dim: 8 }))[0]);
  const { ranking } = await rerank({
    adapter: webgpuBertRerank('a/b', ranker),
    query: QUERY,
    documents: DOCUMENTS,
    topN: 2,
  });
  const expected = await rankingOf(QUERY, DOCUMENTS);
  expect(ranking.map(({ index, score }) => ({ corpus_id: index, score }))).toEqual(expected.slice(0, 2));
});

test('chroma', async () => {
  const own = new WebGPUBertEmbeddingFunction(extractor);
  own satisfies EmbeddingFunction;
  expect(await own.generate(DOCUMENTS)).toEqual(rows);
  expect(await own.generateForQueries([QUERY])).toEqual([query]);
  expect(() => own.validateConfig({ space: 'another' })).toThrow('another');
  expect(own.supportedSpaces()).toContain(own.defaultSpace());
});

test('chroma: the space is stored with a collection, and another one is refused', async () => {
  // Of the server what its 1.5.9 answers to this one request: the configuration that a collection was made with, whoever opens it.
  const made = new Map<string, { configuration: object }>();
  vi.stubGlobal('fetch', async (request: Request) => {
    expect(new URL(request.url).pathname).toMatch(/\/collections$/);
    const body = (await request.json()) as { name: string; configuration: object };
    if (!made.has(body.name)) made.set(body.name, body);
    const { configuration } = made.get(body.name)!;
    const ids = { id: '1', name: body.name, tenant: 'default_tenant', database: 'default_database' };
    return Response.json({ ...ids, configuration_json: configuration, metadata: null, schema: null });
  });
  try {
    const client = new ChromaClient();
    await openCollection(client, 'notes', extractor);
    expect(made.get('notes')!.configuration).toMatchObject({
      hnsw: { space: 'cosine' },
      embedding_function: { type: 'known', name: 'webgpu-bert', config: { space: extractor.space } },
    });
    expect((await openCollection(client, 'notes', extractor)).name).toBe('notes');
    const { encode_query, encode_document } = extractor;
    const other = { encode_query, encode_document, space: 'another' };
    await expect(openCollection(client, 'notes', other)).rejects.toThrow('another');
    expect(() => WebGPUBertEmbeddingFunction.buildFromConfig({ space: extractor.space })).toThrow('openCollection');
  } finally {
    vi.unstubAllGlobals();
  }
});
