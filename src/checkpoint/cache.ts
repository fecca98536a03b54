import { InputError } from '../errors.ts';
import { release } from './byte-reader.ts';
import type { Environment, ModelCache } from './environment.ts';

/** Undefined where there is no cache, or none may be used (a page without a secure context, private browsing). */
export async function openCache(env: Environment): Promise<ModelCache | undefined> {
  if (env.useCustomCache) {
    const cache = env.customCache;
    if (typeof cache?.match === 'function' && typeof cache.put === 'function') return cache;
    throw new InputError({
      what: 'env.useCustomCache is true, but env.customCache is no cache',
      expected: 'an object with match(url) and put(url, response)',
    });
  }
  if (!env.useBrowserCache || !('caches' in globalThis)) return undefined;
  return caches.open(env.cacheKey).catch(() => undefined);
}

/**
 * Hands `bytes` on and gives a copy to `keep` at the same time, at the pace of the slower of the two, so that the file
 * never stands in memory (ReadableStream.tee would buffer what the slower branch has not read). The copy is complete
 * only when `bytes` ended well; otherwise its stream ends in an error and the cache keeps nothing. A cache that fails
 * (its quota is used up) does not fail the load.
 * @param lends `keep` is done with a piece when it asks for the next, as the browser's own cache is: then the memory of
 *   the copy is given back at once. If it were not done, the entry would be too short, which is seen when it is read.
 */
export async function* kept(
  bytes: AsyncGenerator<Uint8Array>,
  keep: (body: ReadableStream<Uint8Array>) => Promise<void>,
  lends = false,
): AsyncGenerator<Uint8Array> {
  let sink: ReadableStreamDefaultController<Uint8Array> | undefined;
  let complete = false;
  /** Called when what was asked for has come; undefined while nothing is asked for. */
  let supplied: (() => void) | undefined;
  let copy = new Uint8Array();
  let wake: () => void = () => undefined;
  const abandon = () => {
    sink = undefined;
    wake();
  };
  const body = new ReadableStream<Uint8Array>(
    {
      start(controller) {
        sink = controller;
      },
      pull() {
        if (lends) release(copy);
        return new Promise<void>(resolve => {
          supplied = resolve;
          wake();
        });
      },
      cancel: abandon,
    },
    { highWaterMark: 0 },
  );
  const keeping = keep(body)
    .catch(() => undefined)
    .then(() => {
      // Settled before the end: it failed, or never read the body; either way nobody takes the pieces.
      if (!complete) sink?.error(new Error('The copy was not read to its end.'));
      abandon();
    });
  try {
    for await (const piece of bytes) {
      while (sink !== undefined && supplied === undefined) {
        await new Promise<void>(resolve => {
          wake = resolve;
        });
      }
      if (sink !== undefined) {
        copy = piece.slice();
        sink.enqueue(copy);
      }
      supplied?.();
      supplied = undefined;
      yield piece;
    }
    complete = true;
    sink?.close();
    await keeping;
  } finally {
    if (!complete) sink?.error(new Error('The download ended early.'));
  }
}
