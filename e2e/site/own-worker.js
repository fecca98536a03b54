// A worker of a page's own: it gives the library settings that cannot leave a page, and tells the page what the library has handed over.
// @ts-expect-error tsc looks for files of these names on the disk.
import { env } from '/dist/es/index.js';
// @ts-expect-error
import '/dist/es/worker-script.js';

const { fetch: plainFetch } = env;
/** @type {string[]} */
const fetched = [];
env.fetch = (/** @type {string} */ input, /** @type {RequestInit} */ init) => {
  fetched.push(input);
  return plainFetch(input, init);
};

/** What lies in each memory that was handed over: nothing, where it was not copied. @type {number[]} */
const left = [];
const { postMessage } = MessagePort.prototype;
/** @this {MessagePort} @param {unknown} message @param {any} [transferred] */
MessagePort.prototype.postMessage = function (message, transferred) {
  postMessage.call(this, message, transferred);
  if (Object(message).type === 'result')
    left.push(...(transferred ?? []).map((/** @type {ArrayBuffer} */ memory) => memory.byteLength));
};

globalThis.addEventListener('message', ({ data }) => {
  if (data === 'what was done?') globalThis.postMessage({ fetched, left });
  if (data === 'close') globalThis.close();
});
