import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

/** The lab's service worker, with a browser's caches in their place. */

const ORIGIN = 'https://lab.example/';

/** A worker that was installed, and what it has fetched so far. */
async function install() {
  const text = readFileSync(new URL('../examples/lab/service-worker.js', import.meta.url), 'utf8')
    .replace('/* FILES */ []', '["assets/index-1.js"]')
    .replace('/* LATER */ []', '["assets/training-1.js"]');
  const fetched: string[] = [];
  const kept = new Set<string>();
  const urlOf = (request: Request | string) => (typeof request === 'string' ? request : request.url);
  const net = { isThere: true };
  const cache = {
    async add(request: Request | string) {
      if (!net.isThere) throw new TypeError('no connection');
      fetched.push(urlOf(request));
      kept.add(urlOf(request));
    },
    async addAll(requests: readonly Request[]) {
      for (const request of requests) await cache.add(request);
    },
    match: async (url: string) => (kept.has(url) ? new Response(url) : undefined),
  };
  const listeners = new Map<string, (event: object) => void>();
  const self = {
    registration: { scope: ORIGIN },
    skipWaiting: async () => {},
    clients: { claim: async () => {} },
    addEventListener: (type: string, listener: (event: object) => void) => listeners.set(type, listener),
  };
  const caches = { open: async () => cache, keys: async () => [], delete: async () => true };
  new Function('self', 'caches', text)(self, caches);
  const tell = async (type: string) => {
    let work: Promise<unknown> = Promise.resolve();
    const waitUntil = (promise: Promise<unknown>) => {
      work = promise;
    };
    listeners.get(type)!({ waitUntil });
    await work;
  };
  const answered = async (url: string) => {
    let answer: Promise<Response> | undefined;
    const respondWith = (promise: Promise<Response>) => {
      answer = promise;
    };
    listeners.get('fetch')!({ request: new Request(url), respondWith });
    return (await answer)?.text();
  };
  await tell('install');
  await tell('activate');
  return { tell, answered, fetched, net };
}

test('a first visit fetches the own files of the page; those of training come when the page asks, once', async () => {
  const { tell, answered, fetched, net } = await install();
  expect(fetched).toEqual([ORIGIN, `${ORIGIN}assets/index-1.js`]);
  net.isThere = false;
  await tell('message');
  expect(fetched).toHaveLength(2);
  net.isThere = true;
  await tell('message');
  await tell('message');
  expect(fetched.slice(2)).toEqual([`${ORIGIN}assets/training-1.js`]);
  expect(await answered(`${ORIGIN}assets/training-1.js?a#b`)).toBe(`${ORIGIN}assets/training-1.js`);
  expect(await answered('https://elsewhere.example/')).toBeUndefined();
});
