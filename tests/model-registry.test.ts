import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { loadTokenizer } from '../src/api/loading.ts';
import { openCheckpoint } from '../src/checkpoint/file/checkpoint.ts';
import { openSource } from '../src/checkpoint/source/source.ts';
import { openSentence } from '../src/engine/sentence-files.ts';
import { env, InputError, ModelRegistry, SourceError, UnsupportedError } from '../src/index.ts';
import { noise, safetensors } from './checkpoint-bytes.ts';
import { startHub } from './hub.mjs';
import { bytesOf, fakeCache, thrown } from './source-environment.ts';

const fixtures = fileURLToPath(new URL('fixtures', import.meta.url));
const bert = (name: string) => readFileSync(`${fixtures}/random/bert-base/${name}`);
const BERT = 'random/bert-base';
const FILES = ['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json'];
const SENTENCE = 'org/sentence';
const TYPE = 'sentence_transformers.models';
const dense = safetensors({ 'linear.weight': { dtype: 'F32', shape: [12, 48], bytes: noise(12 * 48 * 4, 1) } });
const sizeOf = (name: string) => bert(name).length;

let hub: Awaited<ReturnType<typeof startHub>>;
let fake: ReturnType<typeof fakeCache>;
const settings = { ...env };
beforeAll(async () => {
  hub = await startHub({ root: fixtures });
  for (const name of FILES) hub.files[`${SENTENCE}/${name}`] = bert(name);
  Object.assign(hub.files, {
    [`${SENTENCE}/modules.json`]: JSON.stringify([
      { path: '', type: `${TYPE}.Transformer` },
      { path: '1_Pooling', type: `${TYPE}.Pooling` },
      { path: '2_Dense', type: `${TYPE}.Dense` },
      { path: '3_Normalize', type: `${TYPE}.Normalize` },
    ]),
    [`${SENTENCE}/1_Pooling/config.json`]: '{"pooling_mode_mean_tokens":true}',
    [`${SENTENCE}/2_Dense/config.json`]:
      '{"in_features":48,"out_features":12,"bias":false,"activation_function":"torch.nn.modules.activation.Tanh"}',
    [`${SENTENCE}/2_Dense/model.safetensors`]: dense,
    'org/sharded/config.json': bert('config.json'),
    'org/sharded/model.safetensors.index.json': '{"weight_map":{"a":"m-1.safetensors","b":"m-2.safetensors"}}',
    'org/sharded/m-1.safetensors': safetensors({ a: { dtype: 'F32', shape: [100], bytes: noise(400, 1) } }),
    'org/sharded/m-2.safetensors': safetensors({ b: { dtype: 'F32', shape: [200], bytes: noise(800, 1) } }),
    'org/onnx/config.json': bert('config.json'),
  });
});
beforeEach(() => {
  fake = fakeCache();
  hub.requests.length = 0;
  Object.assign(env, settings, {
    allowLocalModels: false,
    remoteHost: hub.url,
    useCustomCache: true,
    customCache: fake.cache,
  });
});
afterAll(() => {
  Object.assign(env, settings);
  return hub.stop();
});

/** Loads the files of a model as a pipeline does, without a GPU. */
async function load(id: string, options = {}): Promise<void> {
  const source = openSource(id, options, env);
  const drained = async (file: string) => void (await bytesOf(await source.open(file)));
  const weights = async () => {
    for await (const _ of (await openCheckpoint(source)).chunks());
  };
  await source.json('config.json');
  await Promise.all([weights(), loadTokenizer(source)]);
  const { settings, modules } = openSentence(source);
  await settings;
  for (const { file } of (await modules)?.files ?? []) await drained(file);
}
const offline = () => {
  env.fetch = () => Promise.reject(new TypeError('Failed to fetch'));
};

describe('the files that a load needs', () => {
  test('of a model, its parts, and a pipeline', async () => {
    expect(await ModelRegistry.get_files(BERT)).toEqual(FILES);
    expect(await ModelRegistry.get_files(BERT, { include_tokenizer: false })).toEqual(FILES.slice(0, 2));
    expect(await ModelRegistry.get_model_files(BERT)).toEqual(FILES.slice(0, 2));
    expect(await ModelRegistry.get_tokenizer_files(BERT)).toEqual(FILES.slice(2));
    expect(await ModelRegistry.get_tokenizer_files('org/onnx')).toEqual([]);
    expect(await ModelRegistry.get_processor_files(BERT)).toEqual([]);
    expect(await ModelRegistry.get_pipeline_files('fill-mask', BERT)).toEqual(FILES);
    expect(await ModelRegistry.get_pipeline_files('feature-extraction', BERT)).toEqual(FILES);
  });

  test('of sentences with modules, and of shards', async () => {
    expect(await ModelRegistry.get_pipeline_files('embeddings', SENTENCE)).toEqual([
      ...FILES,
      'modules.json',
      '1_Pooling/config.json',
      '2_Dense/config.json',
      '2_Dense/model.safetensors',
    ]);
    expect(await ModelRegistry.get_files(SENTENCE)).toEqual(FILES);
    expect(await ModelRegistry.get_files('org/sharded')).toEqual([
      'config.json',
      'model.safetensors.index.json',
      'm-1.safetensors',
      'm-2.safetensors',
    ]);
  });

  test('of a transformer in a folder that modules.json names', async () => {
    const model = 'org/in-a-folder';
    const inFolder = FILES.map(name => `0_Transformer/${name}`);
    for (const [i, file] of inFolder.entries()) hub.files[`${model}/${file}`] = bert(FILES[i]!);
    hub.files[`${model}/modules.json`] = JSON.stringify([
      { path: '0_Transformer', type: `${TYPE}.Transformer` },
      { path: '1_Pooling', type: `${TYPE}.Pooling` },
    ]);
    hub.files[`${model}/1_Pooling/config.json`] = '{"pooling_mode_mean_tokens":true}';
    expect(await ModelRegistry.get_files(model)).toEqual(inFolder);
    expect(await ModelRegistry.get_model_files(model)).toEqual(inFolder.slice(0, 2));
    expect(await ModelRegistry.get_tokenizer_files(model)).toEqual(inFolder.slice(2));
    expect(await ModelRegistry.get_pipeline_files('embeddings', model)).toEqual([
      ...inFolder,
      'modules.json',
      '1_Pooling/config.json',
    ]);
    expect((await ModelRegistry.get_download_size(model)).files.map(({ file }) => file)).toEqual(inFolder);
  });

  test('of tokenizers without a tokenizer.json', async () => {
    const vocabulary = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'a'];
    const wordPiece = { 'vocab.txt': `${vocabulary.join('\n')}\n`, 'tokenizer_config.json': '{}' };
    const bpe = {
      'vocab.json': '{"<s>":0,"</s>":1,"a":2}',
      'merges.txt': '#version: 0.2\n',
      'added_tokens.json': '{}',
    };
    for (const [model, type, files] of [
      ['org/vocabulary', 'bert', wordPiece],
      ['org/merges', 'roberta', bpe],
    ] as const) {
      hub.files[`${model}/config.json`] = JSON.stringify({ ...JSON.parse(`${bert('config.json')}`), model_type: type });
      hub.files[`${model}/model.safetensors`] = bert('model.safetensors');
      for (const [name, text] of Object.entries(files)) hub.files[`${model}/${name}`] = text;
      const all = [...FILES.slice(0, 2), ...Object.keys(files)].sort();
      expect([...(await ModelRegistry.get_files(model))].sort()).toEqual(all);
      expect([...(await ModelRegistry.get_pipeline_files('fill-mask', model))].sort()).toEqual(all);
      expect([...(await ModelRegistry.get_tokenizer_files(model))].sort()).toEqual(Object.keys(files).sort());
      expect((await ModelRegistry.get_download_size(model)).files.map(({ file }) => file).sort()).toEqual(all);
      expect(await ModelRegistry.is_cached(model)).toBe(false);
      await load(model);
      expect(await ModelRegistry.is_cached(model)).toBe(true);
      expect((await ModelRegistry.clear_pipeline_cache('fill-mask', model)).filesDeleted).toBe(all.length);
      expect(await ModelRegistry.is_cached(model)).toBe(false);
    }
  });

  test('no body of a large file is asked for, and nothing is kept', async () => {
    await ModelRegistry.get_pipeline_files('feature-extraction', SENTENCE);
    await ModelRegistry.get_pipeline_download_size('feature-extraction', SENTENCE);
    await ModelRegistry.get_files('org/sharded');
    await ModelRegistry.get_available_dtypes('org/sharded');
    const large = hub.requests.filter(({ path, method }) => path.endsWith('.safetensors') && method === 'GET');
    expect(large.length).toBeGreaterThan(0);
    expect(new Set(large.map(({ range }) => range))).toEqual(new Set(['bytes=0-0']));
    await thrown(ModelRegistry.get_memory_footprint('org/onnx'));
    expect(fake.entries.size).toBe(0);
  });

  test('what is wrong', async () => {
    expect(await thrown(ModelRegistry.get_files('org/none'))).toMatchObject({ name: 'SourceError', status: 401 });
    expect(await thrown(ModelRegistry.get_files('org/onnx'))).toMatchObject({ name: 'SourceError', status: 404 });
    expect(await thrown(ModelRegistry.get_files(''))).toBeInstanceOf(InputError);
    const task = 'translation' as 'fill-mask';
    expect(await thrown(ModelRegistry.get_pipeline_files(task, BERT))).toBeInstanceOf(UnsupportedError);
    const reason = new Error('enough');
    expect(await thrown(ModelRegistry.get_files(BERT, { signal: AbortSignal.abort(reason) }))).toBe(reason);
    offline();
    env.customCache = fakeCache().cache;
    expect(await thrown(ModelRegistry.get_file_metadata(BERT, 'config.json'))).toBeInstanceOf(SourceError);
  });

  test('dtypes', async () => {
    expect(await ModelRegistry.get_available_dtypes(BERT)).toEqual(['fp32', 'fp16', 'q8']);
    expect(await ModelRegistry.get_available_dtypes('org/onnx')).toEqual([]);
    expect(await thrown(ModelRegistry.get_available_dtypes('org/none'))).toBeInstanceOf(SourceError);
  });

  test('metadata of a file', async () => {
    const size = sizeOf('config.json');
    const contentType = 'application/json';
    const metadata = () => ModelRegistry.get_file_metadata(BERT, 'config.json');
    expect(await metadata()).toEqual({ exists: true, size, contentType, fromCache: false });
    await load(BERT);
    offline();
    expect(await metadata()).toEqual({ exists: true, size, contentType, fromCache: true });
    env.fetch = settings.fetch;
    expect(await ModelRegistry.get_file_metadata(BERT, 'none.json')).toEqual({ exists: false, fromCache: false });
  });
});

describe('what is kept', () => {
  test('a model before, and after, it is loaded', async () => {
    expect(await ModelRegistry.is_cached(BERT)).toBe(false);
    expect(await ModelRegistry.is_pipeline_cached('feature-extraction', BERT)).toBe(false);
    expect((await ModelRegistry.is_cached_files(BERT)).files).toEqual(FILES.map(file => ({ file, cached: false })));
    expect(hub.requests).toEqual([]);
    await load(BERT);
    hub.requests.length = 0;
    offline();
    expect(await ModelRegistry.is_cached(BERT)).toBe(true);
    expect(await ModelRegistry.is_pipeline_cached('feature-extraction', BERT)).toBe(true);
    expect(await ModelRegistry.is_cached_files(BERT)).toEqual({
      allCached: true,
      files: FILES.map(file => ({ file, cached: true })),
    });
    expect(await ModelRegistry.is_cached(BERT, { revision: 'other' })).toBe(false);
    expect(hub.requests).toEqual([]);
  });

  test('a pipeline of which one file is missing', async () => {
    await load(SENTENCE);
    expect(await ModelRegistry.is_pipeline_cached('feature-extraction', SENTENCE)).toBe(true);
    const url = `${hub.url}${SENTENCE}/resolve/main/2_Dense/config.json`;
    fake.entries.delete(url);
    const { allCached, files } = await ModelRegistry.is_pipeline_cached_files('feature-extraction', SENTENCE);
    expect(allCached).toBe(false);
    expect(files.filter(({ cached }) => !cached)).toEqual([{ file: '2_Dense/config.json', cached: false }]);
    expect(await ModelRegistry.is_cached(SENTENCE)).toBe(true);
  });

  test('weights of another commit than config.json are as good as none', async () => {
    const [spring, autumn] = ['a'.repeat(40), 'b'.repeat(40)];
    hub.commits.main = spring;
    await load(BERT);
    expect(await ModelRegistry.is_cached(BERT)).toBe(true);
    const entry = fake.entries.get(`${hub.url}${BERT}/resolve/main/model.safetensors`)!;
    entry.headers = entry.headers.map(([name, value]) => [name, name === 'x-repo-commit' ? autumn : value]);
    expect(await ModelRegistry.is_cached(BERT)).toBe(false);
    expect((await ModelRegistry.get_download_size(BERT)).download).toBe(sizeOf('model.safetensors'));
    delete hub.commits.main;
  });

  test('its bytes, and those still to be downloaded', async () => {
    const total = FILES.reduce((sum, name) => sum + sizeOf(name), 0);
    const files = FILES.map(file => ({ file, size: sizeOf(file), cached: false }));
    expect(await ModelRegistry.get_download_size(BERT)).toEqual({ total, cached: 0, download: total, files });
    expect(await ModelRegistry.get_cache_size(BERT)).toEqual({ total: 0, files: [] });
    await load(BERT);
    offline();
    const kept = FILES.map(file => ({ file, size: sizeOf(file), cached: true }));
    expect(await ModelRegistry.get_download_size(BERT)).toEqual({ total, cached: total, download: 0, files: kept });
    const size = await ModelRegistry.get_cache_size(BERT);
    expect(size.total).toBe(total);
    expect(size.files.map(({ file }) => file).sort()).toEqual([...FILES].sort());
    fake.cache.keys = undefined as unknown as typeof fake.cache.keys;
    expect((await ModelRegistry.get_cache_size(BERT)).total).toBe(total);
  });

  test('of which the server did not tell the size', async () => {
    hub.faults[`${BERT}/tokenizer.json`] = { encoded: true };
    const source = openSource(BERT, {}, env);
    await bytesOf(await source.open('tokenizer.json'));
    delete hub.faults[`${BERT}/tokenizer.json`];
    expect(new Headers([...fake.entries.values()][0]!.headers).get('content-length')).toBeNull();
    expect((await ModelRegistry.get_cache_size(BERT)).total).toBe(sizeOf('tokenizer.json'));
  });

  test('all models', async () => {
    expect(await ModelRegistry.get_cached_models()).toEqual([]);
    await load(BERT);
    await load(SENTENCE);
    await load(`${hub.url}plain/${SENTENCE}/`);
    const models = await ModelRegistry.get_cached_models();
    expect(models.map(({ model, revision }) => [model, revision])).toEqual([
      [BERT, 'main'],
      [SENTENCE, 'main'],
      [`${hub.url}plain/${SENTENCE}/`, undefined],
    ]);
    expect(models[0]!.total).toBe(FILES.reduce((sum, name) => sum + sizeOf(name), 0));
    expect(models[1]!.files).toContainEqual({ file: '2_Dense/model.safetensors', size: dense.length });
    const names = models.map(({ files }) => files.map(({ file }) => file).sort());
    expect(names[2]).toEqual(names[1]);
    for (const { model, revision } of models) await ModelRegistry.clear_cache(model, { revision });
    expect(fake.entries.size).toBe(0);
  });

  test('is removed', async () => {
    const none = await ModelRegistry.clear_cache(BERT);
    expect(none).toMatchObject({ filesDeleted: 0, filesCached: 0 });
    expect(none.files).toEqual(FILES.map(file => ({ file, deleted: false, wasCached: false })));
    await load(BERT);
    await load(SENTENCE);
    expect(await ModelRegistry.clear_cache(BERT)).toEqual({
      filesDeleted: 4,
      filesCached: 4,
      files: FILES.map(file => ({ file, deleted: true, wasCached: true })),
    });
    expect(await ModelRegistry.is_cached(BERT)).toBe(false);
    expect(await ModelRegistry.is_cached(SENTENCE)).toBe(true);
    const cleared = await ModelRegistry.clear_pipeline_cache('feature-extraction', SENTENCE);
    expect(cleared).toMatchObject({ filesDeleted: 8, filesCached: 8 });
    expect([...fake.entries.values()].filter(({ status }) => status === 200)).toEqual([]);
  });

  test('is not removed by a cache that cannot, nor listed by one that cannot', async () => {
    await load(BERT);
    env.customCache = { match: fake.cache.match, put: fake.cache.put };
    expect(await ModelRegistry.clear_cache(BERT)).toMatchObject({ filesDeleted: 0, filesCached: 4 });
    expect(await ModelRegistry.get_cached_models()).toEqual([]);
    env.useCustomCache = false;
    expect(await ModelRegistry.is_cached(BERT)).toBe(false);
    expect(await ModelRegistry.clear_cache(BERT)).toMatchObject({ filesDeleted: 0, filesCached: 0 });
  });

  test('files on the disk need no download', async () => {
    const where = `${fixtures}/${BERT}`;
    expect(await ModelRegistry.is_cached(where)).toBe(true);
    const { total, download } = await ModelRegistry.get_download_size(where);
    expect([total > 300_000, download]).toEqual([true, 0]);
    expect(await ModelRegistry.clear_cache(where)).toMatchObject({ filesDeleted: 0, filesCached: 0 });
    expect(hub.requests).toEqual([]);
  });
});

describe('bytes on the GPU', () => {
  test('by dtype, from config.json and the header alone', async () => {
    const { fp32, fp16, q8 } = await ModelRegistry.get_memory_footprint(BERT);
    // No less than the numbers of the file, and not much more.
    expect(fp32 / sizeOf('model.safetensors')).toBeGreaterThan(0.9);
    expect(fp32 / sizeOf('model.safetensors')).toBeLessThan(1.3);
    expect(fp16).toBeLessThan(fp32);
    expect(q8).toBeLessThan(fp16);
    expect(fake.entries.size).toBe(0);
    expect(await ModelRegistry.get_pipeline_memory_footprint('feature-extraction', BERT)).toEqual({ fp32, fp16, q8 });
  });

  test('a head and the dense layers of sentences are on it, too', async () => {
    const plain = await ModelRegistry.get_memory_footprint(SENTENCE);
    const sentences = await ModelRegistry.get_pipeline_memory_footprint('sentence-similarity', SENTENCE);
    expect(sentences.fp32 - plain.fp32).toBe(12 * 48 * 4);
    const tagged = await ModelRegistry.get_pipeline_memory_footprint('ner', BERT);
    expect(tagged.fp32).toBeGreaterThan(plain.fp32);
  });
});
