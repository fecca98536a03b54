import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { at, root } from './root.mjs';

/** @param {string} path @returns {string[]} Every file below a folder, in a fixed order; a file is itself. */
export function filesBelow(path) {
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path)
    .sort()
    .flatMap(name => filesBelow(join(path, name)));
}

/** A digest of the names and contents of files, by which a build tells whether it is up to date. @param {readonly string[]} inputs files and folders below the root */
export function digestOf(inputs) {
  const hash = createHash('sha256');
  for (const path of inputs.flatMap(name => filesBelow(at(name)))) {
    hash.update(`${relative(root, path).replaceAll('\\', '/')}\0`).update(readFileSync(path));
  }
  return hash.digest('hex');
}
