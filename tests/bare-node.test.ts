import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { build } from 'vite';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startHub } from './hub.mjs';

/** A process of its own in which globals are missing or throw, as in Node 20 or in a frame without storage. */

const root = fileURLToPath(new URL('..', import.meta.url));
const fixtures = join(root, 'tests', 'fixtures');
const run = promisify(execFile);

let folder: string;
let hub: Awaited<ReturnType<typeof startHub>>;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bare-'));
  hub = await startHub({ root: fixtures });
  await build({
    root,
    configFile: false,
    logLevel: 'error',
    build: {
      lib: { entry: join(root, 'src', 'index.ts'), formats: ['es'], fileName: () => 'library.mjs' },
      outDir: folder,
      emptyOutDir: false,
      minify: false,
    },
  });
});
afterAll(async () => {
  await rm(folder, { recursive: true });
  await hub.stop();
});

/** A device that takes everything, computes nothing and reads back zeros. */
const DEVICE = `
const known = {
  adapterInfo: { vendor: 'none' }, features: new Set(), lost: new Promise(() => {}), limits: new Proxy({}, { get: () => 1 << 28 }),
  createBuffer: ({ size }) => ({
    size, destroy() {}, unmap() {}, mapAsync: async () => {}, getMappedRange: (at = 0, length = size - at) => new ArrayBuffer(length),
  }),
};
const anything = () => new Proxy(function () {}, {
  get: (_, name) => name === 'then' || typeof name === 'symbol' ? undefined
    : /Async$|^popErrorScope$|Done$|^getCompilationInfo$/.test(name) ? async () => (name === 'popErrorScope' ? null : anything()) : anything(),
  apply: () => anything(),
});
const device = new Proxy(known, { get: (_, name) => known[name] ?? anything()[name], has: () => true });
`;

const GLOBALS = {
  missing: `for (const name of ['navigator', 'caches', 'localStorage', 'indexedDB']) delete globalThis[name];`,
  throwing: `for (const name of ['navigator', 'caches', 'localStorage', 'indexedDB']) {
    Object.defineProperty(globalThis, name, { configurable: true, get() { throw new DOMException(name + ' is denied', 'SecurityError'); } });
  }`,
};

async function inChild(globals: string, body: string): Promise<string> {
  const file = join(folder, `${Math.random().toString(36).slice(2)}.mjs`);
  await writeFile(file, `${globals}\n${DEVICE}\nconst library = await import('./library.mjs');\n${body}`);
  const { stdout } = await run(process.execPath, [file], { timeout: 50_000 });
  return stdout.trim();
}

test.each(Object.entries(GLOBALS))('globals are %s: a directory, a device of one’s own', async (_, globals) => {
  const where = JSON.stringify(join(fixtures, 'random', 'bert-base'));
  const answer = await inChild(
    globals,
    `const extract = await library.pipeline('feature-extraction', ${where}, { device });
    const { dims } = await extract(['Paris', 'a'], { pooling: 'mean' });
    await extract.dispose();
    console.log(JSON.stringify(dims));`,
  );
  expect(JSON.parse(answer)).toEqual([2, 48]);
});

test('the signal of a load is not listened to when the load is done, or has failed', async () => {
  const where = JSON.stringify(join(fixtures, 'random', 'bert-base'));
  const answer = await inChild(
    '',
    `const { signal } = new AbortController();
    const listeners = new Set();
    const { addEventListener: add, removeEventListener: remove } = signal;
    signal.addEventListener = (...given) => { listeners.add(given[1]); add.apply(signal, given); };
    signal.removeEventListener = (...given) => { listeners.delete(given[1]); remove.apply(signal, given); };
    const during = [];
    const progress_callback = () => during.push(listeners.size);
    const extract = await library.pipeline('feature-extraction', ${where}, { device, signal, progress_callback });
    await extract('a', { signal });
    const model = await library.AutoModel.from_pretrained(${where}, { device, signal });
    await library.AutoTokenizer.from_pretrained(${where}, { signal });
    const done = listeners.size;
    await library.pipeline('feature-extraction', '/nowhere/', { device, signal }).catch(() => {});
    await library.pipeline('feature-extraction', '', { device, signal }).catch(() => {});
    await library.AutoModel.from_pretrained('/nowhere/', { device, signal }).catch(() => {});
    // What else was under way when the first file failed.
    await new Promise(resolve => setTimeout(resolve, 100));
    console.log(JSON.stringify([Math.max(...during) > 0, done, listeners.size]));`,
  );
  expect(JSON.parse(answer)).toEqual([true, 0, 0]);
});

test.each(Object.entries(GLOBALS))('globals are %s: a server, without a device', async (_, globals) => {
  const answer = await inChild(
    globals,
    `Object.assign(library.env, { remoteHost: ${JSON.stringify(hub.url)}, useBrowserCache: true });
    const tokenizer = await library.AutoTokenizer.from_pretrained('random/bert-base');
    const error = await library.AutoModel.from_pretrained('random/bert-base').catch(error => error);
    console.log(JSON.stringify([tokenizer.encode('Paris').length > 2, error.name, error.message]));`,
  );
  const [encodes, name, message] = JSON.parse(answer) as [boolean, string, string];
  expect([encodes, name]).toEqual([true, 'DeviceError']);
  expect(message).toContain('navigator.gpu is missing');
});
