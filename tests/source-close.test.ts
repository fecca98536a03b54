import { type FileHandle, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { openSource } from '../src/checkpoint/source/source.ts';
import type { ProgressInfo } from '../src/checkpoint/source/types.ts';
import { noise } from './checkpoint-bytes.ts';
import { bytesOf, environment, fakeCache, thrown } from './source-environment.ts';

const FILE = 'model.safetensors';
const JSON_FILE = 'config.json';
const reason = new Error('enough');
const config = JSON.stringify({ a: 'x'.repeat(3_000_000) });

/** Throws at the first event of a kind. */
const failing = (status: ProgressInfo['status']) => ({
  progress_callback: (info: ProgressInfo) => {
    if (info.status === status) throw reason;
  },
});
const aborted = () => {
  const stop = new AbortController();
  return { signal: stop.signal, abort: () => stop.abort(reason) };
};
const soon = () => new Promise(resolve => setTimeout(resolve, 20));

describe('a directory', () => {
  const fs = process.getBuiltinModule('node:fs').promises;
  const handles: FileHandle[] = [];
  let directory: string;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'models-'));
    await writeFile(join(directory, FILE), noise(3_000_000, 1));
    await writeFile(join(directory, JSON_FILE), config);
  });
  afterAll(() => rm(directory, { recursive: true }));
  beforeEach(() => {
    handles.length = 0;
    const { open } = fs;
    vi.spyOn(fs, 'open').mockImplementation(async (...given) => {
      const handle = await open.apply(fs, given);
      handles.push(handle);
      return handle;
    });
  });
  // A closed handle has no descriptor.
  afterEach(async () => {
    vi.restoreAllMocks();
    const left = handles.filter(({ fd }) => fd !== -1);
    await Promise.all(left.map(handle => handle.close()));
    expect([handles.length, left.length]).toEqual([1, 0]);
  });
  const open = (options = {}) => openSource(directory, options, environment(''));

  test('a file that is cancelled before it is read', async () => {
    await (await open().open(FILE))!.cancel();
  });

  test('a file that is cancelled after its first piece', async () => {
    const file = (await open().open(FILE))!;
    await file.bytes.next();
    await file.cancel();
  });

  test('a file that is read whole', async () => {
    await bytesOf(await open().open(FILE));
  });

  test('an abort before it is read; what is read then is the reason', async () => {
    const { signal, abort } = aborted();
    const file = await open({ signal }).open(FILE);
    abort();
    await soon();
    expect(handles[0]!.fd).toBe(-1);
    expect(await thrown(bytesOf(file))).toBe(reason);
  });

  test('an abort between two pieces; the file does not seem to end there', async () => {
    const { signal, abort } = aborted();
    const file = (await open({ signal }).open(FILE))!;
    await file.bytes.next();
    abort();
    await soon();
    expect(handles[0]!.fd).toBe(-1);
    expect(await thrown(file.bytes.next())).toBe(reason);
  });

  test.each(['download', 'progress'] as const)('a progress_callback that throws at "%s"', async status => {
    expect(await thrown(open(failing(status)).json(JSON_FILE))).toBe(reason);
    expect(handles[0]!.fd).toBe(-1);
    handles.length = 0;
    expect(await thrown(bytesOf(await open(failing(status)).open(FILE)))).toBe(reason);
  });
});

describe('a server', () => {
  const server = () => {
    const cancel = vi.fn();
    const head = new TextEncoder().encode(config).subarray(0, 1000);
    const body = new ReadableStream({ start: controller => controller.enqueue(head), cancel });
    return { cancel, env: environment('http://host/', { fetch: async () => new Response(body) }) };
  };

  test('a body that is cancelled, or aborted, before it is read', async () => {
    const first = server();
    await (await openSource('org/name', {}, first.env).open(FILE))!.cancel();
    expect(first.cancel).toHaveBeenCalledOnce();
    const second = server();
    const { signal, abort } = aborted();
    await openSource('org/name', { signal }, second.env).open(FILE);
    abort();
    await soon();
    expect(second.cancel).toHaveBeenCalledOnce();
  });

  test.each(['download', 'progress'] as const)('a progress_callback that throws at "%s"', async status => {
    const { cancel, env } = server();
    expect(await thrown(openSource('org/name', failing(status), env).json(JSON_FILE))).toBe(reason);
    expect(cancel).toHaveBeenCalledOnce();
  });

  test('a kept copy that is outdated', async () => {
    const { cache } = fakeCache();
    const cancel = vi.fn();
    const old = new Response(new ReadableStream({ cancel }), { headers: { etag: '1' } });
    const fetch = async (_: string, init?: RequestInit) =>
      new Response(init?.method === 'HEAD' ? null : '{"a":1}', { headers: { etag: '2' } });
    const customCache = { ...cache, match: async () => old };
    const env = environment('', { useCustomCache: true, customCache, fetch });
    expect(await openSource('http://host/name/', {}, env).json(JSON_FILE)).toEqual({ a: 1 });
    expect(cancel).toHaveBeenCalledOnce();
  });
});
