import { SourceError } from '../../errors.ts';
import { type Clock, isPassing, MAX_ATTEMPTS, mayReconnect, Patience } from './retry.ts';

/** What all requests for one file share. */
export interface Connection {
  url: string;
  file: string;
  fetch: (input: string, init?: RequestInit) => Promise<Response>;
  signal: AbortSignal;
  clock: Clock;
}

/** The size of a body; undefined where the server does not say, or gives the size of the compressed bytes. */
export function sizeOf({ headers }: Response): number | undefined {
  const length = headers.get('content-length') ?? '';
  const isPlain = (headers.get('content-encoding') ?? 'identity') === 'identity';
  return isPlain && /^\d+$/.test(length) ? Number(length) : undefined;
}

/** A header that changes when the file does. A page may not read the ETag of another origin, but always Last-Modified. */
export function validatorOf({ headers }: Response): string | undefined {
  return headers.get('etag') ?? headers.get('last-modified') ?? undefined;
}

/**
 * Asks once. Rejects as `fetch` does, or with the signal's reason. Schemes without statuses, such as chrome-extension:, make `fetch`
 * reject for a file that is not there, which is answered like HTTP's 404: many files of a model are looked for that it may lack.
 */
export async function ask({ url, fetch, signal }: Connection, init: RequestInit): Promise<Response> {
  const response = await fetch(url, { ...init, signal }).catch(error => {
    signal.throwIfAborted();
    if (/^https?:/i.test(url)) throw error;
    return new Response(undefined, { status: 404 });
  });
  // A fetch function of the caller's may ignore the signal.
  if (signal.aborted) await response.body?.cancel().catch(() => undefined);
  signal.throwIfAborted();
  return response;
}

/** When a request is repeated: never; after an answer that tells of a passing trouble; or also where the server cannot be reached. */
export type Retries = 'none' | 'answers' | 'all';

export type RequestOptions = RequestInit & { retries: Retries };

export interface Answer {
  response: Response;
  /** The attempts and the waiting, in words; empty where the first request was answered. */
  effort: string;
}

/**
 * Asks, and asks again after a pause where the connection drops or the server answers with a passing trouble (see retry.ts). Resolves
 * to the last answer, also where that trouble stays.
 * @throws SourceError where the server cannot be reached
 */
export async function request(connection: Connection, { retries, ...init }: RequestOptions): Promise<Answer> {
  const { signal, clock } = connection;
  const patience = new Patience(clock, retries === 'none' ? 1 : MAX_ATTEMPTS);
  for (;;) {
    let response: Response | undefined;
    let cause: unknown;
    try {
      response = await ask(connection, init);
    } catch (error) {
      signal.throwIfAborted();
      cause = error;
    }
    const mayImprove = response ? isPassing(response) : retries === 'all' && mayReconnect();
    if (mayImprove) {
      // The headers of such an answer are all that is read of it.
      await response?.body?.cancel().catch(() => undefined);
      if (await patience.pause(signal, response)) continue;
    }
    const effort = String(patience);
    if (response) return { response, effort };
    throw unreachable(connection, effort, cause);
  }
}

function unreachable({ file, url }: Connection, effort: string, cause: unknown): SourceError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new SourceError({
    file,
    url,
    what: `${file} could not be loaded: ${url} cannot be reached`,
    actual: effort ? `${why} (${effort})` : why,
    next: 'Check the connection, the address, and that the server allows this page (CORS).',
    cause,
  });
}
