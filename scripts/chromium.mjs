import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { at } from './root.mjs';
import { aptInstall, isDebianRoot, run, tail } from './run.mjs';
import { Stop, say } from './step.mjs';

/** The first version whose headless mode has WebGPU on every desktop platform. */
const oldest = 121;

/** @param {readonly string[]} names @returns {string[]} */
export const onPath = names =>
  names.flatMap(name =>
    (process.env.PATH ?? '')
      .split(process.platform === 'win32' ? ';' : ':')
      .map(folder => join(folder, name))
      .filter(file => existsSync(file)),
  );

/** @returns {string[]} */
function installed() {
  if (process.platform === 'darwin') {
    return ['Google Chrome', 'Chromium', 'Microsoft Edge'].flatMap(name =>
      ['/Applications', `${process.env.HOME}/Applications`].map(
        folder => `${folder}/${name}.app/Contents/MacOS/${name}`,
      ),
    );
  }
  if (process.platform === 'win32') {
    const { PROGRAMFILES, 'PROGRAMFILES(X86)': x86, LOCALAPPDATA } = process.env;
    return [PROGRAMFILES, x86, LOCALAPPDATA].flatMap(folder =>
      folder === undefined
        ? []
        : ['Google\\Chrome', 'Chromium', 'Microsoft\\Edge'].map(name =>
            join(folder, name, 'Application', name.endsWith('Edge') ? 'msedge.exe' : 'chrome.exe'),
          ),
    );
  }
  return onPath(['google-chrome', 'google-chrome-stable', 'chromium', 'chromium-browser', 'microsoft-edge']);
}

/**
 * Whether a file is a browser that starts: its version, or why not. A wrapper that only says "install the snap" and a
 * download whose system libraries are missing both exist as files.
 * @param {string} path @returns {Promise<{ version?: string, why?: string }>}
 */
async function probe(path) {
  if (!existsSync(path)) return { why: `${path} does not exist` };
  // On Windows `chrome.exe --version` opens a window instead.
  if (process.platform === 'win32') return { version: 'installed' };
  const answer = await run(path, ['--version'], { limitMs: 20_000 });
  const version = answer.output.match(/(\d+)\.\d+\.\d+\.\d+/);
  if (!answer.ok || !version) return { why: `${path} does not start: ${tail(answer.output, 2) || 'no output'}` };
  if (Number(version[1]) < oldest) return { why: `${path} is version ${version[0]}, older than ${oldest}` };
  return { version: version[0] };
}

async function playwrightPath() {
  try {
    const { chromium } = await import('playwright');
    return chromium.executablePath();
  } catch {
    return '';
  }
}

/**
 * Finds Chrome or Chromium without installing anything.
 * @returns {Promise<{ path: string, version: string } | undefined>}
 */
export async function findChromium() {
  for (const name of ['WEBGPU_BERT_CHROME', 'CHROME_PATH']) {
    const path = process.env[name];
    if (!path) continue;
    const { version, why } = await probe(path);
    if (version === undefined) throw new Stop(`${name}: ${why}`, `set ${name} to a Chrome or Chromium, or unset it.`);
    return { path, version };
  }
  for (const path of [...installed(), await playwrightPath()]) {
    if (path === '' || !existsSync(path)) continue;
    const { version, why } = await probe(path);
    if (version !== undefined) return { path, version };
    say(`passed over: ${why}`);
  }
  return undefined;
}

/** Playwright's own download. Resolves to the reason where it could not be had. */
async function download() {
  say("Playwright's Chromium (about 170 MB)");
  const command = at('node_modules', 'playwright', 'cli.js');
  const result = await run(process.execPath, [command, 'install', 'chromium'], {
    limitMs: 600_000,
    quietMs: 60_000,
    env: { PLAYWRIGHT_DOWNLOAD_CONNECTION_TIMEOUT: '10000' },
  });
  if (result.ok) return undefined;
  const reason = result.output.match(/Error: .+/)?.[0] ?? (tail(result.output, 2) || 'no answer');
  return `Playwright's download failed: ${reason}`;
}

/**
 * Finds Chrome or Chromium, or installs one.
 * @returns {Promise<{ path: string, version: string }>}
 */
export async function chromium() {
  const found = await findChromium();
  if (found) return found;
  /** @type {string[]} */
  const reasons = ['no installed Chrome or Chromium was found'];
  /** @type {(() => Promise<string | undefined>)[]} */
  const ways = [download];
  if (await isDebianRoot()) ways.push(() => aptInstall(['chromium'], say));
  for (const way of ways) {
    const reason = await way();
    if (reason !== undefined) {
      reasons.push(reason);
      say(reason);
      continue;
    }
    const now = await findChromium();
    if (now) return now;
    reasons.push('what was installed does not start (above)');
  }
  throw new Stop(
    reasons.join('; '),
    'install Google Chrome or Chromium, or set WEBGPU_BERT_CHROME to one, then run the command again.',
  );
}
