/**
 * Settles as `promise` does, or rejects at once with the reason of `signal` where that aborts first. The work behind the promise goes on:
 * its maker disposes of a result that comes after an abort. Afterwards nothing listens to the signal.
 */
export function until<T>(signal: AbortSignal | undefined, promise: Promise<T>): Promise<T> {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    const end = () => signal.removeEventListener('abort', abort);
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort, { once: true });
    promise.then(resolve, reject).finally(end);
  });
}

/**
 * Aborts `stop`, with the same reason, when `signal` aborts or where it has. The returned function ends that: then nothing listens any
 * more, and the function itself holds no reference to the signal.
 */
export function follow(signal: AbortSignal | undefined, stop: Pick<AbortController, 'abort'>): () => void {
  if (!signal) return () => undefined;
  let followed: AbortSignal | undefined = signal;
  const abort = () => stop.abort(followed?.reason);
  if (signal.aborted) abort();
  else signal.addEventListener('abort', abort, { once: true });
  return () => {
    followed?.removeEventListener('abort', abort);
    followed = undefined;
  };
}

/** An AbortController that follows another signal until it is released. */
export interface LinkedAbort {
  readonly signal: AbortSignal;
  abort(reason?: unknown): void;
  /** Stops listening to the other signal, which may live as long as the page. Idempotent. */
  release(): void;
}

/** `AbortSignal.any` would stay registered with the caller's signal for as long as that one lives. */
export function linkedAbort(other: AbortSignal | undefined): LinkedAbort {
  const controller = new AbortController();
  return {
    signal: controller.signal,
    abort: reason => controller.abort(reason),
    release: follow(other, controller),
  };
}
