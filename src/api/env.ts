import { type Environment, LogLevel } from '../checkpoint/source/index.ts';
import { hasFileSystem } from '../runtime/index.ts';

export { LogLevel };

/** As in package.json: tests/entries.test.ts compares them. */
const VERSION = '0.1.0';

/**
 * Where models may come from and where they are kept: one object for the whole page, with the names and defaults of
 * transformers.js. A load reads it when it begins, so a page may change it at any time before.
 */
export const env: Environment = {
  version: VERSION,
  logLevel: LogLevel.WARNING,
  allowLocalModels: /* @__PURE__ */ hasFileSystem(),
  localModelPath: '/models/',
  allowRemoteModels: true,
  remoteHost: 'https://huggingface.co/',
  remotePathTemplate: '{model}/resolve/{revision}/',
  useBrowserCache: 'caches' in globalThis,
  cacheKey: 'webgpu-bert-cache',
  useCustomCache: false,
  customCache: null,
  // globalThis.fetch is looked up at each call, so that a page may replace it later (a mock, an instrumented fetch).
  fetch: (input, init) => globalThis.fetch(input, init),
};

/** The settings as they are before anybody has changed one. */
export const USUAL_ENVIRONMENT: Readonly<Environment> = /* @__PURE__ */ Object.assign({}, env);
