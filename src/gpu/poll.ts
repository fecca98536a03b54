import { globalOf } from '../runtime/index.ts';

const MS = 4;

/**
 * Waits for something that the GPU will be done with. Firefox looks for finished work every 60 to 100 ms only, but also
 * whenever something is submitted, so an empty list of commands is submitted every 4 ms while we wait, until `signal` aborts.
 * Other browsers tell at once.
 */
export function promptly<T>(queue: GPUQueue, waiting: Promise<T>, signal?: AbortSignal): Promise<T> {
  if (!globalOf('navigator')?.userAgent?.includes('Firefox')) return waiting;
  const timer = setInterval(() => queue.submit([]), MS);
  const stop = () => clearInterval(timer);
  signal?.addEventListener('abort', stop, { once: true });
  return waiting.finally(() => {
    stop();
    signal?.removeEventListener('abort', stop);
  });
}
