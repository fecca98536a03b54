/** How long a page's thread was held: nothing else had its turn then, no picture and no key. */
export interface HeldThread {
  /** All that it took, in milliseconds. */
  ms: number;
  /** The longest time that nothing else had its turn. */
  longestMs: number;
  /** Tasks of more than 50 ms, as the browser tells them; undefined where it tells none (Firefox). */
  longTasks: number | undefined;
}

/** Posts a message every 4 ms: browsers slow the timers of pages, and of workers, that nobody looks at, but no wait. */
const TICKS =
  'const cell = new Int32Array(new SharedArrayBuffer(4)); for (;;) { Atomics.wait(cell, 0, 0, 4); postMessage(0); }';

/**
 * Watches this thread until the function that it resolves to is called. A message of another thread is due every 4 ms: what comes late by
 * more is the time that this one was held, whether by one task or by several that gave nobody else a turn.
 */
export async function watchThread(): Promise<() => Promise<HeldThread>> {
  const ticker = new Worker(URL.createObjectURL(new Blob([TICKS], { type: 'text/javascript' })));
  await new Promise(resolve => {
    ticker.onmessage = resolve;
  });
  const tellsTasks = PerformanceObserver.supportedEntryTypes.includes('longtask');
  let longTasks = 0;
  const observer = new PerformanceObserver(list => {
    longTasks += list.getEntries().length;
  });
  if (tellsTasks) observer.observe({ type: 'longtask' });
  let longestMs = 0;
  const began = performance.now();
  let last = began;
  const note = () => {
    const now = performance.now();
    longestMs = Math.max(longestMs, now - last);
    last = now;
  };
  ticker.onmessage = note;
  return async () => {
    note();
    const ms = performance.now() - began;
    ticker.terminate();
    // Entries come in a task of their own.
    await new Promise(resolve => setTimeout(resolve, 100));
    observer.disconnect();
    return { ms, longestMs, longTasks: tellsTasks ? longTasks : undefined };
  };
}

/** Watches this thread while `work` goes on. */
export async function watched(work: () => Promise<void>): Promise<HeldThread> {
  const stop = await watchThread();
  await work();
  return stop();
}
