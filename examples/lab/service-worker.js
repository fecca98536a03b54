// Keeps the files of the page: the build writes their list in place of FILES, and a name of the cache that changes with them.
// Models are in the cache of the library. What is not listed goes to the network untouched.

/**
 * @typedef {Event & { request: Request, waitUntil(work: Promise<unknown>): void, respondWith(answer: Promise<Response>): void }} WorkerEvent
 * @typedef {{ registration: { scope: string }, skipWaiting(): Promise<void>, clients: { claim(): Promise<void> } }} WorkerParts
 */

/** @type {string[]} */
const FILES = /* FILES */ [];
const CACHE = 'lab-VERSION';
const PREFIX = 'lab-';

const worker = /** @type {EventTarget & WorkerParts} */ (/** @type {unknown} */ (self));
const { scope } = worker.registration;
const addresses = new Set(FILES.map(file => new URL(file, scope).href));
const page = new URL('./', scope).href;
/** What may change without a new build comes from the network where there is one: the page, and which models lie beside it. */
const fresh = new Set([page, new URL('./local-models.json', scope).href]);

/** @param {string} type @param {(event: WorkerEvent) => void} listener */
const on = (type, listener) => worker.addEventListener(type, event => listener(/** @type {WorkerEvent} */ (event)));

on('install', event => {
  // `reload` passes the HTTP cache by, which may hold a file of an older build.
  const requests = [page, ...addresses].map(url => new Request(url, { cache: 'reload' }));
  event.waitUntil(
    caches
      .open(CACHE)
      .then(cache => cache.addAll(requests))
      .then(() => worker.skipWaiting()),
  );
});

on('activate', event => {
  const removeOthers = async () => {
    const names = await caches.keys();
    const old = names.filter(name => name.startsWith(PREFIX) && name !== CACHE);
    await Promise.all(old.map(name => caches.delete(name)));
    await worker.clients.claim();
  };
  event.waitUntil(removeOthers());
});

/** @param {Request} request @param {string} url without its query */
async function answer(request, url) {
  const cache = await caches.open(CACHE);
  if (!fresh.has(url)) return (await cache.match(url)) ?? fetch(request);
  try {
    return await fetch(request);
  } catch {
    return (await cache.match(url)) ?? Response.error();
  }
}

on('fetch', event => {
  const { request } = event;
  const url = new URL(request.url);
  url.hash = url.search = '';
  // The page under its other name.
  if (url.href === `${page}index.html`) url.href = page;
  if (request.method !== 'GET' || !(fresh.has(url.href) || addresses.has(url.href))) return;
  event.respondWith(answer(request, url.href));
});
