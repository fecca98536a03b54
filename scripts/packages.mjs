import { existsSync, readFileSync } from 'node:fs';
import { at } from './root.mjs';
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

/** npm writes node_modules/.package-lock.json last, so it tells what a finished install has put there. */
function isFresh() {
  const wanted = lock(at('package-lock.json'))?.packages;
  const present = lock(at('node_modules', '.package-lock.json'))?.packages;
  if (!wanted || !present) return false;
  return Object.entries(wanted).every(([path, entry]) => {
    // An optional package is for one platform, and may well be absent on this one.
    if (path === '' || (entry.optional && !present[path])) return true;
    return present[path]?.version === entry.version && existsSync(at(path));
  });
}

/** Installs the packages of package-lock.json where they are not there already. */
export async function packages() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major < 20 || (major === 20 && minor < 19)) {
    throw new Stop(`this is Node ${process.versions.node}`, 'install Node 20.19 or later, then run the command again.');
  }
  if (isFresh()) return 'already installed';
  say('npm ci (a minute or so)');
  // Development packages are what this is about, also where NODE_ENV says production.
  const install = await run('npm', ['ci', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error'], {
    limitMs: 900_000,
  });
  if (install.missing) throw new Stop('npm is not on the PATH', 'install Node with npm, then run the command again.');
  if (!install.ok) {
    throw new Stop(
      `npm ci failed:\n${tail(install.output, 12)}`,
      "npm's own words are above; most often the network or a proxy is in the way. Then run the command again.",
    );
  }
  return 'installed';
}
