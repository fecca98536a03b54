/** The part of the Cache API that this library uses. `delete` and `keys` may be missing. */
export interface ModelCache {
  match(url: string): Promise<Response | undefined>;
  /** Must reject, and store nothing, where the body of the response ends in an error. */
  put(url: string, response: Response): Promise<void>;
  delete?(url: string): Promise<boolean>;
  /** The URLs of all entries, which ModelRegistry lists. */
  keys?(): Promise<readonly (string | { readonly url: string })[]>;
}

/** How much is written to the console: values of `env.logLevel`, with the names and numbers of transformers.js. */
export const LogLevel = /* @__PURE__ */ Object.freeze({ DEBUG: 10, INFO: 20, WARNING: 30, ERROR: 40, NONE: 50 });

/** Settings of the public `env` object, named as in transformers.js. */
export interface Environment {
  /** The version of this library. */
  readonly version: string;
  /**
   * From LogLevel. The library writes two things to the console, warnings: where the files of a model could not be kept in the cache, and
   * where a model has a head that nobody has trained. So up to WARNING, and not above. Default: WARNING.
   */
  logLevel: number;
  /** Whether a model id is looked for under `localModelPath` first. Default: true in Node and Deno, false on a page. */
  allowLocalModels: boolean;
  /** The URL or path below which models lie by their ids; in Node and Deno a directory. Default: '/models/'. */
  localModelPath: string;
  /** Whether anything may be loaded from `remoteHost` or another absolute URL. Default: true. */
  allowRemoteModels: boolean;
  /** Default: 'https://huggingface.co/'. */
  remoteHost: string;
  /** Follows `remoteHost`; `{model}` and `{revision}` are filled in. Default: '{model}/resolve/{revision}/'. */
  remotePathTemplate: string;
  /** Whether files are cached with the Cache API. Default: true where there is one. */
  useBrowserCache: boolean;
  /**
   * The name of the cache in the Cache API. Default: 'webgpu-bert-cache', not the one of transformers.js: that library
   * reads the same URLs, trusts every entry without a check, and its pages clear the cache by its name.
   */
  cacheKey: string;
  /** Whether `customCache` is used instead of the Cache API. Default: false. */
  useCustomCache: boolean;
  customCache: ModelCache | null;
  /** Fetches everything; replace it to add an Authorization header or a proxy. Default: the global fetch. */
  fetch: (input: string, init?: RequestInit) => Promise<Response>;
  /** @internal What relative addresses are relative to. Default: the page's address; in a worker that of its script. */
  baseURL?: string | undefined;
}
