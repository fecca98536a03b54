/** Gives memory back before the garbage collector comes to it. ES2024, which every browser with WebGPU has; elsewhere it waits. */
export function release({ buffer }: Uint8Array): void {
  (buffer as ArrayBuffer & { transfer?(length: number): ArrayBuffer }).transfer?.(0);
}

/**
 * The pieces of a body, each valid until the next is asked for. What a byte stream (of fetch, the Cache API, a Blob) has
 * handed out is ours alone, so its memory is given back at once: a browser collects such garbage only when most of the
 * file lies in it. An abort ends the wait for the next piece, whatever the body's own source does.
 */
export async function* piecesOf(body: ReadableStream<Uint8Array>, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
  const owned = isByteStream(body);
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
      if (owned) release(value);
    }
  } finally {
    signal?.removeEventListener('abort', stop);
    stop();
  }
}

/** Other streams hand out what their maker may still hold. */
function isByteStream(body: ReadableStream): boolean {
  try {
    body.getReader({ mode: 'byob' }).releaseLock();
    return true;
  } catch {
    return false;
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
