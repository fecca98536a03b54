import { InputError } from '../errors.ts';
import { globalOf } from '../runtime/index.ts';

/** The folders that trainings of this page write their checkpoints into now, in the order in which they asked. */
const HELD: { readonly folder: FileSystemDirectoryHandle }[] = [];

/** The path of a folder in the origin's private file system; undefined of one that the user has picked. */
async function privatePath(folder: FileSystemDirectoryHandle): Promise<string | undefined> {
  try {
    const root = await globalOf('navigator')?.storage.getDirectory();
    return (await root?.resolve(folder))?.join('/');
  } catch {
    // A page may have no private file system (a private window, a frame without storage), and a folder all the same.
    return undefined;
  }
}

const inUse = (name: string): InputError =>
  new InputError({
    what: 'another training writes its checkpoints into this folder now',
    actual: name,
    next: 'Wait for it to end, or pass another output_dir. It may be in another tab of this page.',
  });

/**
 * Holds a folder for one training: two would write files of both into one checkpoint, which nobody could tell from a whole one. Between pages
 * of one origin this is a Web Lock (https://w3c.github.io/web-locks/), which a page that is closed gives back. A folder that the user has
 * picked has no name by which another page could know it, so it is held in this page alone.
 * @returns gives it back
 * @throws {InputError} where another training holds it
 */
export async function holdFolder(folder: FileSystemDirectoryHandle): Promise<() => void> {
  const own = { folder };
  const earlier = [...HELD];
  HELD.push(own);
  const leave = () => void HELD.splice(HELD.indexOf(own), 1);
  try {
    for (const held of earlier) if (await held.folder.isSameEntry(folder)) throw inUse(folder.name);
    const unlock = await lockBetweenPages(folder);
    return () => {
      leave();
      unlock();
    };
  } catch (error) {
    leave();
    throw error;
  }
}

async function lockBetweenPages(folder: FileSystemDirectoryHandle): Promise<() => void> {
  const locks = globalOf('navigator')?.locks;
  const path = locks && (await privatePath(folder));
  if (!locks || path === undefined) return () => undefined;
  return new Promise((resolve, reject) => {
    locks
      .request(`webgpu-bert: checkpoints in ${path}`, { ifAvailable: true }, lock => {
        if (!lock) throw inUse(`opfs:${path}`);
        return new Promise<void>(unlock => resolve(unlock));
      })
      .catch(reject);
  });
}
