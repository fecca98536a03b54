/** A folder in memory that is used as a FileSystemDirectoryHandle: what Node has none of. */
export class FakeDirectory {
  readonly kind = 'directory';
  readonly name: string;
  /** Is told of every part that is written to a file below it. */
  onWrite: ((file: string) => void) | undefined;
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

  async isSameEntry(other: unknown): Promise<boolean> {
    return other === this;
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
    made.onWrite = file => this.onWrite?.(file);
    this.#entries.set(name, made);
    return made;
  }
}

class FakeFile {
  readonly kind = 'file';
  readonly name: string;
  onWrite: ((file: string) => void) | undefined;
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
        this.onWrite?.(this.name);
        parts.push(part.slice());
      },
      close: () => {
        this.#content = new File(parts, this.name);
      },
    });
  }
}
