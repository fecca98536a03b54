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

interface CopyOptions {
  /** Writes the copy to the cache. */
  keep: (body: ReadableStream<Uint8Array>) => Promise<void>;
  /**
   * The cache has copied a piece by the time it pulls the next one (the browser's own cache does so), so its buffer may be detached.
   * If the cache had not, its entry would be too short, which is noticed when it is read.
   */
  mayDetach?: boolean | undefined;
  /** Called with the error of a `keep` that fails before the bytes have ended. */
  onFailure?: (error: unknown) => void;
}

/**
 * Passes `bytes` on and streams a copy of them to the cache, at the pace of the slower reader, so that the file never stands in memory
 * (ReadableStream.tee would buffer what the slower branch has not read). The stream of the copy ends well only where `bytes` do;
 * otherwise it ends in an error, and the cache keeps nothing. A cache that fails (its quota is used up) does not fail the load.
 */
export async function* copiedToCache(
  bytes: AsyncGenerator<Uint8Array>,
  { keep, mayDetach = false, onFailure }: CopyOptions,
): AsyncGenerator<Uint8Array> {
  let controller!: TransformStreamDefaultController<Uint8Array>;
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>({
    start(its) {
      controller = its;
    },
  });
  const writer = writable.getWriter();
  // Lets pending and later writes fail. After the end of the stream this does nothing.
  const stop = (why: string) => controller.error(new Error(why));
  let hasEnded = false;
  const keeping = keep(readable)
    .catch(error => {
      if (!hasEnded) onFailure?.(error);
    })
    // Whether it failed or never read the body: nobody takes further pieces.
    .then(() => stop('The copy was not read to its end.'));
  let isTaken = true;
  let copy = new Uint8Array();
  try {
    for await (const piece of bytes) {
      if (isTaken) {
        const next = piece.slice();
        // Resolves when the cache has pulled it.
        await writer.write(next).catch(() => {
          isTaken = false;
        });
        if (mayDetach) release(copy);
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
