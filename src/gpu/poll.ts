import { globalOf } from '../runtime/index.ts';

const POLL_MS = 4;

/**
 * Gives back `waiting`, a promise that settles when the GPU has finished something. Firefox looks for finished work only every 60 to
 * 100 ms, but also at every submit. So there an empty list of commands is submitted every 4 ms until `waiting` settles or `signal`
 * aborts. Other browsers look at once.
 */
export function withPolling<T>(queue: GPUQueue, waiting: Promise<T>, signal?: AbortSignal): Promise<T> {
  if (!globalOf('navigator')?.userAgent?.includes('Firefox')) return waiting;
  const timer = setInterval(() => queue.submit([]), POLL_MS);
  const stop = () => clearInterval(timer);
  signal?.addEventListener('abort', stop, { once: true });
  return waiting.finally(() => {
    stop();
    signal?.removeEventListener('abort', stop);
  });
}
