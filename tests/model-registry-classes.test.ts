import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import {
  AutoModelForMaskedLM,
  AutoTokenizer,
  env,
  type ModelClass,
  ModelRegistry,
  MultiVectorEncoder,
  SparseEncoder,
  UnsupportedError,
} from '../src/index.ts';
import { safetensors } from './checkpoint-bytes.ts';
import { type Files, fixtureFiles } from './fixture-files.ts';
import { startHub } from './hub.mjs';
import { fakeCache, thrown } from './source-environment.ts';
import { checkpointFiles, colbertFiles, json, routed } from './vector-fixtures.ts';

/** What ModelRegistry says of models that a class loads, against what `from_pretrained` of the class asks a server for. */

vi.mock('../src/engine/webgpu-backend.ts', async original => (await import('./on-the-cpu.ts')).onTheCPU(original));

/** Without the modules of sentence-transformers. */
function bare(files: Files): Files {
  const { 'modules.json': _, 'config_sentence_transformers.json': __, ...rest } = files;
  return rest;
}
const inIdf = {
  'query_0_SparseStaticEmbedding/config.json': json({ path: 'idf.json' }),
  'query_0_SparseStaticEmbedding/idf.json': json({ the: 0.5 }),
};
const inTable = {
  'query_0_SparseStaticEmbedding/model.safetensors': safetensors({
    weight: { dtype: 'F32', shape: [640], bytes: new Uint8Array(new Float32Array(640).fill(0.5).buffer) },
  }),
};
/** Stanford's, whose artifact.metadata does not say how many columns a vector has. */
const unknownColumns = { ...colbertFiles('colbert-stanford'), 'artifact.metadata': json({ query_maxlen: 8 }) };

interface Model {
  readonly model_class: ModelClass;
  readonly files: Files;
}
const MODELS: Readonly<Record<string, Model>> = {
  'org/splade': { model_class: 'SparseEncoder', files: checkpointFiles('splade-max') },
  'org/masked-lm': { model_class: 'SparseEncoder', files: bare(checkpointFiles('splade-max')) },
  'org/routed': { model_class: 'SparseEncoder', files: routed(inTable) },
  'org/routed-idf': { model_class: 'SparseEncoder', files: routed(inIdf) },
  'org/colbert': { model_class: 'MultiVectorEncoder', files: colbertFiles('colbert') },
  'org/pylate': { model_class: 'MultiVectorEncoder', files: colbertFiles('colbert-pylate') },
  'org/stanford': { model_class: 'MultiVectorEncoder', files: colbertFiles('colbert-stanford') },
  'org/stanford-128': { model_class: 'MultiVectorEncoder', files: unknownColumns },
  'org/bert': { model_class: 'AutoModelForMaskedLM', files: fixtureFiles('random/bert-masked-lm') },
};
const CLASSES = { SparseEncoder, MultiVectorEncoder, AutoModelForMaskedLM } as const;

async function load(id: string): Promise<void> {
  const { model_class } = MODELS[id]!;
  const model = await CLASSES[model_class as keyof typeof CLASSES].from_pretrained(id);
  await model.dispose();
  // The classes of vectors load the tokenizer themselves.
  if (model_class.startsWith('AutoModel')) await AutoTokenizer.from_pretrained(id);
}

let hub: Awaited<ReturnType<typeof startHub>>;
const settings = { ...env };
beforeAll(async () => {
  hub = await startHub();
  for (const [id, { files }] of Object.entries(MODELS)) {
    for (const [name, bytes] of Object.entries(files)) hub.files[`${id}/${name}`] = bytes;
  }
});
beforeEach(() => {
  hub.requests.length = 0;
  const more = { allowLocalModels: false, remoteHost: hub.url, useCustomCache: true, customCache: fakeCache().cache };
  Object.assign(env, settings, more);
});
afterAll(() => {
  Object.assign(env, settings);
  return hub.stop();
});

/** The files that the server gave, in the order of the alphabet. */
function filesGiven(id: string): string[] {
  const prefix = `/${id}/resolve/main/`;
  const given = hub.requests.filter(({ path, status }) => path.startsWith(prefix) && status < 400);
  return [...new Set(given.map(({ path }) => path.slice(prefix.length)))].sort();
}

describe.each(Object.entries(MODELS))('%s', (id, { model_class, files }) => {
  const options = { model_class };

  test('its files are those that its class loads', async () => {
    const listed = await ModelRegistry.get_files(id, options);
    hub.requests.length = 0;
    await load(id);
    expect([...listed].sort()).toEqual(filesGiven(id));
    expect(new Set(listed).size).toBe(listed.length);
  });

  test('what it costs, what is kept of it, and that it can be removed', async () => {
    const all = await ModelRegistry.get_files(id, options);
    const total = all.reduce((sum, file) => sum + files[file]!.length, 0);
    expect(await ModelRegistry.get_download_size(id, options)).toMatchObject({ total, cached: 0, download: total });
    hub.requests.length = 0;
    expect(await ModelRegistry.is_cached(id, options)).toBe(false);
    expect(hub.requests).toEqual([]);
    await load(id);
    env.fetch = () => Promise.reject(new TypeError('Failed to fetch'));
    expect(await ModelRegistry.is_cached(id, options)).toBe(true);
    expect((await ModelRegistry.is_cached_files(id, options)).files).toEqual(all.map(file => ({ file, cached: true })));
    expect(await ModelRegistry.get_download_size(id, options)).toMatchObject({ total, cached: total, download: 0 });
    expect((await ModelRegistry.get_cache_size(id, options)).total).toBe(total);
    expect(await ModelRegistry.clear_cache(id, options)).toMatchObject({ filesDeleted: all.length });
    expect(await ModelRegistry.is_cached(id, options)).toBe(false);
  });

  test('it can be removed from a cache that cannot list its entries', async () => {
    const { cache } = fakeCache();
    env.customCache = { match: cache.match, put: cache.put, ...('delete' in cache && { delete: cache.delete }) };
    await load(id);
    const loaded = filesGiven(id);
    const cleared = await ModelRegistry.clear_cache(id, options);
    const deleted = cleared.files.filter(file => file.deleted).map(({ file }) => file);
    expect(deleted.sort()).toEqual(loaded);
  });

  test('the parts of its files', async () => {
    const folder = id.startsWith('org/routed') ? 'document_0_MLMTransformer/' : '';
    const inFolder = (...names: string[]) => names.map(name => `${folder}${name}`);
    expect(await ModelRegistry.get_model_files(id, options)).toEqual(inFolder('config.json', 'model.safetensors'));
    expect((await ModelRegistry.get_tokenizer_files(id, options))[0]).toBe(`${folder}tokenizer.json`);
    expect(await ModelRegistry.get_available_dtypes(id, options)).toEqual(['fp32', 'fp16', 'q8']);
    const { fp32, fp16, q8 } = await ModelRegistry.get_memory_footprint(id, options);
    const weights = files[`${folder}model.safetensors`]!.length;
    // The e2e tests compare it with `model.bytes()`.
    expect([fp32 > 0.8 * weights, fp32 < 1.4 * weights, fp16 < fp32, q8 < fp16]).toEqual([true, true, true, true]);
  });
});

describe('what is wrong', () => {
  test('a repository that is none of the class says what to take', async () => {
    const options = { model_class: 'SparseEncoder' } as const;
    for (const call of [
      ModelRegistry.get_files('org/colbert', options),
      ModelRegistry.get_download_size('org/colbert', options),
      ModelRegistry.get_model_files('org/colbert', options),
      ModelRegistry.get_available_dtypes('org/colbert', options),
      ModelRegistry.get_memory_footprint('org/colbert', options),
    ]) {
      const error = await thrown(call);
      expect(error).toBeInstanceOf(UnsupportedError);
      expect(String(error)).toContain('MultiVectorEncoder.from_pretrained');
    }
  });

  test('such a model is removed all the same', async () => {
    await load('org/colbert');
    const { filesDeleted } = await ModelRegistry.clear_cache('org/colbert', { model_class: 'SparseEncoder' });
    expect(filesDeleted).toBe(filesGiven('org/colbert').length);
  });

  test('an unknown class, and a class beside a task', async () => {
    const unknown = { model_class: 'SentenceTransformer' as 'AutoModel' };
    expect(String(await thrown(ModelRegistry.get_files('org/splade', unknown)))).toContain('MultiVectorEncoder');
    const options = { model_class: 'SparseEncoder' } as const;
    const error = await thrown(ModelRegistry.get_pipeline_files('fill-mask', 'org/splade', options));
    expect(error).toBeInstanceOf(UnsupportedError);
    expect(String(error)).toContain('get_files');
  });
});
