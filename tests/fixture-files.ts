import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The files of a model by their paths, as a load takes them. */
export type Files = Record<string, Uint8Array<ArrayBuffer>>;

export const fixtures = fileURLToPath(new URL('fixtures', import.meta.url));

/** All files below a folder but the answers, by their paths in it. */
export const filesBelow = (folder: string): Files =>
  Object.fromEntries(
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter(entry => entry.isFile() && entry.name !== 'expected.json')
      .map(entry => {
        const path = join(entry.parentPath, entry.name);
        return [path.slice(folder.length + 1), new Uint8Array(readFileSync(path))];
      }),
  );

/** The files of a checkpoint among the fixtures: `random/bert-base`. */
export const fixtureFiles = (name: string): Files => filesBelow(join(fixtures, name));
