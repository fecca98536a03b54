import { existsSync, mkdirSync, mkdtempSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onPath } from './chromium.mjs';
import { at } from './root.mjs';
import { aptInstall, isDebianRoot, run, tail } from './run.mjs';
import { Stop, say } from './step.mjs';

/** The first version with WebGPU behind a preference on every desktop platform's release build. */
const oldest = 141;

/** @returns {string[]} */
function installed() {
  if (process.platform === 'darwin') return ['/Applications/Firefox.app/Contents/MacOS/firefox'];
  if (process.platform === 'win32') {
    return [process.env.PROGRAMFILES, process.env['PROGRAMFILES(X86)']].flatMap(folder =>
      folder === undefined ? [] : [join(folder, 'Mozilla Firefox', 'firefox.exe')],
    );
  }
  return onPath(['firefox', 'firefox-esr']);
}

/** @param {string} path @returns {Promise<{ version?: string, why?: string }>} */
async function probe(path) {
  if (!existsSync(path)) return { why: `${path} does not exist` };
  if (process.platform === 'win32') return { version: 'installed' };
  const answer = await run(path, ['--version'], { limitMs: 20_000, env: homeOfThisUser() });
  const version = answer.output.match(/Firefox (\d+)[\d.]*/);
  if (!answer.ok || !version) return { why: `${path} does not start: ${tail(answer.output, 2) || 'no output'}` };
  if (Number(version[1]) < oldest) return { why: `${path} is ${version[0]}, older than ${oldest}` };
  return { version: version[0].replace('Firefox ', '') };
}

/**
 * Finds Firefox without installing anything: a path and version, or why there is none.
 * @returns {Promise<{ path: string, version: string } | { why: string }>}
 */
export async function findFirefox() {
  const named = process.env.WEBGPU_BERT_FIREFOX;
  if (named) {
    const { version, why } = await probe(named);
    if (version === undefined) {
      throw new Stop(`WEBGPU_BERT_FIREFOX: ${why}`, 'set WEBGPU_BERT_FIREFOX to a Firefox, or unset it.');
    }
    return { path: named, version };
  }
  let reason = 'Firefox is not installed';
  for (const path of installed()) {
    const { version, why } = await probe(path);
    if (version !== undefined) return { path, version };
    if (why !== undefined && existsSync(path)) reason = why;
  }
  return { why: reason };
}

/** Finds Firefox, or installs it on Debian; it is a second opinion, so where it cannot be had that is no failure. */
export async function firefox() {
  const found = await findFirefox();
  if ('path' in found || !(await isDebianRoot())) return found;
  const reason = await aptInstall(['firefox-esr', 'mesa-vulkan-drivers'], say);
  return reason === undefined ? findFirefox() : { why: reason };
}

/** Firefox refuses to run as root with the home folder of somebody else; then it gets one of its own. */
export function homeOfThisUser() {
  const uid = process.getuid?.();
  const home = process.env.HOME;
  if (uid === undefined || (home && existsSync(home) && statSync(home).uid === uid)) return {};
  const own = at('.cache', 'firefox-home');
  mkdirSync(own, { recursive: true });
  // A mounted folder may give its files another owner than the one who makes them.
  return { HOME: statSync(own).uid === uid ? own : mkdtempSync(join(tmpdir(), 'firefox-home-')) };
}
