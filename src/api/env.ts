import { type Environment, hasFileSystem } from '../checkpoint/source/index.ts';

/**
 * Where models may come from and where they are kept: one object for the whole page, with the names and defaults of
 * transformers.js. It is read when a model is loaded, so it may be changed at any time before.
 */
export const env: Environment = {
  allowLocalModels: hasFileSystem(),
  localModelPath: '/models/',
  allowRemoteModels: true,
  remoteHost: 'https://huggingface.co/',
  remotePathTemplate: '{model}/resolve/{revision}/',
  useBrowserCache: 'caches' in globalThis,
  cacheKey: 'webgpu-bert-cache',
  useCustomCache: false,
  customCache: null,
  // Looked up at each call, so that a page may still replace globalThis.fetch (a mock, an instrumented fetch).
  fetch: (input, init) => globalThis.fetch(input, init),
};
