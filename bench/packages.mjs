import { existsSync, readFileSync } from 'node:fs';
import { at } from '../scripts/root.mjs';
import { run, tail } from '../scripts/run.mjs';
import { Stop } from '../scripts/step.mjs';

/** @param {...string} parts */
export const inBench = (...parts) => at('bench', ...parts);

/** @param {string} file @returns {Record<string, { version?: string, link?: boolean }> | undefined} */
function lock(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8')).packages;
  } catch {
    return undefined;
  }
}

function isFresh() {
  const wanted = lock(inBench('package-lock.json'));
  const present = lock(inBench('node_modules', '.package-lock.json'));
  if (!wanted || !present) return false;
  return Object.entries(wanted).every(
    ([path, { version }]) =>
      !path.startsWith('node_modules/') || (present[path]?.version === version && existsSync(inBench(path))),
  );
}

/**
 * transformers.js, onnxruntime-web and Dawn for Node, into bench/node_modules (about 300 MB): apart from the library's
 * own packages, so that nobody who only builds or tests it downloads them.
 * @returns {Promise<string>} What was done, in words.
 */
export async function benchPackages() {
  if (isFresh()) return 'already installed';
  const install = await run(
    'npm',
    ['ci', '--prefix', inBench(), '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'],
    // A page needs neither of the two downloads of these install scripts, should npm run them after all.
    { limitMs: 900_000, env: { ONNXRUNTIME_NODE_INSTALL: 'skip', ONNXRUNTIME_NODE_INSTALL_CUDA: 'skip' } },
  );
  if (install.ok) return 'installed';
  throw new Stop(
    install.missing ? 'npm is not on the PATH' : `npm ci in bench/ failed:\n${tail(install.output, 12)}`,
    'the side-by-side needs transformers.js: mend what npm says above, then run the command again; `--ours` measures without it.',
  );
}
