import { SourceError } from '../errors.ts';
import { piecesOf } from './byte-reader.ts';

/** What all requests for one file share. */
export interface Connection {
  url: string;
  file: string;
  fetch: (input: string, init?: RequestInit) => Promise<Response>;
  signal: AbortSignal;
}

const RETRIES = 3;
const FIRST_PAUSE_MS = 250;

/** The size of a body; undefined where the server does not say, or says that of the compressed bytes. */
export function sizeOf({ headers }: Response): number | undefined {
  const length = headers.get('content-length') ?? '';
  const isPlain = (headers.get('content-encoding') ?? 'identity') === 'identity';
  return isPlain && /^\d+$/.test(length) ? Number(length) : undefined;
}

/** What changes when the file does. A page may not see the ETag of another origin, but always Last-Modified. */
export function validatorOf({ headers }: Response): string | undefined {
  return headers.get('etag') ?? headers.get('last-modified') ?? undefined;
}

/** @throws SourceError where the server cannot be reached */
export async function request({ url, file, fetch, signal }: Connection, headers: HeadersInit = {}): Promise<Response> {
  try {
    return await fetch(url, { signal, headers });
  } catch (cause) {
    signal.throwIfAborted();
    throw new SourceError({
      file,
      url,
      what: `${file} could not be loaded: ${url} cannot be reached`,
      actual: cause instanceof Error ? cause.message : String(cause),
      next: 'Check the connection, the address, and that the server allows this page (CORS).',
      cause,
    });
  }
}

/**
 * The body of `response` from its first byte to its last, in pieces as `piecesOf` gives them. Where it breaks off, the rest is asked for again, up to three
 * times, and taken only if the server proves by ETag or Last-Modified that the file is still the same.
 *
 * The requests carry no If-Range, which would cost a preflight at another origin: the answer's own ETag is compared.
 * @param discard given where `response` is a kept copy, which is removed when it turns out to be damaged
 * @throws SourceError where the file cannot be had whole
 */
export async function* download(
  response: Response,
  connection: Connection,
  discard?: () => Promise<void>,
): AsyncGenerator<Uint8Array> {
  const { url, file, signal } = connection;
  const size = sizeOf(response);
  const validator = validatorOf(response);
  let answer = response;
  let loaded = 0;
  for (let retry = 0; ; retry++) {
    /** Why it is of no use to try again. */
    let end: string | undefined;
    let failure: unknown;
    try {
      if (retry > 0) answer = await request(connection, loaded > 0 ? { range: `bytes=${loaded}-` } : {});
      const { body, ok, status, headers } = answer;
      const [, start = loaded] = /^bytes (\d+)-/.exec(headers.get('content-range') ?? '') ?? [];
      // A server that knows no ranges sends all of it again.
      let known = status === 206 ? loaded - Number(start) : loaded;
      if (ok && validator !== undefined && validatorOf(answer) !== validator) {
        end = 'the file changed on the server meanwhile';
      } else if (!ok || known < 0) failure = new Error(`The server answered with status ${status}.`);
      else {
        for await (const piece of body ? piecesOf(body, signal) : []) {
          const fresh = piece.subarray(known);
          known -= piece.length - fresh.length;
          loaded += fresh.length;
          if (discard && loaded > (size ?? loaded)) {
            end = 'its copy in the cache was damaged and is removed';
            break;
          }
          if (fresh.length > 0) yield fresh;
        }
      }
    } catch (error) {
      signal.throwIfAborted();
      failure = error;
    }
    if (!end && !failure && loaded >= (size ?? 0)) return;
    // Of an answer that has not been read; otherwise it is over.
    await answer.body?.cancel().catch(() => undefined);
    if (retry === 0) await discard?.();
    if (retry === RETRIES) end ??= 'the connection broke';
    if (loaded > 0 && validator === undefined) end ??= 'the connection broke, and the server gives no ETag to go on by';
    if (end) {
      throw new SourceError({
        file,
        url,
        what: `${file} could not be loaded whole from ${url}, ${end}`,
        actual: `${loaded} bytes`,
        expected: `${size ?? 'more'}`,
        next: 'Load the model again.',
        cause: failure,
      });
    }
    if (!discard || retry > 0) await pause(FIRST_PAUSE_MS * 2 ** retry, signal);
  }
}

/** Rejects with the signal's reason. */
async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await new Promise(resolve => {
    setTimeout(resolve, ms);
    signal.addEventListener('abort', resolve, { once: true });
  });
  signal.throwIfAborted();
}
