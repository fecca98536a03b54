import type {
  EmbeddingModelV2,
  EmbeddingModelV3,
  EmbeddingModelV4,
  ProviderV3,
  ProviderV4,
  RerankingModelV3,
  RerankingModelV4,
} from '@ai-sdk/provider';
import * as ai7 from 'ai';
import * as ai5 from 'ai-5';
import * as ai6 from 'ai-6';
import { afterAll, describe, expect, test, vi } from 'vitest';
import { InputError, SourceError, UnsupportedError } from 'webgpu-bert';
import { createWebGPUBert, webgpuBert } from 'webgpu-bert/ai-sdk';
import { DOCUMENTS, embedderFiles, embeddingsOf, QUERY, rankerFiles, rankingOf } from './models.ts';

/** `webgpu-bert/ai-sdk` with the functions of the AI SDK itself. */

// The compiler says whether the models and providers are those that the AI SDK describes.
const four = createWebGPUBert({ specificationVersion: 'v4' });
four satisfies ProviderV4;
webgpuBert satisfies ProviderV3;
four.embeddingModel('a/b') satisfies EmbeddingModelV4;
four.rerankingModel('a/b') satisfies RerankingModelV4;
webgpuBert.embeddingModel('a/b') satisfies EmbeddingModelV3;
webgpuBert.rerankingModel('a/b') satisfies RerankingModelV3;
createWebGPUBert({ specificationVersion: 'v2' }).textEmbeddingModel('a/b') satisfies EmbeddingModelV2<string>;

// The AI SDK writes warnings to the console.
Object.assign(globalThis, { AI_SDK_LOG_WARNINGS: false });

const embedder = webgpuBert.embeddingModel(embedderFiles());
const ranker = webgpuBert.rerankingModel(rankerFiles());
afterAll(async () => {
  await embedder.dispose();
  await ranker.dispose();
});
const failure = (promise: PromiseLike<unknown>) =>
  promise.then(
    () => expect.unreachable(),
    (error: unknown) => error as Error,
  );

// The functions that are called here have the same arguments in both versions.
const VERSIONS: [name: string, ai: Pick<typeof ai7, 'embed' | 'embedMany' | 'rerank'>][] = [
  ['ai 7', ai7],
  ['ai 6', ai6 as unknown as typeof ai7],
];

describe.each(VERSIONS)('%s', (_, ai) => {
  test('embed and embedMany', async () => {
    const [one] = await embeddingsOf([DOCUMENTS[0]!]);
    const result = await ai.embed({ model: embedder, value: DOCUMENTS[0]! });
    expect(result.embedding).toEqual(one);
    expect(result.usage.tokens).toBeGreaterThan(3);
    expect(result.warnings).toEqual([]);
    const many = await ai.embedMany({ model: embedder, values: DOCUMENTS });
    expect(many.embeddings).toEqual(await embeddingsOf(DOCUMENTS));
    expect(JSON.parse(String(many.providerMetadata!.webgpuBert!.embeddingSpace))).toMatchObject({ dims: 48 });
    expect((await ai.embedMany({ model: embedder, values: [] })).embeddings).toEqual([]);
  });

  test('prompts by providerOptions', async () => {
    for (const [options, prompt] of [
      [{ taskType: 'retrieval-query' }, 'query: '],
      [{ prompt_name: 'document' }, 'passage: '],
      [{ prompt: 'x: ' }, 'x: '],
    ] as const) {
      const { embedding } = await ai.embed({ model: embedder, value: 'a', providerOptions: { webgpuBert: options } });
      expect(embedding).toEqual((await embeddingsOf(['a'], prompt))[0]);
    }
    for (const [options, kind] of [
      [{ task: 'query' }, UnsupportedError],
      [{ taskType: 'query' }, UnsupportedError],
      [{ taskType: 'clustering', prompt: 'a' }, InputError],
    ] as const) {
      const call = ai.embed({ model: embedder, value: 'a', providerOptions: { webgpuBert: options } });
      expect(await failure(call)).toBeInstanceOf(kind);
    }
  });

  test('texts that were cut are warned of', async () => {
    const { warnings } = await ai.embedMany({ model: embedder, values: ['a', 'long '.repeat(600)] });
    expect(warnings).toEqual([
      { type: 'other', message: expect.stringMatching(/^1 of 2 values were cut, .* those at 1 \(from 0\)/) },
    ]);
  });

  test('rerank', async () => {
    const expected = await rankingOf(QUERY, DOCUMENTS);
    const { ranking, rerankedDocuments } = await ai.rerank({ model: ranker, query: QUERY, documents: DOCUMENTS });
    expect(ranking).toEqual(
      expected.map(({ corpus_id, score }) => ({
        originalIndex: corpus_id,
        score,
        document: DOCUMENTS[corpus_id],
      })),
    );
    expect(rerankedDocuments[0]).toBe(DOCUMENTS[expected[0]!.corpus_id]);
    const top = await ai.rerank({ model: ranker, query: QUERY, documents: DOCUMENTS, topN: 1 });
    expect(top.ranking).toEqual(ranking.slice(0, 1));
    const documents = DOCUMENTS.map(text => ({ text }));
    const objects = await ai.rerank({ model: ranker, query: QUERY, documents });
    const byText = await rankingOf(
      QUERY,
      documents.map(document => JSON.stringify(document)),
    );
    expect(objects.ranking.map(({ score }) => score)).toEqual(byText.map(({ score }) => score));
    const raw = { webgpuBert: { activation: 'none' } };
    const logits = await ai.rerank({ model: ranker, query: QUERY, documents: DOCUMENTS, providerOptions: raw });
    expect(logits.ranking.map(({ originalIndex }) => originalIndex)).toEqual(
      ranking.map(({ originalIndex }) => originalIndex),
    );
    expect(logits.ranking[0]!.score).not.toBe(ranking[0]!.score);
  });

  test('an abort ends the call', async () => {
    const reason = new Error('enough');
    const aborted = { abortSignal: AbortSignal.abort(reason) };
    const call = failure(ai.embed({ model: embedder, value: 'a', ...aborted }));
    expect([await call, (await call).cause]).toContain(reason);
    const ranking = failure(ai.rerank({ model: ranker, query: 'a', documents: ['b'], ...aborted }));
    expect([await ranking, (await ranking).cause]).toContain(reason);
  });
});

test('ai 5 embeds with models of the interface V2', async () => {
  const model = createWebGPUBert({ specificationVersion: 'v2' }).textEmbeddingModel(embedderFiles());
  const one = await ai5.embed({ model, value: DOCUMENTS[0]! });
  expect(one.embedding).toEqual((await embeddingsOf([DOCUMENTS[0]!]))[0]);
  expect(one.usage.tokens).toBeGreaterThan(3);
  const many = await ai5.embedMany({ model, values: DOCUMENTS });
  expect(many.embeddings).toEqual(await embeddingsOf(DOCUMENTS));
  expect(JSON.parse(String(many.providerMetadata!.webgpuBert!.embeddingSpace))).toMatchObject({ dims: 48 });
  const providerOptions = { webgpuBert: { taskType: 'retrieval-query' } };
  const query = await ai5.embed({ model, value: 'a', providerOptions });
  expect(query.embedding).toEqual((await embeddingsOf(['a'], 'query: '))[0]);
  const reason = new Error('enough');
  const call = await failure(ai5.embed({ model, value: 'a', abortSignal: AbortSignal.abort(reason) }));
  expect([call, call.cause]).toContain(reason);
  await model.dispose();
});

test('dimensions of AI SDK 7, and a model of the interface V4', async () => {
  const model = four.embeddingModel(embedderFiles(), { defaults: { taskType: 'retrieval-document' } });
  for (const each of [model, embedder]) {
    const { embedding } = await ai7.embed({ model: each, value: 'a', dimensions: 8 });
    expect(embedding).toHaveLength(8);
    expect(Math.hypot(...embedding)).toBeCloseTo(1, 5);
  }
  const { embedding } = await ai7.embed({ model, value: 'a' });
  expect(embedding).toEqual((await embeddingsOf(['a'], 'passage: '))[0]);
  const other = { webgpuBert: { prompt: '' } };
  expect((await ai7.embed({ model, value: 'a', providerOptions: other })).embedding).toEqual(
    (await embeddingsOf(['a']))[0],
  );
  await model.dispose();
  // It loads itself again.
  expect((await ai7.embed({ model, value: 'a' })).embedding).toEqual(embedding);
  await model.dispose();
});

test('a registry of providers', async () => {
  const registry = ai7.createProviderRegistry({ local: four });
  expect(registry.embeddingModel('local:org/name').modelId).toBe('org/name');
  expect(registry.rerankingModel('local:org/name').provider).toBe('webgpu-bert');
  expect(() => registry.languageModel('local:org/name')).toThrow('no languageModel');
  try {
    webgpuBert.imageModel('org/name');
  } catch (error) {
    expect(ai7.NoSuchModelError.isInstance(error)).toBe(true);
    expect(error).toBeInstanceOf(UnsupportedError);
  }
  expect(() => createWebGPUBert({ specificationVersion: 'v1' as never })).toThrow(UnsupportedError);
});

test('a load that fails is tried again, and an aborted call leaves it alone', async () => {
  const model = webgpuBert.embeddingModel('./tests/fixtures/random/nothing/');
  const call = () => failure(ai7.embed({ model, value: 'a', maxRetries: 0 }));
  const [first, second] = [await call(), await call()];
  expect(first).toBeInstanceOf(SourceError);
  expect(second).toBeInstanceOf(SourceError);
  expect(second).not.toBe(first);
  const progress = vi.fn();
  const other = webgpuBert.embeddingModel(embedderFiles(), { progress_callback: progress });
  const controller = new AbortController();
  const pending = failure(other.doEmbed({ values: ['a'], abortSignal: controller.signal }));
  controller.abort(new Error('enough'));
  expect((await pending).message).toBe('enough');
  expect((await other.doEmbed({ values: ['a'] })).embeddings).toHaveLength(1);
  const ready = progress.mock.calls.filter(([{ status }]) => status === 'ready');
  expect(ready).toHaveLength(1);
  await other.dispose();
});
