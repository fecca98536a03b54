import { SourceError } from '../../errors.ts';
import { piecesOf } from './bytes.ts';
import { type Clock, isPassing, MOST_ATTEMPTS, mayReconnect, Patience } from './retry.ts';

/** What all requests for one file share. */
export interface Connection {
  url: string;
  file: string;
  fetch: (input: string, init?: RequestInit) => Promise<Response>;
  signal: AbortSignal;
  clock: Clock;
}

const RETRIES = 3;

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

/** An answer, and how often it was asked for, in words; these are empty where it came at once. */
export interface Answer {
  response: Response;
  effort: string;
}

/** Asks once. Rejects as `fetch` does, or with the signal's reason. */
async function ask({ url, fetch, signal }: Connection, init: RequestInit): Promise<Response> {
  const response = await fetch(url, { ...init, signal });
  // A fetch of the caller's may know no signal.
  if (signal.aborted) await response.body?.cancel().catch(() => undefined);
  signal.throwIfAborted();
  return response;
}

/** After what it is asked again: nothing; a passing trouble that the server tells of; or that it cannot be reached, too. */
export type Retries = 'none' | 'answers' | 'all';

/**
 * Asks again, after a pause, where the connection drops or the answer is a passing trouble of the server's (see retry.ts). Where
 * that stays, the answer is the last one.
 * @throws SourceError where the server cannot be reached
 */
export async function request(
  connection: Connection,
  { retries, ...init }: RequestInit & { retries: Retries },
): Promise<Answer> {
  const { url, file, signal, clock } = connection;
  const patience = new Patience(clock, retries === 'none' ? 1 : MOST_ATTEMPTS);
  for (;;) {
    let response: Response | undefined;
    let cause: unknown;
    try {
      response = await ask(connection, init);
    } catch (error) {
      signal.throwIfAborted();
      cause = error;
    }
    if (response ? isPassing(response) : retries === 'all' && mayReconnect()) {
      // Its headers have said all.
      await response?.body?.cancel().catch(() => undefined);
      if (await patience.pause(signal, response)) continue;
    }
    const effort = String(patience);
    if (response) return { response, effort };
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new SourceError({
      file,
      url,
      what: `${file} could not be loaded: ${url} cannot be reached`,
      actual: effort ? `${why} (${effort})` : why,
      next: 'Check the connection, the address, and that the server allows this page (CORS).',
      cause,
    });
  }
}

/**
 * The body of `response` from its first byte to its last, in pieces as `piecesOf` gives them. Where it breaks off, the rest is
 * asked for again, up to three times, and taken only if the server proves by ETag or Last-Modified that the file is still the same.
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
  const { url, file, signal, clock } = connection;
  const patience = new Patience(clock, RETRIES + 1);
  const size = sizeOf(response);
  const validator = validatorOf(response);
  let answer = response;
  let loaded = 0;
  for (let retry = 0; ; retry++) {
    /** Why it is of no use to try again. */
    let end: string | undefined;
    let failure: unknown;
    try {
      if (retry > 0) answer = await ask(connection, loaded > 0 ? { headers: { range: `bytes=${loaded}-` } } : {});
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
    if (loaded > 0 && validator === undefined) end ??= 'the connection broke, and the server gives no ETag to go on by';
    // After a damaged copy the server is asked at once.
    const isAtOnce = discard !== undefined && retry === 0;
    if (!end && (retry === RETRIES || !(isAtOnce || (await patience.pause(signal, answer)))))
      end = 'the connection broke';
    if (end) {
      const effort = String(patience);
      throw new SourceError({
        file,
        url,
        what: `${file} could not be loaded whole from ${url}, ${end}`,
        actual: `${loaded} bytes${effort && ` (${effort})`}`,
        expected: `${size ?? 'more'}`,
        next: 'Load the model again.',
        cause: failure,
      });
    }
  }
}
