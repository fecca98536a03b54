/** What the one listener on a signal does when it aborts. */
interface Waiting {
  readonly acts: Set<() => void>;
  readonly listener: () => void;
}

const waiting = new WeakMap<AbortSignal, Waiting>();

/**
 * Calls `act` when a signal aborts that has not. The returned function ends that. All that waits for a signal shares one listener on it,
 * because a load may have any number of files open at once, and Node warns of a leak where a signal has more than ten.
 */
function onAbort(signal: AbortSignal, act: () => void): () => void {
  const shared = waiting.get(signal) ?? listenTo(signal);
  shared.acts.add(act);
  return () => {
    shared.acts.delete(act);
    if (shared.acts.size > 0 || waiting.get(signal) !== shared) return;
    waiting.delete(signal);
    signal.removeEventListener('abort', shared.listener);
  };
}

function listenTo(signal: AbortSignal): Waiting {
  const acts = new Set<() => void>();
  const listener = () => {
    waiting.delete(signal);
    signal.removeEventListener('abort', listener);
    for (const act of acts) act();
  };
  const made = { acts, listener };
  waiting.set(signal, made);
  signal.addEventListener('abort', listener);
  return made;
}

/**
 * Settles as `promise` does, or rejects at once with the reason of `signal` where that aborts first. The work behind the promise goes on:
 * its maker disposes of a result that comes after an abort. Afterwards nothing listens to the signal.
 */
export function until<T>(signal: AbortSignal | undefined, promise: Promise<T>): Promise<T> {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    let end = () => {};
    if (signal.aborted) abort();
    else end = onAbort(signal, abort);
    promise.then(resolve, reject).finally(end);
  });
}

/**
 * Aborts `stop`, with the same reason, when `signal` aborts or where it has. The returned function ends that: then nothing listens any
 * more, and the function itself holds no reference to the signal.
 */
export function follow(signal: AbortSignal | undefined, stop: Pick<AbortController, 'abort'>): () => void {
  if (!signal) return () => undefined;
  if (signal.aborted) {
    stop.abort(signal.reason);
    return () => undefined;
  }
  // Functions of one scope share their variables, so none of them may name the signal once the following has ended.
  let followed: AbortSignal | undefined = signal;
  let end: (() => void) | undefined = onAbort(signal, () => stop.abort(followed?.reason));
  return () => {
    end?.();
    followed = end = undefined;
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
