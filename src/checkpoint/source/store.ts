import type { CachedCopy } from './types.ts';

/** A file of a store, opened. */
export interface StoredFile {
  /** Bytes; undefined where the server does not say. */
  size: number | undefined;
  /** A piece is valid until the next one is asked for. */
  bytes: AsyncGenerator<Uint8Array>;
  /** The URL or path, for messages. */
  address: string;
  /** Writes the file to the cache; absent where there is no cache to write to, or the file comes from it. */
  keep?: (body: ReadableStream<Uint8Array> | Uint8Array<ArrayBuffer>, size: number | undefined) => Promise<void>;
  /** Whether `keep` has copied a piece by the time it asks for the next one, so that the memory of the piece may be freed. */
  mayDetach?: boolean;
  /** Notes in the cache that the file does not exist: a web page came in its place. */
  markAbsent?: () => Promise<void>;
  /** Removes the cached copy that these bytes come from. */
  discard?: () => Promise<void>;
}

/** What is known of a file that is not read. */
export interface FileStat {
  /** Bytes; undefined where the server does not say. */
  size: number | undefined;
  contentType?: string | undefined;
}

/** A place where files are. */
export interface FileStore {
  /** The URL or path that a file has here. */
  address(file: string): string;
  /** Undefined where the file does not exist. Throws SourceError. */
  open(file: string, signal: AbortSignal): Promise<StoredFile | undefined>;
  /** Asks for the file's headers only. Undefined where it does not exist. Throws SourceError. */
  stat(file: string, signal: AbortSignal): Promise<FileStat | undefined>;
  /** The copy in the cache; asks no server. A store of local files has no cache and lacks this method. */
  cachedCopy?(file: string): Promise<CachedCopy | undefined>;
  /** Removes the copy of a file from the cache. Resolves to whether there was one. */
  forget?(file: string): Promise<boolean>;
  /** The names of all cached files of this place; none where the cache cannot list its entries. */
  cachedNames?(): Promise<readonly string[]>;
  /** The commit that all files of this place are of; undefined before it is known, and where no server tells. */
  commit?(): string | undefined;
}
