/** The shapes of transformers.js's progress events, and the steps that only this library has: compile, upload, run. */
export type ProgressInfo =
  | { status: 'initiate' | 'download'; name: string; file: string }
  | { status: 'progress'; name: string; file: string; progress: number; loaded: number; total: number }
  | { status: 'done'; name: string; file: string }
  /** The file is used, but could not be cached: `reason` says why (the quota of the page is used up, say). */
  | { status: 'uncached'; name: string; file: string; reason: string }
  | {
      /** The files of one model together, as many as have been opened so far; precedes each 'progress'. */
      status: 'progress_total';
      name: string;
      progress: number;
      loaded: number;
      total: number;
      files: Record<string, { loaded: number; total: number }>;
    }
  | { status: 'compile' | 'upload'; name: string; file: string; progress: number; loaded: number; total: number }
  | { status: 'ready'; task: string; model: string }
  /** Progress of a call: how many of its texts are done. */
  | { status: 'run'; task: string; progress: number; loaded: number; total: number };

export type ProgressCallback = (info: ProgressInfo) => void;

/** An opened file of a model. */
export interface ModelFile {
  /** Bytes; undefined where the server does not say. */
  readonly size: number | undefined;
  /**
   * The pieces of the file, from the first to the last; they can be read once. A piece is valid until the next one is asked for: then
   * its memory is given back. Whoever leaves the loop early closes the file.
   */
  readonly bytes: AsyncGenerator<Uint8Array>;
  /**
   * Closes the file, also before the first piece has been asked for and while one is awaited; that read, and any later one, rejects
   * with `reason`. Idempotent.
   */
  cancel(reason?: unknown): Promise<void>;
}

/** Where the files of one model come from: a hub id, a base URL, a local path, a list of File/Blob, or bytes. */
export interface ModelSource {
  /** For messages and progress events: the id, the URL, or "files". */
  readonly name: string;
  /** Opens a file. Throws SourceError; with `optional`, resolves to undefined where the file does not exist. */
  open(file: string, options?: { optional?: boolean }): Promise<ModelFile | undefined>;
  /** A whole JSON file, parsed. Throws SourceError where it is not JSON (a web page, say). */
  json(file: string, options?: { optional?: boolean }): Promise<unknown>;
}

/** What can be said of a file of a model without reading it. */
export interface SourceFile {
  readonly exists: boolean;
  /** Bytes; undefined where the server does not say. */
  readonly size: number | undefined;
  readonly contentType?: string | undefined;
  /** Whether it comes from the cache. */
  readonly isCached: boolean;
  /** Whether nothing has to be downloaded: it is in the cache, on the disk, or in memory. */
  readonly isAtHand: boolean;
}

/** What a cache holds of a file. */
export interface CachedCopy {
  /** Bytes; undefined where the server does not say. */
  readonly size: number | undefined;
  readonly contentType?: string | undefined;
  /** The entry notes that the file does not exist. */
  readonly isAbsent: boolean;
  /** Whether a load would use it: it is of the same commit as the cached config.json. */
  readonly isUsed: boolean;
}

/** A source whose files, and their copies in the cache, can be asked about. */
export interface ManagedSource extends ModelSource {
  /**
   * Throws SourceError. With `cachedOnly` no server is asked; the answer is undefined where only a server could tell whether the file
   * exists.
   */
  stat(file: string, options?: { cachedOnly?: boolean }): Promise<SourceFile | undefined>;
  /** The copy of a file in the cache, of whatever commit. */
  cachedCopy(file: string): Promise<CachedCopy | undefined>;
  /** Removes the copy of a file from the cache. Resolves to whether there was one. */
  forget(file: string): Promise<boolean>;
  /** The names of all cached files of the model; none where the cache cannot list its entries. */
  cachedNames(): Promise<readonly string[]>;
  /**
   * The commit that the files are of; undefined before a server has told one, and where none does. This function may be kept for as
   * long as a model lives: it references neither the callback nor the signal of the load.
   */
  readonly commit: () => string | undefined;
}
