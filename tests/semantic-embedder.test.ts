import { dirname, join } from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';
import {
  type CreateMonitor,
  SemanticEmbedder,
  type SemanticEmbedderCreateOptions,
} from '../src/adapters/semantic-embedder.ts';
import { promptForTask } from '../src/adapters/task-prompts.ts';
import { CheckpointError, NotFiniteError, SourceError } from '../src/errors.ts';
import { env, pipeline } from '../src/index.ts';
import type { CPUBackend } from './cpu-backend.ts';
import { fixtureFiles, fixtures } from './fixture-files.ts';
import { leftOpen } from './on-the-cpu.ts';

/** The proposal's SemanticEmbedder over a checkpoint, on the float64 interpreter. */

const { backends, support } = vi.hoisted(() => ({ backends: [] as CPUBackend[], support: { ok: true } }));
vi.mock('../src/engine/webgpu-backend.ts', async original =>
  (await import('./on-the-cpu.ts')).onTheCPU(original, backends),
);
vi.mock('../src/engine/support.ts', () => ({ isSupported: async () => support }));

afterEach(() => {
  support.ok = true;
  expect(leftOpen(backends)).toEqual([]);
});

const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value)) as Uint8Array<ArrayBuffer>;
const PROMPTS = { query: 'query: ', document: 'passage: ', Clustering: 'cluster: ' };
const files = () => ({
  ...fixtureFiles('random/bert-base'),
  ...fixtureFiles('sentence/st-prompts'),
  'config_sentence_transformers.json': json({ prompts: PROMPTS, default_prompt_name: 'query' }),
});
/** A model in a directory, which embedders may share. */
const FOLDER = `${join(fixtures, 'random', 'bert-base')}/`;
const create = (options: SemanticEmbedderCreateOptions = {}) => SemanticEmbedder.create({ model: files(), ...options });
const failure = (promise: Promise<unknown>) =>
  promise.then(
    () => expect.unreachable(),
    (error: unknown) => error as DOMException & { cause: unknown },
  );
/** What a monitor heard, by `loaded`. */
function monitored() {
  const heard: number[] = [];
  const monitor = (target: CreateMonitor) =>
    target.addEventListener('downloadprogress', event => {
      const { loaded, total, lengthComputable } = event as ProgressEvent;
      expect([total, lengthComputable]).toEqual([1, true]);
      heard.push(loaded);
    });
  return { heard, monitor };
}

describe('embed', () => {
  test('gives the values that pooling "model" gives, with statistics and a space', async () => {
    const extractor = await pipeline('feature-extraction', files());
    const embedder = await create();
    const texts = ['Paris is the capital of France.', 'b '.repeat(900)];
    for (const [taskType, prompt] of [
      [undefined, ''],
      ['retrieval-query', 'query: '],
      ['retrieval-document', 'passage: '],
      ['clustering', 'cluster: '],
      ['classification', ''],
    ] as const) {
      const expected = await extractor(texts, { pooling: 'model', prompt });
      const { embeddings, metadata } = await embedder.embed(texts, { taskType });
      expect(embeddings.map(({ values }) => Array.from(values))).toEqual(expected.tolist());
      for (const [i, { values, statistics }] of embeddings.entries()) {
        expect(values).toBeInstanceOf(Float32Array);
        expect(values.buffer.byteLength).toBe(values.byteLength);
        expect(statistics).toEqual({ tokenCount: expected.tokens[i], truncated: expected.truncated[i] });
      }
      expect(metadata).toEqual({ embeddingSpace: expected.space, maxInputTokens: extractor.max_seq_length });
    }
    expect((await embedder.embed(texts)).embeddings[1]!.statistics).toEqual({
      tokenCount: extractor.max_seq_length,
      truncated: true,
    });
    embedder.destroy();
    await extractor.dispose();
  });

  test('takes a text, or any sequence, as WebIDL does', async () => {
    const embedder = await create();
    const values = async (input: unknown) =>
      (await embedder.embed(input as string)).embeddings.map(embedding => Array.from(embedding.values));
    const [a, one] = await values(['a', '1']);
    expect(await values('a')).toEqual([a]);
    expect(await values(new Set(['a', 1]))).toEqual([a, one]);
    expect(await values(1)).toEqual([one]);
    const { embeddings, metadata } = await embedder.embed([]);
    expect(embeddings).toEqual([]);
    expect(metadata.embeddingSpace).toContain('"dims":48');
    for (const options of [{ taskType: 'search' }, { taskType: 'constructor' }, 'query', { signal: {} }]) {
      expect(await failure(embedder.embed('a', options as never))).toBeInstanceOf(TypeError);
    }
    expect(await failure(embedder.embed(undefined as never))).toBeInstanceOf(TypeError);
    embedder.destroy();
  });

  test('ends with the signal, or with the embedder', async () => {
    const controller = new AbortController();
    const embedder = await create({ signal: controller.signal });
    const reason = new Error('enough');
    const call = new AbortController();
    const pending = embedder.embed('a', { signal: call.signal });
    call.abort(reason);
    expect(await failure(pending)).toBe(reason);
    expect(await failure(embedder.embed('a', { signal: call.signal }))).toBe(reason);
    expect((await embedder.embed('a')).embeddings).toHaveLength(1);
    // The signal of `create` lives on with the embedder.
    const last = embedder.embed('a');
    controller.abort(reason);
    expect(await failure(last)).toBe(reason);
    expect(await failure(embedder.embed('a'))).toBe(reason);
  });

  test('rejects after destroy, and a call under way, with an AbortError', async () => {
    const embedder = await create();
    const pending = embedder.embed('a');
    embedder.destroy();
    embedder.destroy();
    for (const promise of [pending, embedder.embed('a'), embedder.embed([])]) {
      const error = await failure(promise);
      expect(error).toBeInstanceOf(DOMException);
      expect(error.name).toBe('AbortError');
      expect(error.message).toMatch(/destroyed\. Create another/);
    }
  });

  test('tells a failed pass as an OperationError', async () => {
    const extractor = await pipeline('feature-extraction', files());
    const embedder = await SemanticEmbedder.create({ model: extractor });
    backends.at(-1)!.weights.tensor('embeddings.LayerNorm.weight').data.fill(Number.NaN);
    const error = await failure(embedder.embed('a'));
    expect([error.name, error.cause]).toEqual(['OperationError', expect.any(NotFiniteError)]);
    embedder.destroy();
    // A pipeline of the caller's stays with the caller.
    expect(backends.at(-1)!.isDestroyed).toBe(false);
    await extractor.dispose();
  });
});

describe('create', () => {
  test('tells its progress from 0 to 1', async () => {
    const { heard, monitor } = monitored();
    const embedder = await create({ monitor });
    expect(heard[0]).toBe(0);
    expect(heard.at(-1)).toBe(1);
    expect(heard.every((loaded, i) => loaded % (1 / 0x10000) === 0 && (i === 0 || loaded > heard[i - 1]!))).toBe(true);
    const { length } = heard;
    await embedder.embed('a');
    expect(heard).toHaveLength(length);
    embedder.destroy();
    const handled: number[] = [];
    const other = await create({
      monitor: target => {
        target.ondownloadprogress = () => expect.unreachable();
        target.ondownloadprogress = ({ loaded }) => handled.push(loaded);
        expect(target.ondownloadprogress).not.toBeNull();
      },
    });
    expect(handled.at(-1)).toBe(1);
    other.destroy();
  });

  test('may be aborted before, at any progress, and by a monitor that throws', async () => {
    const reason = new Error('enough');
    expect(await failure(create({ signal: AbortSignal.abort(reason) }))).toBe(reason);
    for (const at of [0, 1]) {
      const controller = new AbortController();
      const monitor = (target: CreateMonitor) =>
        target.addEventListener('downloadprogress', event => {
          if ((event as ProgressEvent).loaded === at) controller.abort(reason);
        });
      expect(await failure(create({ monitor, signal: controller.signal }))).toBe(reason);
    }
    const monitor = () => {
      throw reason;
    };
    expect(await failure(create({ monitor }))).toBe(reason);
    for (const options of [{ monitor: {} }, { signal: 1 }, 'a', { model: 5 }, { model: 'no id' }]) {
      const error = await failure(SemanticEmbedder.create(options as never));
      expect(error).toBeInstanceOf(TypeError);
      expect(error.message).toMatch(/: got .+, expected .+\.$/);
    }
    expect(() => new (SemanticEmbedder as never as new () => unknown)()).toThrow(TypeError);
  });

  test('gives errors the names of the specification, and our error as the cause', async () => {
    const missing = await failure(SemanticEmbedder.create({ model: `${dirname(FOLDER)}/nothing/` }));
    expect([missing.name, missing.cause]).toEqual(['NetworkError', expect.any(SourceError)]);
    const broken = { ...files(), 'model.safetensors': new Uint8Array(16).fill(255) };
    const malformed = await failure(SemanticEmbedder.create({ model: broken }));
    expect([malformed.name, malformed.cause]).toEqual(['NotSupportedError', expect.any(CheckpointError)]);
    expect(malformed).toBeInstanceOf(DOMException);
    expect(malformed.message).toBe((malformed.cause as Error).message);
  });

  test('shares one model among embedders, until the last one is destroyed', async () => {
    const options = { model: FOLDER };
    const [one, two] = await Promise.all([SemanticEmbedder.create(options), SemanticEmbedder.create(options)]);
    const three = await SemanticEmbedder.create({ model: FOLDER, dtype: 'fp32' });
    expect(backends).toHaveLength(2);
    one.destroy();
    three.destroy();
    expect(backends.map(({ isDestroyed }) => isDestroyed)).toContain(false);
    expect((await two.embed('a')).embeddings).toHaveLength(1);
    two.destroy();
    await vi.waitFor(() => expect(backends.every(({ isDestroyed }) => isDestroyed)).toBe(true));
    const again = await SemanticEmbedder.create(options);
    expect(backends).toHaveLength(3);
    again.destroy();
    await vi.waitFor(() => expect(backends.every(({ isDestroyed }) => isDestroyed)).toBe(true));
  });

  test('one of two who wait for a load may leave; both end it', async () => {
    const reason = new Error('enough');
    const controller = new AbortController();
    const staying = SemanticEmbedder.create({ model: FOLDER });
    const leaving = failure(SemanticEmbedder.create({ model: FOLDER, signal: controller.signal }));
    controller.abort(reason);
    expect(await leaving).toBe(reason);
    (await staying).destroy();
    const other = new AbortController();
    const [first, second] = [0, 1].map(() => failure(SemanticEmbedder.create({ model: FOLDER, signal: other.signal })));
    other.abort(reason);
    expect(await first).toBe(reason);
    expect(await second).toBe(reason);
    await vi.waitFor(() => expect(backends.every(({ isDestroyed }) => isDestroyed)).toBe(true));
  });
});

describe('availability', () => {
  test('of a model at hand, without WebGPU, and of none', async () => {
    expect(await SemanticEmbedder.availability({ model: FOLDER })).toBe('available');
    expect(await SemanticEmbedder.availability({ model: files() })).toBe('available');
    support.ok = false;
    expect(await SemanticEmbedder.availability({ model: FOLDER })).toBe('unavailable');
    support.ok = true;
    expect(await SemanticEmbedder.availability({ model: `${dirname(FOLDER)}/nothing/` })).toBe('unavailable');
    expect(await failure(SemanticEmbedder.availability({ model: 'no id' }))).toBeInstanceOf(TypeError);
    expect(await failure(SemanticEmbedder.availability(1 as never))).toBeInstanceOf(TypeError);
  });

  test('of a model of the hub, before and while it is downloaded', async () => {
    const asked: string[] = [];
    const fetch = vi.spyOn(env, 'fetch').mockImplementation((url, init) => {
      asked.push(String(url));
      return new Promise((_, reject) => {
        init?.signal?.addEventListener('abort', () => reject(init.signal!.reason));
      });
    });
    expect(await SemanticEmbedder.availability()).toBe('downloadable');
    expect(asked).toEqual([]);
    const controller = new AbortController();
    const creating = failure(SemanticEmbedder.create({ signal: controller.signal }));
    expect(await SemanticEmbedder.availability()).toBe('downloading');
    expect(await SemanticEmbedder.availability({ model: 'a/b' })).toBe('downloadable');
    await vi.waitFor(() => expect(asked.join()).toContain('sentence-transformers/all-MiniLM-L6-v2'));
    controller.abort();
    expect((await creating).name).toBe('AbortError');
    expect(await SemanticEmbedder.availability()).toBe('downloadable');
    fetch.mockRestore();
  });
});

test('a task takes the prompt that checkpoints have for it, whatever they call it', () => {
  const nomic = { query: '', document: '', search_query: 'search_query: ', search_document: 'search_document: ' };
  expect(promptForTask(nomic, 'retrieval-query')).toBe('search_query: ');
  expect(promptForTask(nomic, 'retrieval-document')).toBe('search_document: ');
  const gemma = { query: 'task: search result | query: ', STS: 'task: sentence similarity | query: ', Clustering: 'c' };
  expect(promptForTask(gemma, 'semantic-similarity')).toBe(gemma.STS);
  expect(promptForTask(gemma, 'clustering')).toBe('c');
  expect(promptForTask({ query: 'q', passage: 'p', document: '' }, 'retrieval-document')).toBe('p');
  expect(promptForTask({ query: '', document: '' }, 'retrieval-query')).toBe('');
});
