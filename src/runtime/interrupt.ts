/**
 * What `promise` gives, or at once the reason of `signal` where that aborts first. The promise goes on by itself: whoever made it
 * gives back what it makes after an abort. Nothing listens to the signal afterwards.
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
 * Aborts `stop` when `signal` aborts, or has, with its reason. What it returns ends that; nothing listens then, and whoever keeps it
 * does not keep the signal.
 */
export function follow(signal: AbortSignal | undefined, stop: AbortController): () => void {
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
  /** Ends the listening at the other signal, which may live as long as the page. Idempotent. */
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
