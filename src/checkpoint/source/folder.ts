import type { ModelFile, ModelSource } from './types.ts';

/**
 * The files in a folder of a model, whose name ('' for the top folder) is known only when another file has been read. A file is asked
 * for at once in the top folder, where it nearly always is. Where the folder turns out to be another one, that answer is dropped.
 */
export function inFolder(source: ModelSource, folder: Promise<string>): ModelSource {
  async function find<T>(
    file: string,
    get: (file: string) => Promise<T>,
    drop: (early: T) => Promise<void> | undefined,
  ): Promise<T> {
    const early = get(file);
    // Its failure matters only where the file lies in the top folder.
    early.catch(() => undefined);
    const path = await folder;
    if (path === '') return early;
    void early.then(drop).catch(() => undefined);
    return get(inside(path, file));
  }
  return {
    name: source.name,
    open: (file, options) =>
      find<ModelFile | undefined>(
        file,
        name => source.open(name, options),
        early => early?.cancel(),
      ),
    json: (file, options) =>
      find(
        file,
        name => source.json(name, options),
        () => undefined,
      ),
  };
}

/** The name of a file in a folder of a model; the folder '' is the top one. */
export const inside = (folder: string, file: string): string => (folder === '' ? file : `${folder}/${file}`);

/** Whether a file name stays inside its folder on every kind of source: it has no '..', root, scheme, query or escape. */
export function isSafePath(file: string): boolean {
  return /^[\w-][\w. +@=,~-]*(\/[\w-][\w. +@=,~-]*)*$/.test(file);
}
