import { SourceError } from '../../errors.ts';
import { piecesOf } from './bytes.ts';
import { ask, type Connection, sizeOf, validatorOf } from './request.ts';
import { Patience } from './retry.ts';

/** How often the rest of a body is asked for. */
const RETRIES = 3;

/** Why a download cannot go on; it ends the download. */
class Hopeless extends Error {}

export interface DownloadOptions {
  /** Set where the response is a cached copy: removes that copy, which is done when it turns out to be damaged. */
  discard?: (() => Promise<void>) | undefined;
}

/**
 * The body of `response` from its first byte to its last, in pieces as `piecesOf` gives them. Where it breaks off, the rest is asked
 * for again, up to three times, and is used only if the server proves by ETag or Last-Modified that the file is still the same. The
 * requests carry no If-Range, which would cost a preflight at another origin: the validator of the answer is compared instead.
 * @throws SourceError where the file cannot be had whole
 */
export const download = (
  response: Response,
  connection: Connection,
  options: DownloadOptions = {},
): AsyncGenerator<Uint8Array> => new Download(response, connection, options).pieces();

class Download {
  readonly #connection: Connection;
  readonly #discard: (() => Promise<void>) | undefined;
  readonly #patience: Patience;
  readonly #size: number | undefined;
  readonly #validator: string | undefined;
  /** The answer whose body is being read. */
  #answer: Response;
  /** Bytes that have been handed on. */
  #loaded = 0;

  constructor(response: Response, connection: Connection, { discard }: DownloadOptions) {
    this.#answer = response;
    this.#connection = connection;
    this.#discard = discard;
    this.#patience = new Patience(connection.clock, RETRIES + 1);
    this.#size = sizeOf(response);
    this.#validator = validatorOf(response);
  }

  async *pieces(): AsyncGenerator<Uint8Array> {
    for (let retry = 0; ; retry++) {
      let failure: unknown;
      try {
        if (retry > 0) await this.#continue();
        yield* this.#rest();
        if (this.#loaded >= (this.#size ?? 0)) return;
      } catch (error) {
        this.#connection.signal.throwIfAborted();
        failure = error;
      }
      // The body may not have been read, or not to its end.
      await this.#answer.body?.cancel().catch(() => undefined);
      if (retry === 0) await this.#discard?.();
      const hopeless = this.#hopeless(failure);
      if (hopeless !== undefined) throw this.#error(hopeless, failure);
      // A cached copy was damaged: the server is asked without a pause.
      if (retry === 0 && this.#discard) continue;
      const { signal } = this.#connection;
      const mayRetry = retry < RETRIES && (await this.#patience.pause(signal, this.#answer));
      if (!mayRetry) throw this.#error('the connection broke', failure);
    }
  }

  /** Asks the server for the part that has not arrived. */
  async #continue(): Promise<void> {
    const init = this.#loaded > 0 ? { headers: { range: `bytes=${this.#loaded}-` } } : {};
    this.#answer = await ask(this.#connection, init);
  }

  /** The pieces of the current answer, without those bytes that have been handed on before. */
  async *#rest(): AsyncGenerator<Uint8Array> {
    const { body, ok, status } = this.#answer;
    if (ok && this.#validator !== undefined && validatorOf(this.#answer) !== this.#validator) {
      throw new Hopeless('the file changed on the server meanwhile');
    }
    let repeated = this.#loaded - this.#start();
    if (!ok || repeated < 0) throw new Error(`The server answered with status ${status}.`);
    if (body === null) return;
    for await (const piece of piecesOf(body, this.#connection.signal)) {
      const fresh = piece.subarray(repeated);
      repeated -= piece.length - fresh.length;
      this.#loaded += fresh.length;
      if (this.#discard && this.#loaded > (this.#size ?? this.#loaded)) {
        throw new Hopeless('its copy in the cache was damaged and is removed');
      }
      if (fresh.length > 0) yield fresh;
    }
  }

  /** The place in the file where the current answer begins. A server that knows no ranges sends the file from its first byte. */
  #start(): number {
    if (this.#answer.status !== 206) return 0;
    const range = /^bytes (\d+)-/.exec(this.#answer.headers.get('content-range') ?? '');
    return range ? Number(range[1]) : this.#loaded;
  }

  /** Why asking again would be of no use; undefined where it may help. */
  #hopeless(failure: unknown): string | undefined {
    if (failure instanceof Hopeless) return failure.message;
    if (this.#loaded > 0 && this.#validator === undefined) {
      return 'the connection broke, and the server gives no ETag to go on by';
    }
    return undefined;
  }

  #error(why: string, failure: unknown): SourceError {
    const { file, url } = this.#connection;
    const effort = String(this.#patience);
    return new SourceError({
      file,
      url,
      what: `${file} could not be loaded whole from ${url}, ${why}`,
      actual: `${this.#loaded} bytes${effort && ` (${effort})`}`,
      expected: `${this.#size ?? 'more'}`,
      next: 'Load the model again.',
      cause: failure instanceof Hopeless ? undefined : failure,
    });
  }
}
