import type { LinkedAbort } from '../../runtime/index.ts';
import type { ModelFile } from './types.ts';

interface OpenFileOptions {
  size: number | undefined;
  /** The pieces as they leave the store. The first has been read already, so `return()` closes the store. */
  stored: AsyncGenerator<Uint8Array>;
  /** The same pieces after everything that is done to them on the way: checked, reported, copied to the cache. */
  pieces: AsyncGenerator<Uint8Array>;
  /** Aborts when the caller's signal does. The file releases it at its end. */
  link: LinkedAbort;
  /** Called after the last piece. */
  done: () => void;
}

/** A file that is being read. It closes everything behind it at its end, when it is left early, cancelled or aborted. */
export class OpenFile implements ModelFile {
  readonly size: number | undefined;
  readonly bytes: AsyncGenerator<Uint8Array>;
  readonly #stored: AsyncGenerator<Uint8Array>;
  readonly #pieces: AsyncGenerator<Uint8Array>;
  readonly #link: LinkedAbort;
  readonly #done: () => void;

  constructor({ size, stored, pieces, link, done }: OpenFileOptions) {
    this.size = size;
    this.#stored = stored;
    this.#pieces = pieces;
    this.#link = link;
    this.#done = done;
    this.bytes = this.#read();
    // An abort closes the file at once, whether or not anybody reads on.
    link.signal.addEventListener('abort', () => void this.#close());
  }

  async cancel(reason?: unknown): Promise<void> {
    this.#link.release();
    // Ends the wait of a pending read. A generator would queue its own end behind that read.
    this.#link.abort(reason);
    await this.#close();
  }

  async *#read(): AsyncGenerator<Uint8Array> {
    try {
      for await (const piece of this.#pieces) yield piece;
      // Pieces that were closed by an abort end early and without an error.
      this.#link.signal.throwIfAborted();
    } finally {
      this.#link.release();
    }
    this.#done();
  }

  /** Ends both generators: `pieces` may not have begun, and a generator that has not begun closes nothing when it ends. */
  async #close(): Promise<void> {
    await Promise.allSettled([this.#stored.return(undefined), this.#pieces.return(undefined)]);
  }
}
