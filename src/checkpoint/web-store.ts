import { SourceError } from '../errors.ts';
import { openCache } from './cache.ts';
import { type Connection, download, request, sizeOf, validatorOf } from './download.ts';
import type { Environment } from './environment.ts';
import type { FileStore } from './store.ts';

/** What a status means here, and what to do about it. */
const PRIVATE = 'Check its id; for a private or gated model let env.fetch send an Authorization header.';
const LATER = 'Try again later.';
const MEANING: Record<number, readonly [meaning: string, next: string]> = {
  401: ['there is no such model, or it is private or gated', PRIVATE],
  403: ['access is forbidden', PRIVATE],
  429: ['too many requests', LATER],
};

const ABSENT = [403, 404, 410];

/**
 * Files under a base URL, kept in the cache by their URLs.
 * @param fixed a kept copy is used without asking the server, as for a revision of the hub; else its ETag is compared
 */
export function webStore(base: string, fixed: boolean, env: Environment): FileStore {
  const where = (file: string) => base + encodeURI(file);
  return {
    where,
    async open(file, signal) {
      const url = where(file);
      const connection: Connection = { url, file, fetch: env.fetch, signal };
      const cache = await openCache(env);
      const discard = async () => {
        await cache?.delete?.(url).catch(() => false);
      };
      const absent = async () => {
        await cache?.put(url, new Response(null, { status: 404 })).catch(() => undefined);
      };
      const found = await cache?.match(url).catch(() => undefined);
      const current = found?.ok && !signal.aborted && (fixed || !(await isOutdated(found, connection)));
      if (!current || signal.aborted) await found?.body?.cancel().catch(() => undefined);
      signal.throwIfAborted();
      if (current) {
        return { size: sizeOf(found), bytes: download(found, connection, discard), where: url, discard };
      }
      let response: Response;
      try {
        response = await request(connection);
      } catch (error) {
        // What is remembered as absent is asked for again each time, so that a file may still be added.
        if (found?.status === 404 && !signal.aborted) return undefined;
        throw error;
      }
      if (!response.ok) {
        await response.body?.cancel();
        // An object store without the right to list says 403 for what does not exist.
        if (!ABSENT.includes(response.status) || (response.status === 403 && fixed)) throw refused(file, url, response);
        await absent();
        return undefined;
      }
      if (found !== undefined) await discard();
      const headers = new Headers();
      for (const name of ['content-type', 'etag', 'last-modified']) {
        const value = response.headers.get(name);
        if (value !== null) headers.set(name, value);
      }
      return {
        size: sizeOf(response),
        bytes: download(response, connection),
        where: url,
        absent,
        lends: cache !== env.customCache,
        keep:
          cache &&
          (async (body, size) => {
            if (size !== undefined) headers.set('content-length', String(size));
            await cache.put(url, new Response(body, { headers }));
          }),
      };
    },
  };
}

/** Whether the server has another version, or none, of what is in the cache. Without a connection, or after an abort: no. */
async function isOutdated(cached: Response, { url, fetch, signal }: Connection): Promise<boolean> {
  const response = await fetch(url, { method: 'HEAD', signal }).catch(() => undefined);
  if (response === undefined) return false;
  if (!response.ok) return response.status === 404 || response.status === 410;
  const [now, then] = [validatorOf(response), validatorOf(cached)];
  return now !== undefined && then !== undefined && now !== then;
}

function refused(file: string, url: string, response: Response): SourceError {
  const { status, statusText, headers } = response;
  const [meaning, next] =
    MEANING[status] ??
    (status >= 500 ? ['the server failed', LATER] : [statusText, 'Check the id, its revision and env.remoteHost.']);
  const detail = headers.get('x-error-message') ?? headers.get('x-error-code');
  return new SourceError({
    file,
    url,
    status,
    what: `${file} could not be loaded from ${url}`,
    actual: `status ${status}, ${meaning}${detail ? ` (${detail})` : ''}`,
    next,
  });
}
