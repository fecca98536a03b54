import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './root.mjs';
import { run, tail } from './run.mjs';
import { Stop, say } from './step.mjs';

/** @typedef {{ packages: Record<string, { version?: string, optional?: boolean, devOptional?: boolean }> }} Lock */

/** @param {string} path @returns {Lock | undefined} */
function lock(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return undefined;
  }
}

/**
 * npm writes node_modules/.package-lock.json last, so it tells what a finished install has put there.
 * @param {string} folder
 */
function isFresh(folder) {
  const wanted = lock(join(folder, 'package-lock.json'))?.packages;
  const present = lock(join(folder, 'node_modules', '.package-lock.json'))?.packages;
  if (!wanted || !present) return false;
  return Object.entries(wanted).every(([path, entry]) => {
    // The folder itself, or a link out of it. An optional package is for one platform, and may well be absent on this one.
    if (!path.startsWith('node_modules/') || (entry.optional && !present[path])) return true;
    return present[path]?.version === entry.version && existsSync(join(folder, path));
  });
}

/**
 * Installs the packages of a folder's package-lock.json where they are not there already.
 * @param {string} folder @param {{ flags?: readonly string[], env?: Record<string, string>, next: string }} options
 * @returns {Promise<string>} What was done, in words.
 */
export async function install(folder, { flags = [], env, next }) {
  if (isFresh(folder)) return 'already installed';
  const args = ['ci', '--prefix', folder, ...flags, '--no-audit', '--no-fund', '--loglevel=error'];
  const { ok, missing, output } = await run('npm', args, { limitMs: 900_000, env });
  if (missing) throw new Stop('npm is not on the PATH', 'install Node with npm, then run the command again.');
  if (!ok) throw new Stop(`npm ci in ${folder} failed:\n${tail(output, 12)}`, next);
  return 'installed';
}

/** What npm says where the registry cannot be reached. */
const OFFLINE =
  /\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH|ERR_SOCKET_TIMEOUT)\b/;

/** The code by which an error of `install` says that the registry cannot be reached; undefined for any other error. @param {unknown} error */
export const outOfReach = error => (error instanceof Error ? OFFLINE.exec(error.message)?.[0] : undefined);

/** Installs the project's own packages where they are not there already. */
export async function packages() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major < 20 || (major === 20 && minor < 19)) {
    throw new Stop(`this is Node ${process.versions.node}`, 'install Node 20.19 or later, then run the command again.');
  }
  if (!isFresh(root)) say('npm ci (a minute or so)');
  return install(root, {
    // Development packages are what this is about, also where NODE_ENV says production.
    flags: ['--include=dev'],
    next: "npm's own words are above; most often the network or a proxy is in the way. Then run the command again.",
  });
}
