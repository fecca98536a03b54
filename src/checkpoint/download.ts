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
  const encoding = headers.get('content-encoding');
  const length = headers.get('content-length');
  if (length === null || (encoding !== null && encoding !== 'identity')) return undefined;
  return /^\d+$/.test(length) ? Number(length) : undefined;
}

/** What changes when the file does. A page may not see the ETag of another origin, but always Last-Modified. */
export function validatorOf({ headers }: Response): string | undefined {
  return headers.get('etag') ?? headers.get('last-modified') ?? undefined;
}

/** @throws SourceError where the server cannot be reached */
export async function request({ url, file, fetch, signal }: Connection, headers?: HeadersInit): Promise<Response> {
  try {
    return await fetch(url, { signal, ...(headers && { headers }) });
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
  const { signal } = connection;
  const size = sizeOf(response);
  const validator = validatorOf(response);
  const broken = (why: string, loaded: number, cause?: unknown) =>
    new SourceError({
      file: connection.file,
      url: connection.url,
      what: `${connection.file} could not be loaded whole from ${connection.url}, ${why}`,
      actual: `${loaded} bytes`,
      expected: size === undefined ? 'more' : `${size}`,
      next: 'Load the model again.',
      cause,
    });

  let loaded = 0;
  let rest: Rest = { body: response.body, skip: 0 };
  for (let retry = 0; ; retry++) {
    let failure = rest.failure;
    if (rest.body !== null) {
      const pieces = piecesOf(rest.body, signal);
      try {
        for (;;) {
          const next = await pieces.next().catch((error: unknown) => {
            signal.throwIfAborted();
            failure = error;
          });
          if (!next || next.done) break;
          const piece = next.value.subarray(rest.skip);
          rest.skip -= next.value.length - piece.length;
          loaded += piece.length;
          if (discard && size !== undefined && loaded > size) {
            await discard();
            throw broken('its copy in the cache was damaged and is removed', loaded);
          }
          if (piece.length > 0) yield piece;
        }
      } finally {
        await pieces.return(undefined);
      }
    }
    if (failure === undefined && (size === undefined || loaded >= size)) return;
    if (retry === 0) await discard?.();
    if (retry === RETRIES) throw broken('the connection broke', loaded, failure);
    if (loaded > 0 && validator === undefined) {
      throw broken('the connection broke, and the server gives no ETag to go on by', loaded, failure);
    }
    await pause(discard && retry === 0 ? 0 : FIRST_PAUSE_MS * 2 ** retry, signal);
    const answer = await continued(connection, loaded, validator);
    if (answer === 'changed') throw broken('the file changed on the server meanwhile', loaded);
    rest = answer;
  }
}

/** The rest of a file, after `skip` bytes of `body` that are known already. */
interface Rest {
  body: ReadableStream<Uint8Array> | null;
  skip: number;
  failure?: unknown;
}

async function continued(
  connection: Connection,
  loaded: number,
  validator: string | undefined,
): Promise<Rest | 'changed'> {
  let response: Response;
  try {
    response = await request(connection, loaded > 0 ? { range: `bytes=${loaded}-` } : undefined);
  } catch (failure) {
    connection.signal.throwIfAborted();
    return { body: null, skip: 0, failure };
  }
  const { body, ok, status, headers } = response;
  const start = /^bytes (\d+)-/.exec(headers.get('content-range') ?? '')?.[1];
  const changed = ok && validator !== undefined && validatorOf(response) !== validator;
  if (ok && !changed && (status !== 206 || start === undefined || Number(start) === loaded)) {
    // A server that knows no ranges sends all of it again.
    return { body, skip: status === 206 ? 0 : loaded };
  }
  await body?.cancel();
  return changed
    ? 'changed'
    : { body: null, skip: 0, failure: new Error(`The server answered with status ${status}.`) };
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      if (signal.aborted) reject(signal.reason as Error);
      else resolve();
    };
    const timer = setTimeout(end, signal.aborted ? 0 : ms);
    signal.addEventListener('abort', end);
  });
}
