import { type InputError, SourceError, wrong } from '../../errors.ts';
import { piecesOf } from './bytes.ts';
import type { FileStat, FileStore, StoredFile } from './store.ts';

const PIECE_BYTES = 1 << 20;

type Content = Blob | Uint8Array;

export const notTwice = (name: string): InputError =>
  wrong('the model', name, 'no two files of one name that differ: choose the folder');

/** Files in memory, or chosen by the user. */
export class MemoryStore implements FileStore {
  readonly #files: ReadonlyMap<string, Content>;
  readonly #copies: ReadonlyMap<Content, readonly Content[]>;

  /** @param copies What else was passed under the name of a file, of the same size: a file is refused when it is opened if one of them has other bytes. */
  constructor(files: ReadonlyMap<string, Content>, copies: ReadonlyMap<Content, readonly Content[]>) {
    this.#files = files;
    this.#copies = copies;
  }

  address(file: string): string {
    return `${file} (of ${[...this.#files.keys()].join(', ') || 'no files'})`;
  }

  async open(file: string, signal: AbortSignal): Promise<StoredFile | undefined> {
    const content = this.#files.get(file);
    if (content === undefined) return undefined;
    for (const copy of this.#copies.get(content) ?? []) {
      if (!(await isSame(content, copy, file, signal))) throw notTwice(file);
    }
    return content instanceof Blob
      ? { size: content.size, bytes: blobPieces(content, file, signal), address: file }
      : { size: content.length, bytes: views(content), address: file };
  }

  async stat(file: string): Promise<FileStat | undefined> {
    const content = this.#files.get(file);
    return content && { size: content instanceof Blob ? content.size : content.length };
  }
}

/** Whether two files of one size have the same bytes. */
async function isSame(one: Content, other: Content, file: string, signal: AbortSignal): Promise<boolean> {
  if (one === other) return true;
  const [first, second] = await Promise.all([one, other].map(content => bytesOf(content, file, signal)));
  return first!.every((byte, i) => byte === second![i]);
}

async function bytesOf(content: Content, file: string, signal: AbortSignal): Promise<Uint8Array> {
  if (!(content instanceof Blob)) return content;
  const bytes = new Uint8Array(content.size);
  let at = 0;
  for await (const piece of blobPieces(content, file, signal)) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}

/** The pieces of a file that may be on a disk, where others can change or remove it. */
async function* blobPieces(content: Blob, file: string, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  try {
    yield* piecesOf(content.stream(), signal);
  } catch (cause) {
    if (signal.aborted || !(cause instanceof DOMException)) throw cause;
    const what = `${file} could not be read to its end`;
    const next = 'It was changed or removed after it was chosen: choose it again.';
    throw new SourceError({ file, what, actual: String(cause), next, cause });
  }
}

async function* views(content: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < content.length; at += PIECE_BYTES) yield content.subarray(at, at + PIECE_BYTES);
}

/** A directory in Node, Deno or Bun. */
export class DirectoryStore implements FileStore {
  readonly #path: string;
  // Not an import: a bundler for the web would try to resolve it, and a page has no such module.
  readonly #fs = process.getBuiltinModule('node:fs').promises;

  /** @param path ends in a slash */
  constructor(path: string) {
    this.#path = path;
  }

  address(file: string): string {
    return this.#path + file;
  }

  async open(file: string): Promise<StoredFile | undefined> {
    const address = this.address(file);
    const handle = await this.#fs.open(address).catch((cause: NodeJS.ErrnoException) => {
      if (cause.code === 'ENOENT' || cause.code === 'ENOTDIR') return undefined;
      const what = `${address} could not be opened`;
      const next = 'Check that it is a file, and that this process may read it.';
      throw new SourceError({ file, url: address, what, actual: cause.message, next, cause });
    });
    if (handle === undefined) return undefined;
    const { size } = await handle.stat();
    async function* pieces(): AsyncGenerator<Uint8Array> {
      const buffer = new Uint8Array(PIECE_BYTES);
      try {
        for (;;) {
          const { bytesRead } = await handle!.read(buffer);
          if (bytesRead === 0) return;
          yield buffer.subarray(0, bytesRead);
        }
      } finally {
        await handle!.close();
      }
    }
    return { size, bytes: pieces(), address };
  }

  async stat(file: string): Promise<FileStat | undefined> {
    const stats = await this.#fs.stat(this.address(file)).catch(() => undefined);
    return stats?.isFile() ? { size: stats.size } : undefined;
  }
}
