/** A folder in memory that is used as a FileSystemDirectoryHandle: what Node has none of. */
export class FakeDirectory {
  readonly kind = 'directory';
  readonly name: string;
  readonly #entries = new Map<string, FakeDirectory | FakeFile>();

  constructor(name = '') {
    this.name = name;
  }

  async getDirectoryHandle(name: string, { create = false } = {}): Promise<FakeDirectory> {
    return this.#entry(name, FakeDirectory, create);
  }

  async getFileHandle(name: string, { create = false } = {}): Promise<FakeFile> {
    return this.#entry(name, FakeFile, create);
  }

  async removeEntry(name: string): Promise<void> {
    if (!this.#entries.delete(name)) throw new DOMException('no such entry', 'NotFoundError');
  }

  async *keys(): AsyncIterable<string> {
    yield* this.#entries.keys();
  }

  async *values(): AsyncIterable<FakeDirectory | FakeFile> {
    yield* this.#entries.values();
  }

  /** It has what src/ uses of a handle. */
  handle(): FileSystemDirectoryHandle {
    return this as unknown as FileSystemDirectoryHandle;
  }

  #entry<T extends FakeDirectory | FakeFile>(name: string, kind: new (name: string) => T, create: boolean): T {
    const entry = this.#entries.get(name);
    if (entry instanceof kind) return entry;
    if (entry || !create) throw new DOMException('no such entry', entry ? 'TypeMismatchError' : 'NotFoundError');
    const made = new kind(name);
    this.#entries.set(name, made);
    return made;
  }
}

class FakeFile {
  readonly kind = 'file';
  readonly name: string;
  #content = new File([], '');

  constructor(name: string) {
    this.name = name;
  }

  async getFile(): Promise<File> {
    return this.#content;
  }

  async createWritable(): Promise<WritableStream<Uint8Array<ArrayBuffer>>> {
    const parts: Uint8Array<ArrayBuffer>[] = [];
    return new WritableStream({
      write: part => {
        parts.push(part.slice());
      },
      close: () => {
        this.#content = new File(parts, this.name);
      },
    });
  }
}
