import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { AutoModel, env, ModelRegistry, pipeline, SourceError, UnsupportedError } from '../src/index.ts';
import type { CPUBackend } from './cpu-backend.ts';
import { startHub } from './hub.mjs';
import { leftOpen } from './on-the-cpu.ts';
import { fakeCache, thrown } from './source-environment.ts';

/** What is said of repositories whose files are not those of an encoder in safetensors: by every way of loading, from every source. */

const { backends } = vi.hoisted(() => ({ backends: [] as CPUBackend[] }));
vi.mock('../src/engine/webgpu-backend.ts', async original =>
  (await import('./on-the-cpu.ts')).onTheCPU(original, backends),
);

const random = fileURLToPath(new URL('fixtures/random/bert-base', import.meta.url));
const base: Record<string, unknown> = {};
let tokenizer: Uint8Array;
let hub: Awaited<ReturnType<typeof startHub>>;
let directory: string;
const settings = { ...env };

beforeAll(async () => {
  hub = await startHub({});
  directory = await mkdtemp(join(tmpdir(), 'refused-'));
  Object.assign(base, JSON.parse(await readFile(join(random, 'config.json'), 'utf8')));
  tokenizer = await readFile(join(random, 'tokenizer.json'));
});
beforeEach(() => {
  hub.requests.length = 0;
  Object.assign(env, settings, {
    allowLocalModels: false,
    remoteHost: hub.url,
    useCustomCache: true,
    customCache: fakeCache().cache,
  });
});
afterEach(() => {
  expect(leftOpen(backends)).toEqual([]);
});
afterAll(async () => {
  Object.assign(env, settings);
  await hub.stop();
  await rm(directory, { recursive: true });
});

type Files = Record<string, string | Uint8Array>;
const BYTES = new Uint8Array(2000).fill(80);
const json = (value: unknown): string => JSON.stringify(value);
/** A model of BERT's with a tokenizer, and weights in other files. */
const bert = (files: Files): Files => ({ 'config.json': json(base), 'tokenizer.json': tokenizer, ...files });

let count = 0;
/** The places that a model with these files can be loaded from: a hub, a server, a directory, and memory. */
async function places(files: Files): Promise<Record<'hub' | 'server' | 'directory' | 'memory', unknown>> {
  const id = `org/model-${count++}`;
  for (const [name, content] of Object.entries(files)) {
    hub.files[`${id}/${name}`] = content;
    const path = join(directory, id, name);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, content);
  }
  return {
    hub: id,
    server: `${hub.url}plain/${id}/`,
    directory: `${join(directory, id)}/`,
    memory: Object.fromEntries(
      Object.entries(files).map(([name, content]) => [name, new Uint8Array(Buffer.from(content as string))]),
    ),
  };
}

/** The errors of a model from all places; from the hub also those of a pipeline and of the registry. */
async function errors(files: Files): Promise<Record<string, Error>> {
  const all: Record<string, Error> = {};
  const at = await places(files);
  for (const [place, model] of Object.entries(at))
    all[place] = await thrown(AutoModel.from_pretrained(model as string));
  const id = at.hub as string;
  all.pipeline = await thrown(pipeline('feature-extraction', id));
  all.files = await thrown(ModelRegistry.get_files(id));
  all.modelFiles = await thrown(ModelRegistry.get_model_files(id));
  all.downloadSize = await thrown(ModelRegistry.get_download_size(id));
  all.footprint = await thrown(ModelRegistry.get_memory_footprint(id));
  return all;
}

/** What was asked for, without the folder of the model. */
const asked = (): string[] =>
  hub.requests.map(({ path }) => path.replace(/^\/(plain\/)?org\/model-\d+\/(resolve\/[^/]+\/)?/, ''));

describe('weights in another format', () => {
  const [DISCUSSIONS, PULL_REQUEST] = [
    /https:\/\/huggingface\.co\/org\/model-\d+\/discussions/,
    "{ revision: 'refs/pr/N' }, N being its number",
  ];

  test.each(['pytorch_model.bin', 'pytorch_model.bin.index.json'])('%s alone', async file => {
    const all = await errors(bert({ [file]: file.endsWith('.json') ? '{}' : BYTES }));
    for (const [way, error] of Object.entries(all)) {
      expect(error, way).toBeInstanceOf(SourceError);
      expect(error, way).toMatchObject({ status: 404, file: 'model.safetensors' });
      expect(error.message, way).toContain(`has no weights that can be read: got ${file}, a pickle, which a page`);
      const isHub = !['server', 'directory', 'memory'].includes(way);
      expect(DISCUSSIONS.test(error.message), way).toBe(isHub);
      expect(error.message.includes(PULL_REQUEST), way).toBe(isHub);
      expect(error.message.includes('https://huggingface.co/spaces/safetensors/convert makes it'), way).toBe(isHub);
      expect(error.message.includes('save_pretrained(…) writes model.safetensors'), way).toBe(!isHub);
    }
  });

  test('the branch of the bot loads by its revision', async () => {
    const files = bert({ 'model.safetensors': await readFile(join(random, 'model.safetensors')) });
    for (const [name, content] of Object.entries(files)) hub.files[`org/bot/${name}`] = content;
    const model = await AutoModel.from_pretrained('org/bot', { revision: 'refs/pr/4' }).catch((error: Error) => error);
    expect(hub.requests.map(({ path }) => decodeURIComponent(path))).toContain(
      '/org/bot/resolve/refs/pr/4/config.json',
    );
    if (!(model instanceof Error)) await model.dispose();
  });

  test.each([
    ['tf_model.h5', 'a file of TensorFlow, which is not read', 'from_tf=True'],
    ['flax_model.msgpack', 'a file of Flax, which is not read', 'from_flax=True'],
  ])('%s alone', async (file, is, option) => {
    for (const [way, error] of Object.entries(await errors(bert({ [file]: BYTES })))) {
      expect(error.message, way).toContain(`got ${file}, ${is}, expected model.safetensors.`);
      expect(error.message, way).toContain(option);
    }
  });

  const CARD =
    '---\nlibrary_name: transformers.js\nbase_model: sentence-transformers/all-MiniLM-L6-v2\n---\n# A copy\n';
  test.each<[string, Files, string]>([
    ['the card', { 'README.md': CARD }, 'README.md names sentence-transformers/all-MiniLM-L6-v2.'],
    [
      'the card of Windows',
      { 'README.md': CARD.replaceAll('\n', '\r\n') },
      'README.md names sentence-transformers/all',
    ],
    [
      'a list in the card',
      { 'README.md': '---\nbase_model:\n- "Alibaba-NLP/gte-modernbert-base"\n- other/one\n---\n' },
      'README.md names Alibaba-NLP/gte-modernbert-base.',
    ],
    [
      'the text of the card',
      {
        'README.md':
          '---\nlibrary_name: "transformers.js"\n---\n\nhttps://huggingface.co/xlm-roberta-base with ONNX weights to',
      },
      'README.md names xlm-roberta-base.',
    ],
    [
      'config.json',
      { 'config.json': json({ model_type: 'bert', _name_or_path: 'BAAI/bge-reranker-base' }) },
      'config.json names BAAI/bge-reranker-base.',
    ],
    [
      'no base, where the card says that it is a finetune',
      { 'README.md': CARD.replace('base_model:', 'base_model_relation: finetune\nbase_model:') },
      'its model card names it as "base model".',
    ],
    [
      'no folder of a training run',
      { 'config.json': json({ model_type: 'bert', _name_or_path: './checkpoints/step-10' }) },
      'its model card names it as "base model".',
    ],
    ['a card that ends nowhere', { 'README.md': '---\nbase_model: a/b\n' }, 'its model card names it as "base model".'],
    ['no card', {}, 'its model card names it as "base model".'],
  ])('ONNX alone: the original is named by %s', async (_, files, message) => {
    const all = await errors({
      ...bert({ 'onnx/model.onnx': BYTES }),
      'config.json': json({ ...base, _name_or_path: '' }),
      ...merged(files),
    });
    for (const [way, error] of Object.entries(all)) {
      expect(error.message, way).toContain('got onnx/model.onnx, a graph of ONNX, which is not read, expected');
      expect(error.message, way).toContain(`Load the model that it was converted from: ${message}`);
    }
  });
  /** A config.json of a test has the fields of BERT's. */
  const merged = (files: Files): Files =>
    'config.json' in files
      ? { 'config.json': json({ ...base, ...JSON.parse(files['config.json'] as string) }) }
      : files;

  test.each(['onnx/model_quantized.onnx', 'model.onnx'])('ONNX in %s', async file => {
    const all = await errors(bert({ [file]: BYTES }));
    for (const error of Object.values(all)) expect(error.message).toContain(`got ${file}, a graph of ONNX`);
  });

  test('a pickle comes before ONNX, and a repository that names itself names no original', async () => {
    const both = await errors(bert({ 'onnx/model.onnx': BYTES, 'pytorch_model.bin': BYTES }));
    for (const error of Object.values(both)) expect(error.message).toContain('got pytorch_model.bin, a pickle');
    const id = `org/model-${count}`;
    const own = await errors({
      ...bert({ 'onnx/model.onnx': BYTES }),
      'config.json': json({ ...base, _name_or_path: id }),
    });
    expect(own.hub!.message).toContain('its model card names it as "base model".');
  });

  test('nothing at all', async () => {
    for (const [way, error] of Object.entries(await errors(bert({})))) {
      expect(error.message, way).toContain('got neither model.safetensors nor model.safetensors.index.json.');
      expect(error, way).toMatchObject({ status: 404 });
    }
    expect(await ModelRegistry.get_available_dtypes((await places(bert({}))).hub as string)).toEqual([]);
  });

  test('other files are asked for only when safetensors are missing, by each once, and no content is read', async () => {
    const { hub: id } = await places(bert({ 'pytorch_model.bin': BYTES }));
    await thrown(AutoModel.from_pretrained(id as string));
    const order = asked();
    expect(order.indexOf('model.safetensors.index.json')).toBeLessThan(order.indexOf('pytorch_model.bin'));
    expect(order.filter(file => file === 'pytorch_model.bin').length).toBe(1);
    const whole = bert({
      'model.safetensors': await readFile(join(random, 'model.safetensors')),
      'tf_model.h5': BYTES,
    });
    hub.requests.length = 0;
    const model = await AutoModel.from_pretrained((await places(whole)).hub as string);
    expect(asked().filter(file => !file.includes('safetensors'))).toEqual(['config.json']);
    await model.dispose();
  });

  test('a server that fails when it is asked for them gives the error as without them', async () => {
    const { hub: id } = await places(bert({}));
    for (const file of ['pytorch_model.bin', 'onnx/model.onnx']) hub.faults[`${id}/${file}`] = { status: 403 };
    hub.faults[`${id}/tf_model.h5`] = { status: 400 };
    expect((await thrown(AutoModel.from_pretrained(id as string))).message).toContain('got neither model.safetensors');
  });

  test('an abort ends the questions', async () => {
    const { hub: id } = await places(bert({ 'pytorch_model.bin': BYTES }));
    const controller = new AbortController();
    const reason = new Error('enough');
    const { fetch } = env;
    env.fetch = (input, init) => {
      if (input.endsWith('pytorch_model.bin')) controller.abort(reason);
      return fetch(input, init);
    };
    expect(await thrown(AutoModel.from_pretrained(id as string, { signal: controller.signal }))).toBe(reason);
  });
});

describe('no model of its own', () => {
  const ADAPTER = { 'adapter_config.json': json({ base_model_name_or_path: 'org/base', peft_type: 'LORA' }) };

  test('an adapter alone', async () => {
    for (const [way, error] of Object.entries(await errors({ ...ADAPTER, 'adapter_model.safetensors': BYTES }))) {
      expect(error, way).toBeInstanceOf(UnsupportedError);
      expect(error.message, way).toContain('an adapter without the model that it adapts');
      expect(error.message, way).toContain('Load org/base, which it adapts; or in Python, merge both');
    }
  });

  test('an adapter beside a config.json', async () => {
    for (const error of Object.values(await errors(bert({ ...ADAPTER, 'adapter_model.safetensors': BYTES })))) {
      expect(error.message).toContain('got adapter_model.safetensors, an adapter without the model that it adapts');
      expect(error.message).toContain('Load org/base, which it adapts');
    }
    for (const error of Object.values(await errors(bert({ 'adapter_model.safetensors': BYTES })))) {
      expect(error.message).toContain('Load the model that it adapts; or');
    }
  });

  test('GLiNER', async () => {
    const files = {
      'gliner_config.json': json({ model_name: 'microsoft/deberta-v3-base' }),
      'pytorch_model.bin': BYTES,
    };
    for (const [way, error] of Object.entries(await errors(files))) {
      expect(error, way).toBeInstanceOf(UnsupportedError);
      expect(error.message, way).toMatch(/gliner_config\.json: GLiNER, .* not built/);
      expect(error.message, way).toMatch(/For names and personal data take .*; for zero-shot classification take /);
    }
  });

  test('a repository with neither says that config.json is missing', async () => {
    for (const [way, error] of Object.entries(await errors({ 'other.json': '{}' }))) {
      expect(error, way).toBeInstanceOf(SourceError);
      expect(error, way).toMatchObject({ file: 'config.json', status: 404 });
    }
  });
});

describe('a family that is not built', () => {
  test.each([
    ['qwen3', /"qwen3", a decoder.*For embeddings take /],
    ['bart', /"bart", an encoder with a decoder.*For zero-shot classification take /],
  ])('%s, without a tokenizer that is read', async (model_type, message) => {
    const weights = await readFile(join(random, 'model.safetensors'));
    const files = { 'config.json': json({ ...base, model_type }), 'model.safetensors': weights, 'spiece.model': BYTES };
    for (const [way, error] of Object.entries(await errors(files))) {
      expect(error, way).toBeInstanceOf(UnsupportedError);
      expect(error.message, way).toMatch(message);
    }
    const { hub: id } = await places(files);
    expect((await thrown(ModelRegistry.get_available_dtypes(id as string))).message).toMatch(message);
    // What the cache has of it can be listed and removed.
    expect(await ModelRegistry.is_cached(id as string)).toBe(false);
    await ModelRegistry.clear_cache(id as string);
  });
});
