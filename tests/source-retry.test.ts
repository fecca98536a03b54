import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { type Clock, MAX_ATTEMPTS, MAX_WAIT_MS, realClock } from '../src/checkpoint/source/retry.ts';
import { openSource } from '../src/checkpoint/source/source.ts';
import type { ProgressInfo } from '../src/checkpoint/source/types.ts';
import { AutoTokenizer, env } from '../src/index.ts';
import { bytesOf, environment, fakeCache, recorder, thrown } from './source-environment.ts';

const reason = new Error('enough');
const HOST = 'http://host/';

interface Step {
  status?: number;
  headers?: Record<string, string>;
  /** The connection drops: fetch rejects. */
  drop?: boolean;
}

/** A server that goes through the steps, and then gives the file; and a clock that only notes what was waited. */
function server(steps: readonly Step[], { random = 0.5, now = 1_000_000 } = {}) {
  const requests: string[] = [];
  const pauses: number[] = [];
  let time = now;
  const clock: Clock = {
    now: () => time,
    random: () => random,
    async sleep(ms) {
      pauses.push(ms);
      time += ms;
    },
  };
  const left = [...steps];
  const fetch = async (url: string, init?: RequestInit) => {
    requests.push(`${init?.method ?? 'GET'} ${url.slice(HOST.length)}`);
    const step = left.shift();
    if (step?.drop) throw new TypeError('Failed to fetch');
    return new Response(step ? null : '{"a":1}', { status: step?.status ?? 200, headers: step?.headers ?? {} });
  };
  const open = (options = {}, more = {}, where = 'org/name') =>
    openSource(where, options, environment(HOST, { fetch, ...more }), { clock });
  return { requests, pauses, open };
}

describe('a passing trouble', () => {
  test.each([408, 429, 500, 502, 503, 504])('status %i is waited out, twice', async status => {
    const { open, requests, pauses } = server([{ status }, { status }]);
    expect(await open().json('config.json')).toEqual({ a: 1 });
    expect(requests).toHaveLength(3);
    expect(pauses[1]).toBe(pauses[0]! * 2);
  });

  test('so is a connection that drops', async () => {
    const { open, requests } = server([{ drop: true }, { status: 503 }, { drop: true }]);
    expect(new TextDecoder().decode(await bytesOf(await open().open('config.json')))).toBe('{"a":1}');
    expect(requests).toHaveLength(4);
  });

  test('the pauses double, and differ by chance', async () => {
    const trouble = new Array(MAX_ATTEMPTS - 1).fill({ status: 503 });
    const [least, most] = [server(trouble, { random: 0 }), server(trouble, { random: 0.999 })];
    await least.open().json('config.json');
    await most.open().json('config.json');
    expect(least.pauses).toEqual([125, 250, 500, 1000]);
    most.pauses.forEach((ms, i) => {
      expect(ms).toBeGreaterThan(least.pauses[i]! * 1.9);
      expect(ms).toBeLessThanOrEqual(least.pauses[i]! * 2);
    });
  });

  test.each([
    [{ 'retry-after': '7' }, 7000],
    [{ 'retry-after': new Date(1_000_000 + 9000).toUTCString() }, 9000],
    // The clock of the device is an hour off.
    [
      { 'retry-after': 'Wed, 21 Oct 2026 07:28:05 GMT', date: 'Wed, 21 Oct 2026 07:28:00 GMT' } as Record<
        string,
        string
      >,
      5000,
    ],
  ])('Retry-After: %o', async (headers, ms) => {
    const { open, pauses } = server([{ status: 429, headers }]);
    await open().json('config.json');
    expect(pauses).toEqual([ms]);
  });

  test.each(['', 'soon', '-5', 'Thu, 01 Jan 1970 00:00:01 GMT', '0'])(
    'Retry-After "%s" shortens no pause',
    async value => {
      const { open, pauses } = server([{ status: 503, headers: { 'retry-after': value } }]);
      await open().json('config.json');
      expect(pauses).toEqual([187.5]);
    },
  );

  test('that stays is an error that tells the attempts and the time', async () => {
    const { open, requests, pauses } = server(new Array(20).fill({ status: 503 }));
    const error = await thrown(open().json('config.json'));
    expect(error).toMatchObject({ name: 'SourceError', status: 503 });
    expect(error.message).toContain(`${MAX_ATTEMPTS} attempts in 2.8 s, 2.8 s of it waiting`);
    expect(requests).toHaveLength(MAX_ATTEMPTS);
    expect(pauses).toHaveLength(MAX_ATTEMPTS - 1);
    const dropped = await thrown(
      server(new Array(20).fill({ drop: true }))
        .open()
        .json('config.json'),
    );
    expect(dropped.message).toContain('cannot be reached');
    expect(dropped.message).toContain('5 attempts in 2.8 s');
    expect(dropped.status).toBeUndefined();
  });

  test('a pause that is too long is not waited, and told', async () => {
    const headers = { 'retry-after': '3600' };
    const { open, requests, pauses } = server([{ status: 429, headers }]);
    const error = await thrown(open().json('config.json'));
    expect(error.message).toContain('the server asks to wait 3600 s more');
    expect([requests.length, pauses]).toEqual([1, []]);
    const half = { 'retry-after': String(MAX_WAIT_MS / 2000) };
    const twice = server(new Array(9).fill({ status: 429, headers: half }));
    expect((await thrown(twice.open().json('config.json'))).message).toContain('3 attempts in 30 s');
  });
});

describe('is not asked again', () => {
  test.each([400, 401, 403, 404, 410, 451, 501])('status %i', async status => {
    const { open, requests, pauses } = server([{ status }]);
    expect(await thrown(open().json('config.json'))).toMatchObject({
      name: 'SourceError',
      status: status === 410 ? 404 : status,
    });
    expect([requests.length, pauses]).toEqual([1, []]);
  });

  test('where the device says that it has no connection', async () => {
    vi.stubGlobal('navigator', { onLine: false });
    const { open, requests } = server([{ drop: true }]);
    expect((await thrown(open().json('config.json'))).message).toContain('cannot be reached');
    vi.unstubAllGlobals();
    expect(requests).toHaveLength(1);
  });

  test('a file of an extension that is not there, for which fetch rejects as for a server that is not', async () => {
    const { open, requests } = server([{ drop: true }, { drop: true }]);
    const source = open({}, {}, 'chrome-extension://abc/model/');
    expect(await source.json('modules.json', { optional: true })).toBeUndefined();
    expect(await thrown(source.json('config.json'))).toMatchObject({ name: 'SourceError', status: 404 });
    expect(requests).toHaveLength(2);
  });

  test('a local server that cannot be reached, before the hub', async () => {
    const { open, requests, pauses } = server([{ drop: true }]);
    expect(await open({}, { allowLocalModels: true, localModelPath: `${HOST}local` }).json('config.json')).toEqual({
      a: 1,
    });
    expect(requests).toEqual(['GET local/org/name/config.json', 'GET org/name/resolve/main/config.json']);
    expect(pauses).toEqual([]);
  });

  test.each([{ drop: true }, { status: 503 }])('what is remembered as absent: %o', async step => {
    const { cache } = fakeCache();
    await cache.put(`${HOST}org/name/resolve/main/modules.json`, new Response(null, { status: 404 }));
    const { open, requests, pauses } = server([step]);
    const source = open({}, { useCustomCache: true, customCache: cache });
    expect(await source.json('modules.json', { optional: true })).toBeUndefined();
    expect([requests.length, pauses]).toEqual([1, []]);
  });

  test.each([{ drop: true }, { status: 503 }, { status: 429 }])('whether a kept copy is outdated: %o', async step => {
    const { cache } = fakeCache();
    const headers = { etag: '"1"', 'content-length': '7' };
    await cache.put(`${HOST}plain/config.json`, new Response('{"a":2}', { headers }));
    const { open, requests, pauses } = server([step]);
    const source = open({}, { useCustomCache: true, customCache: cache }, `${HOST}plain/`);
    expect(await source.json('config.json')).toEqual({ a: 2 });
    expect([requests, pauses]).toEqual([['HEAD plain/config.json'], []]);
  });
});

describe('an abort during the pause', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  test('rejects at once with the reason, and leaves no timer and no listener', async () => {
    const stop = new AbortController();
    const removed = vi.spyOn(stop.signal, 'removeEventListener');
    const added = vi.spyOn(stop.signal, 'addEventListener');
    const fetch = async () => new Response(null, { status: 503 });
    const promise = thrown(
      openSource('org/name', { signal: stop.signal }, environment(HOST, { fetch })).json('config.json'),
    );
    await vi.advanceTimersByTimeAsync(0);
    expect(vi.getTimerCount()).toBe(1);
    stop.abort(reason);
    expect(await promise).toBe(reason);
    expect(vi.getTimerCount()).toBe(0);
    expect(removed.mock.calls.length).toBe(added.mock.calls.length);
  });

  test('so does the failure of another file of the same load', async () => {
    const kept = { ...env };
    const requests: string[] = [];
    Object.assign(env, {
      allowLocalModels: false,
      remoteHost: HOST,
      fetch: async (url: string) => {
        requests.push(url);
        return new Response(null, { status: url.endsWith('tokenizer.json') ? 503 : 401 });
      },
    });
    const promise = thrown(AutoTokenizer.from_pretrained('org/name'));
    await vi.advanceTimersByTimeAsync(0);
    expect(await promise).toMatchObject({ name: 'SourceError', status: 401 });
    await vi.advanceTimersByTimeAsync(60_000);
    Object.assign(env, kept);
    expect(vi.getTimerCount()).toBe(0);
    expect(requests.length).toBeLessThanOrEqual(2);
  });

  test('a pause that ends listens no longer', async () => {
    const stop = new AbortController();
    const removed = vi.spyOn(stop.signal, 'removeEventListener');
    const pause = realClock.sleep(10, stop.signal);
    await vi.advanceTimersByTimeAsync(10);
    await pause;
    expect(removed).toHaveBeenCalledOnce();
    expect(await thrown(realClock.sleep(10, AbortSignal.abort(reason)))).toBe(reason);
    expect(vi.getTimerCount()).toBe(0);
  });
});

test('progress tells of the one file, however often it was asked for', async () => {
  const { events, progress_callback } = recorder();
  await server([{ status: 503 }, { drop: true }])
    .open({ progress_callback })
    .json('config.json');
  expect(events.map(({ status }: ProgressInfo) => status)).toEqual([
    'initiate',
    'download',
    'progress_total',
    'progress',
    'done',
  ]);
});

describe('the caller’s signal', () => {
  /** Listeners that are added and not removed. */
  function counted(signal: AbortSignal): () => number {
    const listeners = new Set<unknown>();
    const { addEventListener, removeEventListener } = signal;
    signal.addEventListener = (...given: Parameters<typeof addEventListener>) => {
      listeners.add(given[1]);
      addEventListener.apply(signal, given);
    };
    signal.removeEventListener = (...given: Parameters<typeof removeEventListener>) => {
      listeners.delete(given[1]);
      removeEventListener.apply(signal, given);
    };
    return () => listeners.size;
  }

  test('is listened to no longer when a file is done, absent, cancelled or has failed', async () => {
    const stop = new AbortController();
    const count = counted(stop.signal);
    const any = vi.spyOn(AbortSignal, 'any');
    const { open } = server([]);
    const source = open({ signal: stop.signal });
    for (let i = 0; i < 50; i++) {
      await bytesOf(await source.open(`model-${i}.safetensors`));
      await source.json(`${i}.json`);
      await (await source.open(`model-${i}.safetensors`))!.cancel();
    }
    const gone = server([{ status: 404 }, { status: 401 }, { status: 403 }]).open({ signal: stop.signal });
    expect(await gone.open('modules.json', { optional: true })).toBeUndefined();
    await thrown(gone.open('a.json'));
    await thrown(gone.json('b.json'));
    await thrown(source.open('../a'));
    expect(count()).toBe(0);
    const waiting = await source.open('model.safetensors');
    expect(count()).toBe(1);
    stop.abort(reason);
    expect(await thrown(bytesOf(waiting))).toBe(reason);
    expect(count()).toBe(0);
    expect(any).not.toHaveBeenCalled();
  });
});
