import { existsSync, readFileSync } from 'node:fs';
import type { ModelSource } from '../src/checkpoint/source/index.ts';
import { streamedFile } from './checkpoint-bytes.ts';

export { type LoadedCheckpoint, loadCheckpoint } from './checkpoint-tensors.ts';

/** The files of a checkpoint in folders of this machine: each from the first folder that has it. */
export function folderSource(...folders: readonly URL[]): ModelSource {
  const read = (file: string, optional = false) => {
    const path = folders.map(folder => new URL(file, folder)).find(existsSync);
    if (path) return readFileSync(path) as Uint8Array;
    if (optional) return undefined;
    throw new Error(`no ${file} in ${folders.join(', ')}`);
  };
  return {
    name: 'folder',
    async open(file, { optional } = {}) {
      const bytes = read(file, optional);
      return bytes && streamedFile(new Blob([bytes as Uint8Array<ArrayBuffer>]).stream(), bytes.length);
    },
    async json(file, { optional } = {}) {
      const bytes = read(file, optional);
      return bytes && JSON.parse(new TextDecoder().decode(bytes));
    },
  };
}
