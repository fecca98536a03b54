/** Frees the memory of a piece now, instead of when it is garbage-collected. Does nothing where `transfer` (ES2024) is missing. */
export function release({ buffer }: Uint8Array): void {
  (buffer as ArrayBuffer & { transfer?(length: number): ArrayBuffer }).transfer?.(0);
}

/**
 * The pieces of a body, each valid until the next one is asked for. A byte stream (of fetch, the Cache API, a Blob) transfers
 * ownership of what it hands out, so that memory is freed at once: a browser collects such garbage only when most of the file has
 * become garbage. An abort ends the wait for the next piece, whatever the source of the body does.
 */
export async function* piecesOf(body: ReadableStream<Uint8Array>, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
  const isOurs = isByteStream(body);
  const reader = body.getReader();
  const stop = () => void reader.cancel(signal?.reason).catch(() => undefined);
  signal?.addEventListener('abort', stop);
  try {
    for (;;) {
      signal?.throwIfAborted();
      const { done, value } = await reader.read();
      signal?.throwIfAborted();
      if (done) return;
      yield value;
      if (isOurs) release(value);
    }
  } finally {
    signal?.removeEventListener('abort', stop);
    stop();
  }
}

/** Streams of other types may hand out memory that their maker still uses. */
function isByteStream(body: ReadableStream): boolean {
  try {
    body.getReader({ mode: 'byob' }).releaseLock();
    return true;
  } catch {
    return false;
  }
}

/** All pieces in one array. A single piece is returned as it is, not copied. */
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

/** Copies of the next pieces, joined: as many as make up `minimum` bytes, or all that are there. */
export async function collected(
  bytes: AsyncGenerator<Uint8Array>,
  minimum = Number.POSITIVE_INFINITY,
): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for (let length = 0; length < minimum; ) {
    const { done, value } = await bytes.next();
    if (done) break;
    pieces.push(value.slice());
    length += value.length;
  }
  return joined(pieces);
}
