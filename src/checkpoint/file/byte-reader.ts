import { joined } from '../source/index.ts';

/** Reads a stream in pieces of chosen sizes, without copying what already lies in one piece. */
export class ByteReader {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  #piece = new Uint8Array();
  #at = 0;
  /** Bytes that have come from the stream, those handed back included. */
  received = 0;

  constructor(stream: ReadableStream<Uint8Array>) {
    this.#reader = stream.getReader();
  }

  /**
   * The next 1 to `max` bytes, a view of what the stream gave, valid until more is taken; none at the end. Where it gives no more
   * yet, a multiple of `unit`: only what lies in two pieces of the stream is copied.
   */
  async take(max: number, unit = 1): Promise<Uint8Array> {
    while (this.#at === this.#piece.length) {
      const { done, value } = await this.#reader.read();
      if (done) return new Uint8Array();
      this.received += value.length;
      this.#piece = value as Uint8Array<ArrayBuffer>;
      this.#at = 0;
    }
    const here = this.#piece.subarray(this.#at, this.#at + max);
    const bytes = here.length === max ? here : here.subarray(0, here.length - (here.length % unit));
    if (bytes.length === 0) return this.exactly(Math.min(max, unit));
    this.#at += bytes.length;
    return bytes;
  }

  /** A copy of the next `count` bytes; fewer only where the stream ends. */
  async exactly(count: number): Promise<Uint8Array> {
    const pieces: Uint8Array[] = [];
    for (let left = count; left > 0; left -= pieces.at(-1)!.length) {
      const bytes = await this.take(left);
      if (bytes.length === 0) break;
      pieces.push(bytes.slice());
    }
    return joined(pieces);
  }

  /** Idempotent; a pending read ends as if the stream had ended. */
  async cancel(reason?: unknown): Promise<void> {
    this.#at = this.#piece.length;
    // A stream that has failed already rejects here with its own error, which its reader has seen.
    await this.#reader.cancel(reason).catch(() => undefined);
  }
}
