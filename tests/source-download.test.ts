import { createHash } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { openCheckpoint } from '../src/checkpoint/file/checkpoint.ts';
import { type Clock, realClock } from '../src/checkpoint/source/retry.ts';
import { Sha256 } from '../src/checkpoint/source/sha256.ts';
import { openSource } from '../src/checkpoint/source/source.ts';
import { InputError, SourceError } from '../src/errors.ts';
import { noise, random, safetensors } from './checkpoint-bytes.ts';
import { startHub } from './hub.mjs';
import { bytesOf, environment, expectBytes, fakeCache, recorder, thrown } from './source-environment.ts';

const weights = safetensors({ w: { dtype: 'F32', shape: [200, 1000], bytes: noise(800_000, 1) } });
const FILE = 'model.safetensors';
const KEY = `org/name/${FILE}`;

let hub: Awaited<ReturnType<typeof startHub>>;
beforeAll(async () => {
  hub = await startHub();
});
beforeEach(() => {
  hub.requests.length = 0;
  for (const key of Object.keys(hub.faults)) delete hub.faults[key];
  Object.assign(hub.files, { 'org/name/config.json': '{"a":1}', [KEY]: weights });
});
afterAll(() => hub.stop());

const open = (options = {}, more = {}) => openSource('org/name', options, environment(hub.url, more));
const load = async (options = {}, more = {}) => bytesOf(await open(options, more).open(FILE));

describe('a download that breaks off', () => {
  test('is continued where it broke, also twice', async () => {
    hub.faults[KEY] = { cut: 300_000, times: 2 };
    const { events, progress_callback } = recorder();
    expectBytes(await load({ progress_callback }), weights);
    const ranges = hub.requests.filter(({ path }) => path.startsWith('/cdn')).map(({ range }) => range);
    expect(ranges).toHaveLength(3);
    expect(ranges[0]).toBeUndefined();
    expect(ranges[1]).toMatch(/^bytes=\d+-$/);
    expect(Number(/\d+/.exec(ranges[2]!)?.[0])).toBeGreaterThan(Number(/\d+/.exec(ranges[1]!)?.[0]));
    const last = events.filter(event => event.status === 'progress').at(-1);
    expect(last).toMatchObject({ loaded: weights.length, total: weights.length, progress: 100 });
  });

  test('is continued although the server knows no ranges', async () => {
    hub.faults[KEY] = { cut: 300_000, times: 1 };
    const first = hub.faults[KEY];
    const promise = load(
      {},
      {
        fetch: (input: string, init?: RequestInit) => {
          if (first?.times === 0) hub.faults[KEY] = { noRange: true };
          return fetch(input, init);
        },
      },
    );
    expectBytes(await promise, weights);
  });

  test('ends in an error after three tries', async () => {
    hub.faults[KEY] = { cut: 50_000 };
    const error = await thrown(load());
    expect(error).toBeInstanceOf(SourceError);
    expect(error).toMatchObject({ file: FILE, expected: String(weights.length) });
    expect(error.message).toContain('could not be loaded whole');
    expect(hub.requests.filter(({ path }) => path.startsWith('/cdn'))).toHaveLength(4);
  });

  test('is not continued with another file', async () => {
    hub.faults[KEY] = { cut: 300_000, times: 1 };
    const promise = load(
      {},
      {
        fetch: (input: string, init?: RequestInit) => {
          if (hub.faults[KEY]?.times === 0)
            hub.files[KEY] = safetensors({ w: { dtype: 'U8', shape: [800_000], bytes: noise(800_000, 2) } });
          return fetch(input, init);
        },
      },
    );
    expect((await thrown(promise)).message).toContain('changed on the server');
  });

  test('is not continued where nothing proves that the file is the same', async () => {
    hub.faults[KEY] = { cut: 300_000, noValidator: true };
    expect((await thrown(load())).message).toContain('no ETag');
  });

  test('JSON too', async () => {
    hub.files['org/name/config.json'] = JSON.stringify({ a: 'x'.repeat(400_000) });
    hub.faults['org/name/config.json'] = { cut: 100_000, times: 1 };
    expect(await open().json('config.json')).toEqual({ a: 'x'.repeat(400_000) });
  });

  test('is not continued after an abort', async () => {
    hub.faults[KEY] = { cut: 300_000 };
    const stop = new AbortController();
    const reason = new Error('enough');
    // The pause before the file is asked for again is when it aborts.
    const clock: Clock = {
      ...realClock,
      sleep: (ms, signal) => {
        stop.abort(reason);
        return realClock.sleep(ms, signal);
      },
    };
    const source = openSource('org/name', { signal: stop.signal }, environment(hub.url), { clock });
    expect(await thrown(source.open(FILE).then(bytesOf))).toBe(reason);
    expect(hub.requests.filter(({ path }) => path.startsWith('/cdn'))).toHaveLength(1);
  });
});

test('a compressed answer: the size is unknown, the bytes are right', async () => {
  hub.faults[KEY] = { encoded: true };
  const { events, progress_callback } = recorder();
  const file = await open({ progress_callback }).open(FILE);
  expect(file?.size).toBeUndefined();
  expectBytes(await bytesOf(file), weights);
  const steps = events.flatMap(event => (event.status === 'progress' ? [event] : []));
  expect(steps.every(({ loaded, total }) => total === loaded)).toBe(true);
  expect(steps.at(-1)?.loaded).toBe(weights.length);
});

describe('abort', () => {
  const reason = new Error('enough');

  test('before anything is requested', async () => {
    const source = open({ signal: AbortSignal.abort(reason) });
    expect(await thrown(source.open(FILE))).toBe(reason);
    expect(await thrown(source.json('config.json'))).toBe(reason);
    expect(hub.requests).toEqual([]);
  });

  test('while the answer is awaited', async () => {
    const stop = new AbortController();
    const promise = open(
      { signal: stop.signal },
      {
        fetch: (_: string, init?: RequestInit) =>
          new Promise<Response>((_, reject) => {
            init!.signal!.addEventListener('abort', () => reject(init!.signal!.reason as Error));
          }),
      },
    ).json('config.json');
    setTimeout(() => stop.abort(reason), 5);
    expect(await thrown(promise)).toBe(reason);
  });

  test('while the bytes come, also from a fetch that knows no signal', async () => {
    const stop = new AbortController();
    const body = new ReadableStream({
      start: controller => controller.enqueue(weights.slice(0, 1000)),
      pull: () => new Promise(() => undefined),
    });
    const file = await open({ signal: stop.signal }, { fetch: async () => new Response(body) }).open(FILE);
    const promise = bytesOf(file);
    setTimeout(() => stop.abort(reason), 5);
    expect(await thrown(promise)).toBe(reason);
  });

  test('the stream of a checkpoint that is cancelled ends its connection', async () => {
    // The whole answer takes more than a second; a status is noted when its connection ends.
    hub.faults[KEY] = { pauseMs: 100 };
    const checkpoint = await openCheckpoint(open());
    await checkpoint.cancel();
    await new Promise(resolve => setTimeout(resolve, 200));
    expect(hub.requests.at(-1)?.status).toBe(200);
  });
});

describe('integrity', () => {
  const right = createHash('sha256').update(weights).digest('hex');
  const wrong = '0'.repeat(64);

  test('the right digest, in any case', async () => {
    expectBytes(await load({ integrity: { [FILE]: right } }), weights);
    expectBytes(await load({ integrity: { [FILE]: right.toUpperCase() } }), weights);
  });

  test('a wrong one fails before the model is whole, and nothing is kept', async () => {
    const { cache, entries } = fakeCache();
    const integrity = { [FILE]: wrong, 'config.json': wrong };
    const own = { useCustomCache: true, customCache: cache };
    const error = await thrown(load({ integrity }, own));
    expect(error).toMatchObject({ name: 'SourceError', file: FILE, actual: right, expected: wrong });
    const checkpoint = await openCheckpoint(open({ integrity }, own));
    const drain = async () => {
      for await (const _ of checkpoint.chunks());
    };
    expect((await thrown(drain())).message).toContain('SHA-256 differs');
    expect((await thrown(open({ integrity }, own).json('config.json'))).message).toContain('SHA-256 differs');
    expect(entries.size).toBe(0);
  });

  test('a kept copy with another digest is removed', async () => {
    const { cache, entries } = fakeCache();
    const own = { useCustomCache: true, customCache: cache };
    await load({}, own);
    const entry = [...entries.values()][0]!;
    entry.body[500] = entry.body[500]! ^ 1;
    expect((await thrown(load({ integrity: { [FILE]: right } }, own))).message).toContain('SHA-256 differs');
    expect(entries.size).toBe(0);
    expectBytes(await load({ integrity: { [FILE]: right } }, own), weights);
  });

  test('a digest that is none', () => {
    expect(() => open({ integrity: { [FILE]: 'abc' } })).toThrow(InputError);
  });

  test('SHA-256 equals that of node:crypto for every length and division', () => {
    const next = random(3);
    for (let length = 0; length < 300; length++) {
      const bytes = noise(length, length);
      const hash = new Sha256();
      for (let at = 0; at < length; ) {
        const end = at + Math.floor(next() * 150);
        hash.update(bytes.subarray(at, end));
        at = Math.min(end, length);
      }
      expect(hash.hex()).toBe(createHash('sha256').update(bytes).digest('hex'));
    }
    const large = noise(3_000_000, 4);
    const hash = new Sha256();
    hash.update(large);
    expect(hash.hex()).toBe(createHash('sha256').update(large).digest('hex'));
  });
});
