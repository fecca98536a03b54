/** The built module, as a page gets it, and where the tests' models lie. */
export type Library = typeof import('../src/index.ts');

const address = '/dist/webgpu-bert.js';
export const library: Library = await import(/* @vite-ignore */ address);

// 90 MB in the Cache API for every page that opens would be most of the time; the tests of the cache turn it on.
library.env.useBrowserCache = false;

export const MINILM = '/models/sentence-transformers/all-MiniLM-L6-v2/';
export const BERT = '/fixtures/random/bert-base/';

/** What `make` gives, made when it is first asked for and shared by all cases of the page. */
export function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => {
    made ??= make();
    return made;
  };
}

export async function fetchJson<T>(url: string): Promise<T> {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: ${response.status}`);
  return response.json() as Promise<T>;
}

/** The files of a model by their names. */
export async function fetchFiles(base: string): Promise<Record<string, Uint8Array<ArrayBuffer>>> {
  const names = ['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json'];
  const files = names.map(async name => {
    const response = await fetch(base + name);
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
