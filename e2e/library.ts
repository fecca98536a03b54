/** The built module, as a page gets it, and where the tests' models lie. */
export type Library = typeof import('../src/index.ts');

declare global {
  /** The address of the tests' server where there is no page: in Node and Deno. */
  var testOrigin: string | undefined;
  /** The file: URL of the checkout, there. */
  var testRoot: string | undefined;
}

/** Where a path of the tests' server is, from wherever a suite runs. */
export const addressOf = (path: string): string => new URL(path, globalThis.testOrigin ?? location.origin).href;

export const library: Library = await import(/* @vite-ignore */ addressOf('/dist/webgpu-bert.js'));

// 90 MB in the Cache API for every page that opens would be most of the time; the tests of the cache turn it on.
library.env.useBrowserCache = false;

export const MINILM = addressOf('/models/sentence-transformers/all-MiniLM-L6-v2/');
export const BERT = addressOf('/fixtures/random/bert-base/');

/** What `make` gives, made when it is first asked for and shared by all cases of the page. */
export function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => {
    made ??= make();
    return made;
  };
}

export async function fetchJson<T>(url: string): Promise<T> {
  const response = await fetch(addressOf(url));
  if (!response.ok) throw new Error(`${url}: ${response.status}`);
  return response.json() as Promise<T>;
}

/** The files of a model by their names. */
export async function fetchFiles(base: string): Promise<Record<string, Uint8Array<ArrayBuffer>>> {
  const names = ['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json'];
  const files = names.map(async name => {
    const response = await fetch(addressOf(base + name));
    if (!response.ok) throw new Error(`${base}${name}: ${response.status}`);
    return [name, new Uint8Array(await response.arrayBuffer())] as const;
  });
  return Object.fromEntries(await Promise.all(files));
}

/** A device of the test's own: the library must leave it alive. */
export async function ownDevice(): Promise<GPUDevice> {
  const adapter = await navigator.gpu.requestAdapter();
  if (!adapter) throw new Error('requestAdapter() gave null');
  return adapter.requestDevice();
}
