import { DeviceError, describe, InputError, SourceError } from '../errors.ts';
import { globalOf } from '../runtime/index.ts';
import { holdFolder } from './folder-lock.ts';

/** The file of a checkpoint that is made first, empty, and filled last: a folder where it is empty is one whose writing was cut off. */
export const LAST_FILE = 'trainer_state.json';
const CHECKPOINT = /^checkpoint-(\d{1,15})$/;
/** What names of folders in the origin's private file system begin with. */
export const OPFS = 'opfs:';

/** Where checkpoints are, as `output_dir` has it. */
export type OutputDirectory = string | FileSystemDirectoryHandle;

/** Whether all files of a checkpoint are there; unknown where nobody has begun one, or where it cannot be read now. */
type FolderState = 'whole' | 'torn' | 'unknown';

/** A folder with checkpoints, `checkpoint-500` and so on, in the origin's private file system or where the user has picked one. */
export class CheckpointFolders {
  readonly #root: FileSystemDirectoryHandle;
  /** Gives the folder back to other trainings. */
  readonly close: () => void;

  private constructor(root: FileSystemDirectoryHandle, close: () => void) {
    this.#root = root;
    this.close = close;
  }

  /**
   * Makes the folder where it is not there, and holds it until `close()`. Throws DeviceError where there is no file system, SourceError
   * where it refuses, InputError where another training holds it.
   */
  static async open(directory: OutputDirectory): Promise<CheckpointFolders> {
    const root = await folderOf(directory, { create: true });
    return new CheckpointFolders(root, await holdFolder(root));
  }

  /** The checkpoints that are whole, the latest last. */
  async list(): Promise<{ name: string; step: number }[]> {
    const found = await this.#found();
    return found.filter(({ state }) => state === 'whole').map(({ name, step }) => ({ name, step }));
  }

  /** Removes what was left of checkpoints whose writing was cut off: nobody can go on from them, and they take room. */
  async removeTorn(): Promise<void> {
    for (const { name, state } of await this.#found()) if (state === 'torn') await this.remove(name);
  }

  /** All folders with the name of a checkpoint, by their steps. */
  async #found(): Promise<{ name: string; step: number; state: FolderState }[]> {
    const names = await accessed(this.#root.name, () => listOf(this.#root.keys()));
    const found = names.flatMap(name => {
      const step = CHECKPOINT.exec(name)?.[1];
      return step === undefined ? [] : [{ name, step: Number(step) }];
    });
    const all = await Promise.all(found.map(async each => ({ ...each, state: await this.#stateOf(each.name) })));
    return all.sort((a, b) => a.step - b.step);
  }

  async #stateOf(name: string): Promise<FolderState> {
    try {
      const folder = await this.#root.getDirectoryHandle(name);
      const file = await (await folder.getFileHandle(LAST_FILE)).getFile();
      return file.size > 0 ? 'whole' : 'torn';
    } catch {
      return 'unknown';
    }
  }

  /** Writes a checkpoint, instead of one of the same name. A reader finds it once all of it is there. Throws SourceError. */
  async write(name: string, files: readonly File[]): Promise<void> {
    await this.remove(name);
    const folder = await accessed(name, () => this.#root.getDirectoryHandle(name, { create: true }));
    // So that it is known for what it is if it is not finished: a folder of this name without the file is somebody else's.
    await accessed(LAST_FILE, () => folder.getFileHandle(LAST_FILE, { create: true }));
    await writeFiles(folder, files, LAST_FILE);
  }

  /** All files of a checkpoint, those of folders by their paths. Throws SourceError where it is not there. */
  async read(name: string): Promise<File[]> {
    const folder = await accessed(name, () => this.#root.getDirectoryHandle(name));
    return readFiles(folder);
  }

  /** Removes a checkpoint, if it is there. */
  async remove(name: string): Promise<void> {
    try {
      await this.#root.removeEntry(name, { recursive: true });
    } catch (error) {
      if (!isNotFound(error)) throw refused(name, error);
    }
  }
}

/**
 * Removes what was left of torn checkpoints, and checkpoints until `limit` of them are left, the oldest first. The one of this name, which
 * was just written, stays, and so does the best one.
 * @param saved `own`: the names of those that this training has written, or goes on from
 */
export async function removeOldest(
  folders: CheckpointFolders,
  {
    name,
    best,
    own,
    limit,
  }: { name: string; best: string | null; own: ReadonlySet<string>; limit: number | undefined },
): Promise<void> {
  await folders.removeTorn();
  if (limit === undefined) return;
  const others = (await folders.list()).filter(each => each.name !== name && each.name !== best);
  // What another training has left goes first, however many steps it had.
  const old = [...others.filter(each => !own.has(each.name)), ...others.filter(each => own.has(each.name))];
  const kept = limit - 1 - Number(best !== null && best !== name);
  for (const each of old.slice(0, Math.max(0, old.length - Math.max(0, kept)))) await folders.remove(each.name);
}

/** The files of one folder, which may be a checkpoint's. Throws SourceError where it is not there. */
export const filesOfFolder = async (directory: OutputDirectory): Promise<File[]> =>
  readFiles(await folderOf(directory, { create: false }));

/** Writes files into a folder, and makes the folder. Throws DeviceError where there is no file system, SourceError where it refuses. */
export async function writeIntoFolder(directory: OutputDirectory, files: readonly File[]): Promise<void> {
  await writeFiles(await folderOf(directory, { create: true }), files);
}

async function folderOf(directory: OutputDirectory, options: { create: boolean }): Promise<FileSystemDirectoryHandle> {
  if (typeof directory !== 'string') return directory;
  if (!directory.startsWith(OPFS)) throw new InputError({ what: 'this is no folder', actual: describe(directory) });
  const { storage } = globalOf('navigator') ?? {};
  if (!storage?.getDirectory) {
    throw new DeviceError({
      what: 'there is no private file system for checkpoints',
      actual: directory,
      next: 'Pass a FileSystemDirectoryHandle as output_dir, or no output_dir and keep the files of save_pretrained().',
    });
  }
  return accessed(directory, async () => {
    let folder = await storage.getDirectory();
    for (const part of directory.slice(OPFS.length).split('/')) folder = await folder.getDirectoryHandle(part, options);
    return folder;
  });
}

/** @param last the name of the file that is written when all others are there */
async function writeFiles(folder: FileSystemDirectoryHandle, files: readonly File[], last?: string): Promise<void> {
  const isLast = ({ name }: File) => name === last;
  for (const file of [...files.filter(each => !isLast(each)), ...files.filter(isLast)]) {
    await accessed(file.name, async () => {
      const path = file.name.split('/');
      let parent = folder;
      for (const part of path.slice(0, -1)) parent = await parent.getDirectoryHandle(part, { create: true });
      const handle = await parent.getFileHandle(path.at(-1)!, { create: true });
      const writable = await handle.createWritable();
      await file.stream().pipeTo(writable);
    });
  }
}

async function readFiles(folder: FileSystemDirectoryHandle, prefix = ''): Promise<File[]> {
  const files: File[] = [];
  for (const handle of await accessed(prefix || folder.name, () => listOf(folder.values()))) {
    const path = `${prefix}${handle.name}`;
    if (handle.kind === 'directory') {
      files.push(...(await readFiles(handle as FileSystemDirectoryHandle, `${path}/`)));
    } else {
      const file = await accessed(path, () => (handle as FileSystemFileHandle).getFile());
      files.push(prefix === '' ? file : new File([file], path));
    }
  }
  return files;
}

async function listOf<T>(entries: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const entry of entries) list.push(entry);
  return list;
}

/** What an access to a file gives. Throws SourceError where the file system refuses, as when another page has removed the file. */
export async function accessed<T>(file: string, access: () => Promise<T>): Promise<T> {
  try {
    return await access();
  } catch (error) {
    throw refused(file, error);
  }
}

const isNotFound = (error: unknown): boolean => error instanceof DOMException && error.name === 'NotFoundError';

function refused(file: string, cause: unknown): SourceError {
  const isFull = cause instanceof DOMException && cause.name === 'QuotaExceededError';
  return new SourceError({
    file,
    what: isNotFound(cause) ? `"${file}" is not there` : `"${file}" could not be saved or read`,
    actual: String(cause),
    next: isFull
      ? 'The browser gives this page no more room: pass save_total_limit or save_only_model, or ask with navigator.storage.persist().'
      : undefined,
    cause,
  });
}
