// Keeps the files of the page: the build writes their lists in place of FILES and LATER, and a name of the cache that changes with them.
// Models are in the cache of the library. What is not listed goes to the network untouched.

/**
 * @typedef {Event & { request: Request, waitUntil(work: Promise<unknown>): void, respondWith(answer: Promise<Response>): void }} WorkerEvent
 * @typedef {{ registration: { scope: string }, skipWaiting(): Promise<void>, clients: { claim(): Promise<void> } }} WorkerParts
 */

/** @type {string[]} */
const FILES = /* FILES */ [];
/** What the tab of training alone loads: it is fetched once the page's own files are kept, when the page says so. @type {string[]} */
const LATER = /* LATER */ [];
const CACHE = 'lab-VERSION';
const PREFIX = 'lab-';

const worker = /** @type {EventTarget & WorkerParts} */ (/** @type {unknown} */ (self));
const { scope } = worker.registration;
/** @param {string} file */
const addressOf = file => new URL(file, scope).href;
const own = FILES.map(addressOf);
const later = LATER.map(addressOf);
const addresses = new Set([...own, ...later]);
const page = addressOf('./');
/** What may change without a new build comes from the network where there is one: the page, and which models lie beside it. */
const fresh = new Set([page, addressOf('./local-models.json')]);

/** @param {string} type @param {(event: WorkerEvent) => void} listener */
const on = (type, listener) => worker.addEventListener(type, event => listener(/** @type {WorkerEvent} */ (event)));

on('install', event => {
  // `reload` passes the HTTP cache by, which may hold a file of an older build.
  const requests = [page, ...own].map(url => new Request(url, { cache: 'reload' }));
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

on('message', event => {
  const keepLater = async () => {
    const cache = await caches.open(CACHE);
    for (const url of later) if (!(await cache.match(url))) await cache.add(url);
  };
  // Without a connection the next visit asks for it again.
  event.waitUntil(keepLater().catch(() => {}));
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
