import { SourceError } from '../../errors.ts';
import { piecesOf } from './bytes.ts';

/** The bytes of one file, opened. */
export interface StoredFile {
  /** Undefined where the server does not say. */
  size: number | undefined;
  /** A piece is valid until the next is asked for. */
  bytes: AsyncGenerator<Uint8Array>;
  /** The URL or path, for messages. */
  where: string;
  /** Keeps the file for the next time; absent where it is not worth keeping, or kept already. */
  keep?: (body: ReadableStream<Uint8Array> | Uint8Array<ArrayBuffer>, size: number | undefined) => Promise<void>;
  /** Whether `keep` is done with a piece when it asks for the next one. */
  lends?: boolean;
  /** Remembers, for when there is no connection, that there is no such file: what came is something else. */
  absent?: () => Promise<void>;
  /** Removes the kept copy that these bytes come from. */
  discard?: () => Promise<void>;
}

/** What is known of a file that is not read. */
export interface FileStat {
  /** Bytes; undefined where the server does not say. */
  size: number | undefined;
  contentType?: string | undefined;
}

/** What a cache holds of a file. */
export interface KeptFile extends FileStat {
  /** It is remembered that there is no such file. */
  isAbsent: boolean;
  /** Whether a load would take it, as it is of the same commit as the kept config.json. */
  isUsed: boolean;
}

/** A place that files are opened in. */
export interface FileStore {
  /** The URL or path that a file has here. */
  where(file: string): string;
  /** Undefined where the file does not exist. Throws SourceError. */
  open(file: string, signal: AbortSignal): Promise<StoredFile | undefined>;
  /** Asks for no more than the file's headers. Undefined where it does not exist. Throws SourceError. */
  stat(file: string, signal: AbortSignal): Promise<FileStat | undefined>;
  /** What the cache holds of it; asks no server. Absent where files need not be kept, as they are at hand. */
  kept?(file: string): Promise<KeptFile | undefined>;
  /** Removes what the cache holds of it; whether it held anything. */
  forget?(file: string): Promise<boolean>;
  /** The names of all that the cache holds of this place; empty for a cache that cannot list. */
  list?(): Promise<readonly string[]>;
  /** The commit that all files of this place are of; undefined before it is known, and where nobody tells. */
  commit?(): string | undefined;
}

const PIECE_BYTES = 1 << 20;

/** Files that are in memory or chosen by the user. */
export function memoryStore(files: ReadonlyMap<string, Blob | Uint8Array>): FileStore {
  async function* pieces(file: Uint8Array): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < file.length; at += PIECE_BYTES) yield file.subarray(at, at + PIECE_BYTES);
  }
  return {
    where: file => `${file} (of ${[...files.keys()].join(', ') || 'no files'})`,
    async open(file, signal) {
      const found = files.get(file);
      if (found === undefined) return undefined;
      return found instanceof Blob
        ? { size: found.size, bytes: piecesOf(found.stream(), signal), where: file }
        : { size: found.length, bytes: pieces(found), where: file };
    },
    async stat(file) {
      const found = files.get(file);
      return found && { size: found instanceof Blob ? found.size : found.length };
    },
  };
}

/** A directory in Node, Deno or Bun; `path` ends in a slash. */
export function directoryStore(path: string): FileStore {
  // Not an import: a bundler for the web would try to resolve it, and a page has no such module.
  const fs = process.getBuiltinModule('node:fs').promises;
  return {
    where: file => path + file,
    async open(file) {
      const where = path + file;
      const handle = await fs.open(where).catch((cause: NodeJS.ErrnoException) => {
        if (cause.code === 'ENOENT' || cause.code === 'ENOTDIR') return undefined;
        throw new SourceError({ file, url: where, what: `${where} could not be opened`, actual: cause.message, cause });
      });
      if (handle === undefined) return undefined;
      const { size } = await handle.stat();
      async function* pieces(): AsyncGenerator<Uint8Array> {
        const room = new Uint8Array(PIECE_BYTES);
        try {
          for (;;) {
            const { bytesRead } = await handle!.read(room);
            if (bytesRead === 0) return;
            yield room.subarray(0, bytesRead);
          }
        } finally {
          await handle!.close();
        }
      }
      return { size, bytes: pieces(), where };
    },
    async stat(file) {
      const found = await fs.stat(path + file).catch(() => undefined);
      return found?.isFile() ? { size: found.size } : undefined;
    },
  };
}
