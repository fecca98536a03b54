// The library with the settings that it has by itself, where storage is denied: in a frame of an opaque origin by the browser,
// in a worker by this file. Tells what came out to whoever opened it.

/** @param {unknown} message */
const tell = message =>
  globalThis.parent ? globalThis.parent.postMessage(message, '*') : globalThis.postMessage(message);

if (!globalThis.parent) {
  Object.defineProperty(globalThis, 'caches', {
    get() {
      throw new DOMException('storage is denied', 'SecurityError');
    },
  });
}

/** How storage is denied: Chromium throws at the mere look at `caches`, Firefox when one is opened. */
async function storage() {
  try {
    await globalThis.caches.open('bare');
    return 'there';
  } catch (error) {
    return error instanceof Error ? error.name : String(error);
  }
}

try {
  // @ts-expect-error tsc looks for a file of this name on the disk.
  const { env, pipeline } = await import('/dist/webgpu-bert.js');
  env.remoteHost = await (await fetch('/hub')).text();
  const extractor = await pipeline('feature-extraction', 'random/bert-base');
  const { dims, data } = await extractor(['Paris is the capital of France.', 'a'], { pooling: 'mean' });
  await extractor.dispose();
  tell({ dims, data: [...data], storage: await storage(), origin: globalThis.origin });
} catch (error) {
  tell({ error: String(error) });
}

export {};
