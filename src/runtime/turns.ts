/** How long work may hold up a page at a time: a frame or two. */
const LONGEST_MS = 30;

/** What waits, clicks and drawing too, has its turn. Timers are no way: those of a page in the background come once a second, or a minute. */
function otherTurns(): Promise<void> {
  return new Promise(resolve => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(undefined);
  });
}

/** What `work` makes of each item, without holding up the page. Rejects with what it throws, or with the signal's reason. */
export async function inTurns<T, R>(
  items: readonly T[],
  work: (item: T, index: number) => R,
  signal?: AbortSignal,
): Promise<R[]> {
  const made: R[] = [];
  let begin = performance.now();
  // By the places of the list, so that one without an item counts too.
  for (let index = 0; index < items.length; index++) {
    if (performance.now() - begin > LONGEST_MS) {
      await otherTurns();
      begin = performance.now();
    }
    signal?.throwIfAborted();
    made.push(work(items[index]!, index));
  }
  return made;
}
