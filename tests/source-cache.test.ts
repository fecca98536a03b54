import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { openCheckpoint } from '../src/checkpoint/file/checkpoint.ts';
import { copiedToCache } from '../src/checkpoint/source/cache.ts';
import { openSource } from '../src/checkpoint/source/source.ts';
import { InputError } from '../src/errors.ts';
import { noise, safetensors } from './checkpoint-bytes.ts';
import { startHub } from './hub.mjs';
import { bytesOf, environment, expectBytes, fakeCache, recorder, thrown } from './source-environment.ts';

const weights = safetensors({ w: { dtype: 'F32', shape: [200, 1000], bytes: noise(800_000, 1) } });
const FILE = 'model.safetensors';
const KEY = `org/name/${FILE}`;
const CONFIG = '{"a":1}';

let hub: Awaited<ReturnType<typeof startHub>>;
let fake: ReturnType<typeof fakeCache>;
let openedAs: string[];
beforeAll(async () => {
  hub = await startHub();
});
beforeEach(() => {
  fake = fakeCache();
  openedAs = [];
  vi.stubGlobal('caches', {
    open: async (name: string) => {
      openedAs.push(name);
      return fake.cache;
    },
  });
  hub.requests.length = 0;
  for (const key of Object.keys(hub.faults)) delete hub.faults[key];
  Object.assign(hub.files, { 'org/name/config.json': CONFIG, [KEY]: weights });
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});
afterAll(() => hub.stop());

const offline = { fetch: () => Promise.reject(new TypeError('Failed to fetch')) };
const open = (more = {}, where = 'org/name', options = {}) =>
  openSource(where, options, environment(hub.url, { useBrowserCache: true, ...more }));
const load = async (more = {}, where = 'org/name', options = {}) =>
  bytesOf(await open(more, where, options).open(FILE));
const urlOf = (file: string) => `${hub.url}org/name/resolve/main/${file}`;

test('a file is kept while it streams, by its URL, and works offline afterwards', async () => {
  expect(await open().json('config.json')).toEqual({ a: 1 });
  expectBytes(await load(), weights);
  expect([...fake.entries.keys()]).toEqual([urlOf('config.json'), urlOf(FILE)]);
  expect(openedAs.every(name => name === 'test')).toBe(true);
  const headers = new Headers(fake.entries.get(urlOf(FILE))!.headers);
  expect(headers.get('content-length')).toBe(String(weights.length));
  expect(headers.get('etag')).toMatch(/^"\w+"$/);
  const count = hub.requests.length;
  expect(await open(offline).json('config.json')).toEqual({ a: 1 });
  expectBytes(await load(offline), weights);
  expect((await openCheckpoint(open(offline))).tensors.size).toBe(1);
  expect(hub.requests).toHaveLength(count);
});

test('a download that is cancelled, aborted or breaks off keeps nothing', async () => {
  const file = (await open().open(FILE))!;
  await file.bytes.next();
  await file.cancel();
  const stop = new AbortController();
  const aborted = (await open({}, 'org/name', { signal: stop.signal }).open(FILE))!;
  await aborted.bytes.next();
  stop.abort(new Error('enough'));
  await thrown(aborted.bytes.next());
  hub.faults[KEY] = { cut: 100_000, noValidator: true };
  await thrown(load());
  await new Promise(resolve => setTimeout(resolve, 20));
  expect(fake.entries.size).toBe(0);
});

test('a web page and broken JSON are not kept', async () => {
  hub.faults[KEY] = { html: true };
  hub.files['org/name/config.json'] = '{"a":';
  await thrown(load());
  await thrown(open().json('config.json'));
  expect([...fake.entries.values()].map(({ status }) => status)).toEqual([404]);
});

test('a shard whose stream is closed after its header is not kept, and kept when its data are read', async () => {
  const names = [0, 1, 2, 3, 4, 5].map(i => `model-${i}.safetensors`);
  const map: Record<string, string> = {};
  for (const [i, name] of names.entries()) {
    map[`w${i}`] = name;
    hub.files[`org/sharded/${name}`] = safetensors({
      [`w${i}`]: { dtype: 'F32', shape: [50_000], bytes: noise(200_000, i) },
    });
  }
  hub.files['org/sharded/model.safetensors.index.json'] = JSON.stringify({ weight_map: map });
  const checkpoint = await openCheckpoint(open({}, 'org/sharded'));
  const kept = () => [...fake.entries.keys()].filter(url => fake.entries.get(url)!.status === 200).length;
  expect(kept()).toBe(1);
  let length = 0;
  for await (const { bytes } of checkpoint.chunks()) length += bytes.length;
  expect(length).toBe(1_200_000);
  expect(kept()).toBe(7);
  const again = await openCheckpoint(open(offline, 'org/sharded'));
  for await (const { bytes } of again.chunks()) length -= bytes.length;
  expect(length).toBe(0);
});

test('that a file does not exist is remembered for when there is no connection, and asked again when there is', async () => {
  expect(await open().json('none.json', { optional: true })).toBeUndefined();
  expect(await open(offline).json('none.json', { optional: true })).toBeUndefined();
  const required = await thrown(open(offline).json('none.json'));
  expect(required.message).toContain('has no file none.json');
  expect((await thrown(open(offline).json('never.json', { optional: true }))).message).toContain('cannot be reached');
  hub.files['org/name/none.json'] = '5';
  expect(await open().json('none.json', { optional: true })).toBe(5);
  expect(await open(offline).json('none.json', { optional: true })).toBe(5);
  delete hub.files['org/name/none.json'];
});

test('so is that a server answers with a web page', async () => {
  const plain = `${hub.url}plain/app/`;
  hub.faults['app/none.json'] = { html: true };
  expect(await open({}, plain).json('none.json', { optional: true })).toBeUndefined();
  expect(await open(offline, plain).json('none.json', { optional: true })).toBeUndefined();
});

describe('a damaged entry', () => {
  test('that is too short is completed from the server and removed', async () => {
    await load();
    const entry = fake.entries.get(urlOf(FILE))!;
    entry.body = entry.body.slice(0, 300_000);
    expectBytes(await load(), weights);
    expect(hub.requests.at(-1)?.range).toBe('bytes=300000-');
    expect(fake.entries.size).toBe(0);
    expectBytes(await load(), weights);
    expect(fake.entries.size).toBe(1);
  });

  test('that is empty', async () => {
    await load();
    fake.entries.get(urlOf(FILE))!.body = new Uint8Array();
    expectBytes(await load(), weights);
  });

  test('that is too short while offline is an error, not a short file', async () => {
    await load();
    const entry = fake.entries.get(urlOf(FILE))!;
    entry.body = entry.body.slice(0, 300_000);
    expect((await thrown(load(offline))).message).toContain('could not be loaded whole');
  });

  test('that is too short of a file that has changed', async () => {
    await load();
    const entry = fake.entries.get(urlOf(FILE))!;
    entry.body = entry.body.slice(0, 300_000);
    hub.files[KEY] = weights.slice().fill(1, 1000);
    expect((await thrown(load())).message).toContain('changed on the server');
    expectBytes(await load(), hub.files[KEY]);
  });

  test('that is too long is removed', async () => {
    await load();
    const entry = fake.entries.get(urlOf(FILE))!;
    entry.body = new Uint8Array([...entry.body, 0]);
    expect((await thrown(load())).message).toContain('copy in the cache was damaged');
    expectBytes(await load(), weights);
  });

  test('of JSON is fetched again', async () => {
    await open().json('config.json');
    const entry = fake.entries.get(urlOf('config.json'))!;
    entry.body = new TextEncoder().encode('{"a":1,');
    entry.headers = [['content-length', '7']];
    expect(await open().json('config.json')).toEqual({ a: 1 });
    expect(new TextDecoder().decode(fake.entries.get(urlOf('config.json'))!.body)).toBe(CONFIG);
  });

  test('of JSON in a cache that cannot delete is an error, not a loop', async () => {
    const customCache = { match: fake.cache.match, put: fake.cache.put };
    fake.entries.set(urlOf('config.json'), { status: 200, headers: [], body: new TextEncoder().encode('{') });
    const error = await thrown(open({ useCustomCache: true, customCache }).json('config.json'));
    expect(error.message).toContain('not valid JSON');
  });
});

describe('a base URL', () => {
  const plain = () => `${hub.url}plain/org/name/`;

  test('whose file has changed is fetched again; offline the kept one serves', async () => {
    expectBytes(await load({}, plain()), weights);
    expectBytes(await load({}, plain()), weights);
    expect(hub.requests.map(({ method }) => method)).toEqual(['GET', 'HEAD']);
    expectBytes(await load(offline, plain()), weights);
    hub.files[KEY] = weights.slice().fill(1, 1000);
    expectBytes(await load({}, plain()), hub.files[KEY]);
    expectBytes(await load(offline, plain()), hub.files[KEY]);
  });

  test('whose file is gone', async () => {
    await load({}, plain());
    delete hub.files[KEY];
    expect(await open({}, plain()).open(FILE, { optional: true })).toBeUndefined();
  });
});

describe('without a cache', () => {
  test('useBrowserCache = false', async () => {
    await load({ useBrowserCache: false });
    expect(openedAs).toEqual([]);
    expect(fake.entries.size).toBe(0);
  });

  test('a page that may not have one', async () => {
    vi.stubGlobal('caches', {
      open: () => Promise.reject(new DOMException('The operation is insecure.', 'SecurityError')),
    });
    expectBytes(await load(), weights);
  });

  test('a cache that is full, or fails to read', async () => {
    vi.spyOn(console, 'warn').mockImplementation(() => undefined);
    fake = fakeCache(100_000);
    expectBytes(await load(), weights);
    fake = fakeCache(1);
    expect(await open().json('config.json')).toEqual({ a: 1 });
    expect(fake.entries.size).toBe(0);
    fake.cache.match = () => Promise.reject(new Error('broken'));
    expectBytes(await load(), weights);
  });

  test('what cannot be kept is said: an event for each file, a warning for all', async () => {
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => undefined);
    fake = fakeCache(1);
    const { events, progress_callback } = recorder();
    const source = open({}, 'org/name', { progress_callback });
    await source.json('config.json');
    expectBytes(await bytesOf(await source.open(FILE)), weights);
    const reason = 'QuotaExceededError: The quota has been exceeded.';
    expect(events.filter(({ status }) => status === 'uncached')).toEqual([
      { status: 'uncached', name: 'org/name', file: 'config.json', reason },
      { status: 'uncached', name: 'org/name', file: FILE, reason },
    ]);
    expect(events.filter(({ status }) => status === 'done')).toHaveLength(2);
    expect(warn).toHaveBeenCalledOnce();
    expect(warn.mock.calls[0]![0]).toContain(reason);
    warn.mockRestore();
  });

  test('a download that ends early is no failure of the cache', async () => {
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => undefined);
    const file = (await open().open(FILE))!;
    await file.bytes.next();
    await file.cancel();
    hub.faults[KEY] = { cut: 100_000, noValidator: true };
    await thrown(load());
    await new Promise(resolve => setTimeout(resolve, 20));
    expect(warn).not.toHaveBeenCalled();
    warn.mockRestore();
  });

  test('a custom one that does not read the body', async () => {
    const kept: Response[] = [];
    const customCache = {
      match: async () => undefined,
      put: async (_: string, response: Response) => void kept.push(response),
    };
    expectBytes(await load({ useCustomCache: true, customCache }), weights);
    await expect(kept[0]!.arrayBuffer()).rejects.toThrow();
  });

  test('a frame in which a look at caches throws', async () => {
    Object.defineProperty(globalThis, 'caches', {
      configurable: true,
      get() {
        throw new DOMException('The operation is insecure.', 'SecurityError');
      },
    });
    expectBytes(await load(), weights);
    expect(await open().json('config.json')).toEqual({ a: 1 });
  });

  test('a custom one that is none', async () => {
    expect(await thrown(load({ useCustomCache: true }))).toBeInstanceOf(InputError);
  });
});

test('the cache and the reader keep the same pace', async () => {
  let made = 0;
  async function* pieces() {
    for (; made < 200; made++) yield new Uint8Array(10);
  }
  let stored = 0;
  let ahead = 0;
  const keep = async (body: ReadableStream<Uint8Array>) => {
    for await (const piece of body) {
      await new Promise(resolve => setTimeout(resolve, 1));
      stored += piece.length;
      ahead = Math.max(ahead, made * 10 - stored);
    }
  };
  let read = 0;
  for await (const piece of copiedToCache(pieces(), { keep })) read += piece.length;
  expect(read).toBe(2000);
  expect(stored).toBe(2000);
  expect(ahead).toBeLessThanOrEqual(40);
});
