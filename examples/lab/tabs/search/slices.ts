/** Work on the page's thread that lets the page breathe: no slice of it takes longer than a frame. */

const SLICE_MS = 8;

/** A turn of the event loop, without the pauses that nested timers get. */
function turn(): Promise<void> {
  return new Promise(resolve => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(undefined);
  });
}

/** Does something with each item, in slices. Rejects with the signal's reason. */
export async function inSlices<T>(items: Iterable<T>, signal: AbortSignal, each: (item: T) => void): Promise<void> {
  let began = performance.now();
  for (const item of items) {
    each(item);
    if (performance.now() - began < SLICE_MS) continue;
    await turn();
    signal.throwIfAborted();
    began = performance.now();
  }
}
