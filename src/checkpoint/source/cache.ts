import { InputError } from '../../errors.ts';
import { globalOf } from '../../runtime/index.ts';
import { release } from './bytes.ts';
import type { Environment, ModelCache } from './environment.ts';

/** Undefined where there is no cache, or none may be used (a page without a secure context, private browsing, a sandbox). */
export async function openCache(env: Environment): Promise<ModelCache | undefined> {
  if (env.useCustomCache) {
    const cache = env.customCache;
    if (typeof cache?.match === 'function' && typeof cache.put === 'function') return cache;
    throw new InputError({
      what: 'env.useCustomCache is true, but env.customCache is no cache',
      expected: 'an object with match(url) and put(url, response)',
    });
  }
  if (!env.useBrowserCache) return undefined;
  return globalOf('caches')
    ?.open(env.cacheKey)
    .catch(() => undefined);
}

/**
 * Hands `bytes` on and gives a copy to `keep` at the same time, at the pace of the slower of the two, so that the file
 * never stands in memory (ReadableStream.tee would buffer what the slower branch has not read). The copy is complete
 * only when `bytes` ended well; otherwise its stream ends in an error and the cache keeps nothing. A cache that fails
 * (its quota is used up) does not fail the load.
 * @param failed is told the error of a `keep` that fails while the bytes come
 * @param lends `keep` is done with a piece when it asks for the next, as the browser's own cache is: then the memory of
 *   the copy is given back at once. If it were not done, the entry would be too short, which is seen when it is read.
 */
export async function* kept(
  bytes: AsyncGenerator<Uint8Array>,
  keep: (body: ReadableStream<Uint8Array>) => Promise<void>,
  lends = false,
  failed?: (error: unknown) => void,
): AsyncGenerator<Uint8Array> {
  let sink!: TransformStreamDefaultController<Uint8Array>;
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>({
    start(controller) {
      sink = controller;
    },
  });
  const writer = writable.getWriter();
  // After its end the stream takes no error. Before it, it failed or never read the body; either way nobody takes the pieces.
  const stop = (why: string) => sink.error(new Error(why));
  let hasEnded = false;
  const keeping = keep(readable)
    .catch(error => {
      if (!hasEnded) failed?.(error);
    })
    .then(() => stop('The copy was not read to its end.'));
  let isTaken = true;
  let copy = new Uint8Array();
  try {
    for await (const piece of bytes) {
      if (isTaken) {
        const next = piece.slice();
        // Done when `keep` has asked for it.
        await writer.write(next).catch(() => {
          isTaken = false;
        });
        if (lends) release(copy);
        copy = next;
      }
      yield piece;
    }
    await writer.close().catch(() => undefined);
    await keeping;
  } finally {
    hasEnded = true;
    stop('The download ended early.');
  }
}
