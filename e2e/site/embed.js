// A page's own script, or a worker's: nothing but the built module. Tells what came out to whoever opened it.
// @ts-expect-error tsc looks for a file of this name on the disk.
import { env, pipeline } from '/dist/webgpu-bert.js';

/** @param {unknown} message */
const tell = message =>
  globalThis.parent ? globalThis.parent.postMessage(message, '*') : globalThis.postMessage(message);

/** Whether this place runs text as code; a Content-Security-Policy without 'unsafe-eval' forbids it. */
function evaluates() {
  try {
    return new Function('return true')();
  } catch {
    return false;
  }
}

try {
  env.useBrowserCache = false;
  const extractor = await pipeline('feature-extraction', '/fixtures/random/bert-base/');
  const { dims, data } = await extractor(['Paris is the capital of France.', 'a'], { pooling: 'mean' });
  await extractor.dispose();
  tell({ dims, data: [...data], evaluates: evaluates() });
} catch (error) {
  tell({ error: String(error) });
}
