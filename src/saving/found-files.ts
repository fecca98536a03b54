import type { ModelSource } from '../checkpoint/source/index.ts';

/** Files that a load has read, and how they are opened again. */
export interface FoundFiles {
  /** Their paths. */
  readonly names: ReadonlySet<string>;
  readonly open: (signal: AbortSignal) => ModelSource;
}

/** The same source, which notes the paths of all files that are asked for and are there. */
export const noting = (source: ModelSource, names: Set<string>): ModelSource => ({
  name: source.name,
  async open(file, options) {
    const opened = await source.open(file, options);
    if (opened) names.add(file);
    return opened;
  },
  async json(file, options) {
    const value = await source.json(file, options);
    if (value !== undefined) names.add(file);
    return value;
  },
});

/**
 * Copies of files, byte for byte, by the same names. Throws SourceError, or the reason of the source's signal.
 * @param optional whether files that are not there are left out, which is an error otherwise
 */
export async function copiedFiles(source: ModelSource, names: Iterable<string>, optional = false): Promise<File[]> {
  const files: File[] = [];
  for (const name of names) {
    const opened = await source.open(name, { optional });
    if (!opened) continue;
    const parts: Blob[] = [];
    for await (const piece of opened.bytes) parts.push(new Blob([piece as Uint8Array<ArrayBuffer>]));
    files.push(new File(parts, name));
  }
  return files;
}
