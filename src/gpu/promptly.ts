import { globalOf } from '../globals.ts';

const MS = 4;

/**
 * Waits for something that the GPU will be done with. Firefox looks for finished work every 60 to 100 ms only, but also
 * whenever something is submitted, so it is handed nothing every few milliseconds meanwhile. Other browsers tell at once.
 */
export function promptly<T>(queue: GPUQueue, waiting: Promise<T>): Promise<T> {
  if (!globalOf('navigator')?.userAgent?.includes('Firefox')) return waiting;
  const timer = setInterval(() => queue.submit([]), MS);
  return waiting.finally(() => clearInterval(timer));
}
