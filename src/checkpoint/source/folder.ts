import type { ModelFile, ModelSource } from './types.ts';

/**
 * The files of a folder of a model, '' for the model's own, that is known only when another file has come. A file is asked for
 * in the model's own folder at once, for that is where it nearly always is; what comes of it is dropped where it is not.
 */
export function inFolder(source: ModelSource, folder: Promise<string>): ModelSource {
  async function find<T>(
    file: string,
    get: (file: string) => Promise<T>,
    drop: (early: T) => Promise<void> | undefined,
  ): Promise<T> {
    const early = get(file);
    // Whether it failed matters only where it is the file that is meant.
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
        early => early?.stream.cancel(),
      ),
    json: (file, options) =>
      find(
        file,
        name => source.json(name, options),
        () => undefined,
      ),
  };
}

/** The name of a file that lies in a folder of a model, '' for the model's own. */
export const inside = (folder: string, file: string): string => (folder === '' ? file : `${folder}/${file}`);

/** Whether a file name stays in its folder on every kind of source: no way up, no root, scheme, query or escape. */
export function isSafePath(file: string): boolean {
  return /^[\w-][\w. +@=,~-]*(\/[\w-][\w. +@=,~-]*)*$/.test(file);
}
