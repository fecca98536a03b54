/** Reads a stream in pieces of chosen sizes, without copying what already lies in one piece. */
export class ByteReader {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  #rest: Uint8Array | undefined;
  /** Bytes that have come from the stream, those handed back included. */
  received = 0;

  constructor(stream: ReadableStream<Uint8Array>) {
    this.#reader = stream.getReader();
  }

  /** The next 1 to `max` bytes, a view of what the stream gave; undefined at the end. */
  async take(max: number): Promise<Uint8Array | undefined> {
    while (this.#rest === undefined || this.#rest.length === 0) {
      const { done, value } = await this.#reader.read();
      if (done) return undefined;
      this.received += value.length;
      this.#rest = value;
    }
    const bytes = this.#rest.subarray(0, max);
    this.#rest = this.#rest.subarray(bytes.length);
    return bytes;
  }

  /** Hands back the tail of what `take` gave last. */
  unread(bytes: Uint8Array): void {
    this.#rest = this.#rest?.length ? joined([bytes, this.#rest]) : bytes;
  }

  /** The next `count` bytes; fewer only where the stream ends. Copies only what lies in several pieces. */
  async exactly(count: number): Promise<Uint8Array> {
    const pieces: Uint8Array[] = [];
    for (let left = count; left > 0; left -= pieces.at(-1)!.length) {
      const bytes = await this.take(left);
      if (bytes === undefined) break;
      pieces.push(bytes);
    }
    return joined(pieces);
  }

  /** Idempotent; a pending read ends as if the stream had ended. */
  async cancel(reason?: unknown): Promise<void> {
    this.#rest = undefined;
    // A stream that has failed already rejects here with its own error, which its reader has seen.
    await this.#reader.cancel(reason).catch(() => undefined);
  }
}

/** All pieces in one array; the piece itself where there is one. */
export function joined(pieces: readonly Uint8Array[]): Uint8Array {
  if (pieces.length === 1) return pieces[0]!;
  const all = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}

/** A stream that asks the generator for a piece only when a reader wants one; `stop` ends a pending wait on cancel, and what a generator that never began would leave open. */
export function streamOf(
  pieces: AsyncGenerator<Uint8Array>,
  stop: (reason: unknown) => Promise<void> = async () => undefined,
): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const { done, value } = await pieces.next();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      async cancel(reason) {
        await stop(reason).catch(() => undefined);
        await pieces.return(undefined).catch(() => undefined);
      },
    },
    { highWaterMark: 0 },
  );
}
