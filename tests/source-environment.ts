import { expect } from 'vitest';
import { type Environment, LogLevel, type ModelCache } from '../src/checkpoint/source/environment.ts';
import type { ModelFile, ProgressInfo } from '../src/checkpoint/source/types.ts';

/** An environment that reaches `remoteHost` and nothing else. */
export function environment(remoteHost: string, more: Partial<Environment> = {}): Environment {
  return {
    version: 'test',
    logLevel: LogLevel.WARNING,
    allowLocalModels: false,
    localModelPath: '/models/',
    allowRemoteModels: true,
    remoteHost,
    remotePathTemplate: '{model}/resolve/{revision}/',
    useBrowserCache: false,
    cacheKey: 'test',
    useCustomCache: false,
    customCache: null,
    fetch: (input, init) => fetch(input, init),
    ...more,
  };
}

export async function bytesOf(file: ModelFile | undefined): Promise<Uint8Array> {
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  // A piece is valid until the next is asked for.
  for await (const piece of file!.bytes) pieces.push(new Uint8Array(piece));
  return new Uint8Array(await new Blob(pieces).arrayBuffer());
}

/** What a promise rejects with. */
export async function thrown(promise: Promise<unknown>): Promise<Error & Record<string, unknown>> {
  return promise.then(
    () => Promise.reject(new Error('It did not fail.')),
    (error: Error & Record<string, unknown>) => error,
  );
}

export function recorder() {
  const events: ProgressInfo[] = [];
  return { events, progress_callback: (info: ProgressInfo) => void events.push(info) };
}

/** The Cache API's behaviour: a put reads the body to its end, and keeps nothing where that fails. */
export function fakeCache(quota = Number.POSITIVE_INFINITY) {
  const entries = new Map<string, { status: number; headers: [string, string][]; body: Uint8Array<ArrayBuffer> }>();
  const cache: Required<ModelCache> = {
    async match(url) {
      const entry = entries.get(url);
      return entry && new Response(new Blob([entry.body]).stream(), { status: entry.status, headers: entry.headers });
    },
    async put(url, response) {
      const reader = (response.body ?? new Blob([]).stream()).getReader();
      const pieces: Uint8Array<ArrayBuffer>[] = [];
      for (let length = 0; ; ) {
        const { done, value } = await reader.read();
        if (done) break;
        length += value.length;
        if (length > quota) throw new DOMException('The quota has been exceeded.', 'QuotaExceededError');
        pieces.push(new Uint8Array(value));
      }
      entries.set(url, {
        status: response.status,
        headers: [...response.headers],
        body: new Uint8Array(await new Blob(pieces).arrayBuffer()),
      });
    },
    delete: async url => entries.delete(url),
    keys: async () => [...entries.keys()],
  };
  return { entries, cache };
}

/** As toEqual, which takes a second for a megabyte. */
export function expectBytes(actual: Uint8Array, expected: Uint8Array | string | undefined): void {
  expect(Buffer.compare(actual, expected as Uint8Array), `${actual.length} bytes`).toBe(0);
}
