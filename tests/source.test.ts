import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { env } from '../src/api/env.ts';
import { openCheckpoint } from '../src/checkpoint/file/checkpoint.ts';
import type { ModelLocation } from '../src/checkpoint/source/location.ts';
import { openSource } from '../src/checkpoint/source/source.ts';
import { InputError, SourceError } from '../src/errors.ts';
import { noise, safetensors } from './checkpoint-bytes.ts';
import { startHub } from './hub.mjs';
import { bytesOf, environment, expectBytes, recorder, thrown } from './source-environment.ts';

const CONFIG = { model_type: 'bert' };
const text = JSON.stringify(CONFIG);
const weights = safetensors({ w: { dtype: 'F32', shape: [300, 1000], bytes: noise(1_200_000, 1) } });

let hub: Awaited<ReturnType<typeof startHub>>;
let directory: string;
beforeAll(async () => {
  hub = await startHub({ gated: ['org/gated'], revisions: ['main', 'v1', 'refs/pr/1'] });
  directory = await mkdtemp(join(tmpdir(), 'models-'));
  await mkdir(join(directory, 'org/name/sub'), { recursive: true });
  await writeFile(join(directory, 'org/name/config.json'), JSON.stringify({ local: true }));
  await writeFile(join(directory, 'org/name/sub/config.json'), JSON.stringify({ sub: true }));
  await writeFile(join(directory, 'org/name/model.safetensors'), weights);
});
beforeEach(() => {
  hub.requests.length = 0;
  for (const key of Object.keys(hub.faults)) delete hub.faults[key];
  for (const key of Object.keys(hub.files)) delete hub.files[key];
  Object.assign(hub.files, {
    'org/name/config.json': text,
    'org/name/onnx/config.json': '{"sub":1}',
    'org/name/model.safetensors': weights,
    'solo/config.json': text,
  });
});
afterAll(async () => {
  await hub.stop();
  await rm(directory, { recursive: true });
});

const open = (where: ModelLocation, more = {}, options = {}) => openSource(where, options, environment(hub.url, more));

describe('the hub', () => {
  test('an id with and without an organisation, a revision, a subfolder', async () => {
    expect(await open('org/name').json('config.json')).toEqual(CONFIG);
    expect(await open('solo').json('config.json')).toEqual(CONFIG);
    expect(await open('org/name', {}, { revision: 'refs/pr/1' }).json('config.json')).toEqual(CONFIG);
    expect(await open('org/name', {}, { subfolder: 'onnx' }).json('config.json')).toEqual({ sub: 1 });
    expect(hub.requests.map(({ path }) => path)).toEqual([
      '/org/name/resolve/main/config.json',
      '/solo/resolve/main/config.json',
      '/org/name/resolve/refs/pr/1/config.json',
      '/org/name/resolve/main/onnx/config.json',
    ]);
  });

  test('a redirected file, with its size', async () => {
    const file = await open('org/name').open('model.safetensors');
    expect(file?.size).toBe(weights.length);
    expectBytes(await bytesOf(file), weights);
    expect(hub.requests.at(-1)?.path).toBe('/cdn/org/name/model.safetensors');
  });

  test('other templates and hosts', async () => {
    const source = open('org/name', { remoteHost: `${hub.url}plain`, remotePathTemplate: '/{model}' });
    expect(await source.json('config.json')).toEqual(CONFIG);
  });

  test('an optional file that is not there', async () => {
    expect(await open('org/name').open('tokenizer.json', { optional: true })).toBeUndefined();
    expect(await open('org/name').json('tokenizer.json', { optional: true })).toBeUndefined();
  });

  test('a required file that is not there', async () => {
    const error = await thrown(open('org/name').json('tokenizer.json'));
    expect(error).toBeInstanceOf(SourceError);
    expect(error).toMatchObject({
      file: 'tokenizer.json',
      status: 404,
      url: `${hub.url}org/name/resolve/main/tokenizer.json`,
    });
    expect(error.message).toContain('org/name has no file tokenizer.json');
    expect(error.message).toContain(`${hub.url}org/name/resolve/main/tokenizer.json`);
  });

  test.each([
    ['org/absent', 401, 'no such model, or it is private or gated (Invalid username or password.)'],
    ['org/gated', 401, 'restricted'],
  ])('%s', async (id, status, words) => {
    for (const optional of [true, false]) {
      const error = await thrown(open(id).json('config.json', { optional }));
      expect(error).toMatchObject({ name: 'SourceError', status });
      expect(error.message).toContain(words);
      expect(error.next).toContain('env.fetch');
    }
  });

  test.each([
    [403, 'forbidden'],
    [429, 'too many'],
    [500, 'server failed'],
    [503, 'Try again later'],
  ])('status %i', async (status, words) => {
    hub.faults['org/name/config.json'] = { status };
    const error = await thrown(open('org/name').json('config.json'));
    expect(error).toMatchObject({ name: 'SourceError', status });
    expect(error.message).toContain(words);
  });

  test('no connection', async () => {
    const error = await thrown(openSource('org/name', {}, environment('http://127.0.0.1:9/')).json('config.json'));
    expect(error).toMatchObject({ name: 'SourceError', file: 'config.json' });
    expect(error.status).toBeUndefined();
    expect(error.message).toContain('cannot be reached');
    expect(error.cause).toBeInstanceOf(TypeError);
  });

  test('env.fetch may send a token', async () => {
    const seen: (string | null)[] = [];
    const source = open('org/name', {
      fetch: (input: string, init?: RequestInit) => {
        const headers = new Headers(init?.headers);
        headers.set('authorization', 'Bearer x');
        seen.push(headers.get('authorization'));
        return fetch(input, { ...init, headers });
      },
    });
    expect(await source.json('config.json')).toEqual(CONFIG);
    expect(seen).toEqual(['Bearer x']);
  });

  test('both kinds forbidden', () => {
    expect(() => open('org/name', { allowRemoteModels: false })).toThrow(
      /allowLocalModels = false and env.allowRemote/,
    );
    expect(() => open('org/name', {}, { local_files_only: true })).toThrow(InputError);
    expect(() => open(hub.url, { allowRemoteModels: false })).toThrow(InputError);
  });
});

describe('local models stand before the hub', () => {
  test('in a directory', async () => {
    const local = { allowLocalModels: true, localModelPath: directory };
    expect(await open('org/name', local).json('config.json')).toEqual({ local: true });
    expect(await open('org/name', local, { subfolder: 'sub' }).json('config.json')).toEqual({ sub: true });
    expect(hub.requests).toEqual([]);
    expect(await open('solo', local).json('config.json')).toEqual(CONFIG);
  });

  test('without the hub', async () => {
    const local = { allowLocalModels: true, localModelPath: directory, allowRemoteModels: false };
    const error = await thrown(open('solo', local).json('config.json'));
    expect(error.message).toContain(join(directory, 'solo/config.json'));
    expect(hub.requests).toEqual([]);
  });

  test('at a URL: nothing, a web page and no answer lead on to the hub', async () => {
    const local = { allowLocalModels: true, localModelPath: `${hub.url}plain/local/` };
    hub.files['local/org/name/config.json'] = '{"local":1}';
    expect(await open('org/name', local).json('config.json')).toEqual({ local: 1 });
    expect(await open('solo', local).json('config.json')).toEqual(CONFIG);
    hub.faults['local/solo/config.json'] = { html: true };
    expect(await open('solo', local).json('config.json')).toEqual(CONFIG);
    hub.faults['local/solo/none.json'] = { html: true };
    expect(await open('solo', local).json('none.json', { optional: true })).toBeUndefined();
    expect((await thrown(open('solo', local).json('none.json'))).message).toContain('web page');
    const silent = { allowLocalModels: true, localModelPath: 'http://127.0.0.1:9/' };
    expect(await open('solo', silent).json('config.json')).toEqual(CONFIG);
  });
});

describe('a base URL', () => {
  test.each(['', '/', '/?token=1#x'])('ends in "%s"', async end => {
    const where = `${hub.url}plain/org/name${end}`;
    expect(await open(where).json('config.json')).toEqual(CONFIG);
    expect(await open(new URL(where)).json('config.json')).toEqual(CONFIG);
    expectBytes(await bytesOf(await open(where).open('model.safetensors')), weights);
  });

  test('a web page in place of a file', async () => {
    const source = open(`${hub.url}plain/app/`);
    hub.faults['app/config.json'] = { html: true };
    hub.faults['app/model.safetensors'] = { html: true };
    const error = await thrown(source.json('config.json'));
    expect(error).toMatchObject({ name: 'SourceError', file: 'config.json', url: `${hub.url}plain/app/config.json` });
    expect(error.message).toContain('gives a web page');
    expect((await thrown(source.open('model.safetensors'))).message).toContain('gives a web page');
    expect(await source.open('model.safetensors', { optional: true })).toBeUndefined();
    expect(await source.json('config.json', { optional: true })).toBeUndefined();
  });

  test('a safetensors file whose first byte is "<"', async () => {
    // A header of 60 bytes: its length is written with the byte 0x3c.
    const json = '{"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}'.padEnd(60);
    const file = new Uint8Array(8 + 60 + 1);
    file[0] = 60;
    file.set(new TextEncoder().encode(json), 8);
    const checkpoint = await openCheckpoint(open({ 'model.safetensors': file }));
    expect([...checkpoint.tensors.keys()]).toEqual(['w']);
  });

  test('broken JSON, invalid UTF-8, an empty file, a pointer of Git LFS', async () => {
    const json = (value: string | Uint8Array) => {
      hub.files['x/config.json'] = value;
      return thrown(open(`${hub.url}plain/x/`).json('config.json'));
    };
    expect((await json('{"a":')).message).toMatch(/config.json is not valid JSON: got "\{\\"a\\":/);
    expect((await json(Uint8Array.of(0x22, 0xff, 0x22))).message).toContain('not valid JSON');
    expect((await json('')).message).toContain('not valid JSON');
    expect((await json('version https://git-lfs.github.com/spec/v1\noid sha256:0')).message).toContain('git lfs pull');
  });
});

describe('files and bytes', () => {
  const file = (name: string, body: BlobPart, path = '') =>
    Object.defineProperty(new File([body], name), 'webkitRelativePath', { value: path });

  test('a list of File', async () => {
    const source = open([file('config.json', text), file('model.safetensors', weights)]);
    expect(source.name).toBe('files');
    expect(await source.json('config.json')).toEqual(CONFIG);
    const opened = await source.open('model.safetensors');
    expect(opened?.size).toBe(weights.length);
    expectBytes(await bytesOf(opened), weights);
  });

  test('a FileList of a folder: the files nearest to its top', async () => {
    const list = [
      file('config.json', '{"deep":1}', 'name/onnx/config.json'),
      file('config.json', text, 'name/config.json'),
      file('config.json', '{"deep":2}', 'name/other/config.json'),
    ];
    const fileList = { ...list, length: 3, item: (i: number) => list[i] } as unknown as FileList;
    expect(await open(fileList).json('config.json')).toEqual(CONFIG);
  });

  const chosen = (...paths: string[]) => paths.map(path => file(path.split('/').at(-1)!, JSON.stringify(path), path));
  const named = (...paths: string[]) => paths.map(name => ({ name, blob: new Blob([JSON.stringify(name)]) }));

  test('a chosen folder: files by their paths in it', async () => {
    const source = open(chosen('name/1_Pooling/config.json', 'name/config.json', 'name/modules.json'));
    expect(await source.json('config.json')).toBe('name/config.json');
    expect(await source.json('1_Pooling/config.json')).toBe('name/1_Pooling/config.json');
    expect(await source.json('modules.json')).toBe('name/modules.json');
  });

  test('a chosen folder that holds the folder of the model', async () => {
    const source = open(chosen('hub/README.json', 'hub/a/b/1_Pooling/config.json', 'hub/a/b/config.json'));
    expect(await source.json('config.json')).toBe('hub/a/b/config.json');
    expect(await source.json('1_Pooling/config.json')).toBe('hub/a/b/1_Pooling/config.json');
  });

  test('a file of a subfolder does not stand in for one that is not in the folder', async () => {
    const source = open(chosen('name/config.json', 'name/2_Dense/model.safetensors'));
    expect(await source.open('model.safetensors', { optional: true })).toBeUndefined();
  });

  test('names with slashes', async () => {
    const source = open(named('1_Pooling/config.json', 'config.json'));
    expect(await source.json('config.json')).toBe('config.json');
    expect(await source.json('1_Pooling/config.json')).toBe('1_Pooling/config.json');
    expect(await open(named('name/vocab.json', 'name/config.json')).json('vocab.json')).toBe('name/vocab.json');
    expect(await open(named('name/tokenizer.json')).json('tokenizer.json')).toBe('name/tokenizer.json');
    const bytes = new TextEncoder().encode(text);
    expect(await open({ '1_Pooling/config.json': bytes }).json('1_Pooling/config.json')).toEqual(CONFIG);
  });

  test('two files of one name, of which only the bytes may be two', async () => {
    expect(() => open([file('config.json', text), file('config.json', '{}')])).toThrow(InputError);
    const [one, again, other] = [file('a.json', '[1]'), file('a.json', '[1]'), file('a.json', '[2]')];
    for (const same of [
      [one, again],
      [one, one],
      [one, again, one],
    ]) {
      expect(await open(same).json('a.json')).toEqual([1]);
    }
    for (const differing of [
      [one, other],
      [other, one],
      [one, other, one],
      [one, again, other],
    ]) {
      expect(await thrown(open(differing).json('a.json'))).toBeInstanceOf(InputError);
    }
  });

  test('named blobs, bytes, a buffer', async () => {
    expect(await open([{ name: 'config.json', blob: new Blob([text]) }]).json('config.json')).toEqual(CONFIG);
    const source = open({
      'config.json': new TextEncoder().encode(text),
      'model.safetensors': weights.buffer,
      'vocab.txt': new Blob(['a']),
    });
    expect(await source.json('config.json')).toEqual(CONFIG);
    expectBytes(await bytesOf(await source.open('model.safetensors')), weights);
    expect(await bytesOf(await source.open('vocab.txt'))).toEqual(Uint8Array.of(97));
  });

  test('a missing file names those that are there', async () => {
    const error = await thrown(open({ 'config.json': new Uint8Array() }).open('model.safetensors'));
    expect(error.message).toContain('model.safetensors (of config.json)');
  });

  test.each([null, 5, new Blob([]), ['a'], [{}], { a: 'text' }, { a: 5 }, [{ name: 'a', blob: 5 }]])('%o', where => {
    expect(() => open(where as unknown as ModelLocation)).toThrow(InputError);
  });

  test.each(['../a', '/etc/passwd', 'a/../b', 'a\\b', 'a?b', 'a#b', '%2e%2e/a', 'http://x/y', '', '.hidden/../a'])(
    'the file name "%s"',
    async name => {
      const error = await thrown(open('org/name').open(name));
      expect(error).toBeInstanceOf(SourceError);
      expect(error.message).toContain('unsafe');
      expect(hub.requests).toEqual([]);
    },
  );
});

describe('a directory', () => {
  test('by a path, with and without a slash, and by a file: URL', async () => {
    const path = join(directory, 'org/name');
    for (const where of [path, `${path}/`, pathToFileURL(path), pathToFileURL(path).href]) {
      expect(await open(where).json('config.json')).toEqual({ local: true });
    }
    const file = await open(path).open('model.safetensors');
    expect(file?.size).toBe(weights.length);
    expectBytes(await bytesOf(file), weights);
    expect(await open(path).open('none', { optional: true })).toBeUndefined();
    expect((await thrown(open('./none').json('config.json'))).message).toContain('./none/config.json');
  });
});

test.each(['', 'a b', 'a/b/c', 'org/na..me', 'org/na--me', 'org/name.git', '-x', 'a\\b'])(
  '"%s" is no location',
  where => {
    expect(() => open(where)).toThrow(InputError);
  },
);

test('the defaults of env', () => {
  expect(env).toMatchObject({
    allowLocalModels: true,
    localModelPath: '/models/',
    allowRemoteModels: true,
    remoteHost: 'https://huggingface.co/',
    remotePathTemplate: '{model}/resolve/{revision}/',
    useBrowserCache: 'caches' in globalThis,
    useCustomCache: false,
    customCache: null,
  });
});

describe('on a page', () => {
  beforeAll(() => {
    Object.assign(globalThis, { location: { href: `${hub.url}plain/page/index.html` } });
  });
  afterAll(() => {
    Reflect.deleteProperty(globalThis, 'location');
  });

  test.each(['./model/', './model', '/plain/page/model', '../page/model/'])('%s is a URL beside it', async where => {
    hub.files['page/model/config.json'] = text;
    expect(await open(where).json('config.json')).toEqual(CONFIG);
    expect(await open(where, { allowRemoteModels: false }).json('config.json')).toEqual(CONFIG);
  });

  test('localModelPath is, too', async () => {
    hub.files['page/models/org/name/config.json'] = '{"local":1}';
    const local = { allowLocalModels: true, localModelPath: '/plain/page/models' };
    expect(await open('org/name', local).json('config.json')).toEqual({ local: 1 });
  });
});

test('progress events', async () => {
  const { events, progress_callback } = recorder();
  const source = open('org/name', {}, { progress_callback });
  await source.json('config.json');
  await source.open('none.json', { optional: true });
  await bytesOf(await source.open('model.safetensors'));
  const config = events.filter(event => 'file' in event && event.file === 'config.json');
  const size = text.length;
  expect(config).toEqual([
    { status: 'initiate', name: 'org/name', file: 'config.json' },
    { status: 'download', name: 'org/name', file: 'config.json' },
    { status: 'progress', name: 'org/name', file: 'config.json', progress: 100, loaded: size, total: size },
    { status: 'done', name: 'org/name', file: 'config.json' },
  ]);
  const steps = events.flatMap(event =>
    event.status === 'progress' && event.file === 'model.safetensors' ? [event] : [],
  );
  expect(steps.length).toBeGreaterThan(1);
  expect(
    steps.every(({ total, loaded, progress }) => total === weights.length && progress === (loaded / total) * 100),
  ).toBe(true);
  expect(steps.map(({ loaded }) => loaded)).toEqual(steps.map(({ loaded }) => loaded).sort((a, b) => a - b));
  expect(steps.at(-1)?.progress).toBe(100);
  const total = events.filter(event => event.status === 'progress_total').at(-1);
  expect(total).toEqual({
    status: 'progress_total',
    name: 'org/name',
    progress: 100,
    loaded: size + weights.length,
    total: size + weights.length,
    files: {
      'config.json': { loaded: size, total: size },
      'model.safetensors': { loaded: weights.length, total: weights.length },
    },
  });
  expect(events.at(-1)).toEqual({ status: 'done', name: 'org/name', file: 'model.safetensors' });
});
