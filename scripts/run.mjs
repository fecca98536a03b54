import { spawn } from 'node:child_process';
import { root } from './root.mjs';

/**
 * @typedef {object} RunOptions
 * @property {boolean} [show] The program's output goes to this terminal; else it is kept and returned.
 * @property {number} [limitMs] The program is ended after this time.
 * @property {number} [quietMs] The program is ended when it has printed nothing for this time (only without `show`).
 * @property {Record<string, string | undefined>} [env] Added to this process's environment.
 * @property {(line: string) => void} [onLine] Told every line (only without `show`).
 *
 * @typedef {object} RunResult
 * @property {boolean} ok Exit code 0.
 * @property {number | null} code The exit code; null where it was ended by a signal or could not be started.
 * @property {string} output stdout and stderr together, in order of arrival.
 * @property {boolean} missing There is no such program.
 */

/**
 * Runs a program without a shell (but on Windows, where npm and npx are .cmd files that need one). Never throws.
 * @param {string} program @param {readonly string[]} args @param {RunOptions} [options] @returns {Promise<RunResult>}
 */
export function run(program, args, { show = false, limitMs, quietMs, env, onLine } = {}) {
  return new Promise(resolve => {
    const child = spawn(program, args, {
      cwd: root,
      env: { ...process.env, ...env },
      stdio: ['ignore', show ? 'inherit' : 'pipe', show ? 'inherit' : 'pipe'],
      shell: process.platform === 'win32' && !program.toLowerCase().endsWith('.exe'),
    });
    let output = '';
    let rest = '';
    const limit = limitMs === undefined ? undefined : setTimeout(() => child.kill(), limitMs);
    /** @type {NodeJS.Timeout | undefined} */
    let quiet;
    const listen = () => {
      clearTimeout(quiet);
      if (quietMs !== undefined) quiet = setTimeout(() => child.kill(), quietMs);
    };
    /** @param {string} text */
    const take = text => {
      output += text;
      listen();
      const lines = (rest + text).split(/[\r\n]+/);
      rest = lines.pop() ?? '';
      if (onLine) for (const line of lines) onLine(line);
    };
    child.stdout?.setEncoding('utf8').on('data', take);
    child.stderr?.setEncoding('utf8').on('data', take);
    listen();
    /** @param {number | null} code @param {boolean} missing */
    const finish = (code, missing) => {
      clearTimeout(limit);
      clearTimeout(quiet);
      resolve({ ok: code === 0, code, output, missing });
    };
    child.on('error', error => finish(null, 'code' in error && error.code === 'ENOENT'));
    child.on('close', code => finish(code, false));
  });
}

/** The last lines of a program's output, for a message. @param {string} output @param {number} [count] */
export const tail = (output, count = 6) =>
  output
    .split('\n')
    .filter(line => line.trim() !== '')
    .slice(-count)
    .join('\n');

/** Whether this process may install Debian packages. */
export const isDebianRoot = async () =>
  process.platform === 'linux' && process.getuid?.() === 0 && (await run('apt-get', ['--version'])).ok;

let listsAreFresh = false;

/**
 * apt-get update once, then install. Resolves to undefined, or to the reason why it could not be.
 * @param {readonly string[]} packages @param {(text: string) => void} note
 */
export async function aptInstall(packages, note) {
  const env = { DEBIAN_FRONTEND: 'noninteractive' };
  if (!listsAreFresh) {
    note('apt-get update');
    const update = await run('apt-get', ['update'], { limitMs: 180_000, env });
    if (!update.ok) return `apt-get update failed:\n${tail(update.output)}`;
    listsAreFresh = true;
  }
  note(`apt-get install ${packages.join(' ')} (some minutes, some hundred MB)`);
  const install = await run('apt-get', ['install', '-y', '--no-install-recommends', ...packages], {
    limitMs: 900_000,
    env,
  });
  return install.ok ? undefined : `apt-get install ${packages.join(' ')} failed:\n${tail(install.output)}`;
}
