import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';
import { findChromium } from '../../scripts/chromium.mjs';
import { install } from '../../scripts/packages.mjs';
import { at } from '../../scripts/root.mjs';
import { run } from '../../scripts/run.mjs';

/**
 * Node with Dawn (the package webgpu) and Deno, each behind the interface of scripts/browsers.mjs: a page is a process that has loaded
 * the suite of its address.
 *
 * @typedef {import('../../scripts/browsers.mjs').Page} Page
 * @typedef {import('../../scripts/browsers.mjs').Browser} Browser
 * @typedef {object} Runtime
 * @property {() => Promise<Browser>} open
 * @property {(script: string, args: readonly string[]) => Promise<string>} print What a script writes; throws where it fails.
 * @typedef {Runtime | { why: string }} Found
 */

const folder = at('tests', 'runtimes');
const client = at('e2e', 'runtimes', 'client.mjs');
const modules = (/** @type {string[]} */ ...parts) => join(folder, 'node_modules', ...parts);

/**
 * Dawn and Deno, into tests/runtimes/node_modules (220 MB): apart from the library's own packages, which nobody needs both for.
 * @returns {Promise<string | undefined>} Why they cannot be had.
 */
export async function packages() {
  try {
    // The postinstall of webgpu asks a server for a newer build; the one in the package is what we test.
    await install(folder, { flags: ['--ignore-scripts'], next: '' });
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/**
 * Whether WebGPU gives an adapter there; if not, why. @param {string} program @param {readonly string[]} args
 * @param {Record<string, string | undefined>} env @returns {Promise<string | undefined>}
 */
async function noAdapter(program, args, env) {
  const { ok, output } = await run(program, args, { env, limitMs: 60_000 });
  return ok ? undefined : output.trim().split('\n').slice(-3).join(' ') || 'it ended without a word';
}

/** @returns {Promise<Found>} */
export async function findDeno() {
  const why = await packages();
  if (why) return { why };
  const names = { linux: 'linux', darwin: 'darwin', win32: 'win32' };
  const platform = names[/** @type {keyof typeof names} */ (process.platform)] ?? process.platform;
  const libc = process.platform === 'linux' ? '-glibc' : '';
  const file = process.platform === 'win32' ? 'deno.exe' : 'deno';
  const program = modules('@deno', `${platform}-${process.arch}${libc}`, file);
  if (!existsSync(program)) return { why: `there is no Deno for ${process.platform} on ${process.arch}` };
  const env = { DENO_DIR: at('.cache', 'deno'), DENO_NO_UPDATE_CHECK: '1', NO_COLOR: '1' };
  const source = 'if (!(await navigator.gpu?.requestAdapter())) throw new Error("requestAdapter() gives null");';
  const missing = await noAdapter(program, ['eval', source], env);
  if (missing) return { why: missing };
  const version = (await run(program, ['--version'], { env })).output.split(/\s/)[1] ?? '';
  // The tests' server has another port each time, so a kept module would never be used again.
  const args = ['run', '--allow-all', '--no-config', '--no-lock', '--reload', client];
  return {
    open: async () => runtime('deno', version, program, args, [], env),
    print: (script, values) => print(program, ['run', '--allow-all', '--no-lock', script, ...values], env),
  };
}

/** @returns {Promise<Found>} */
export async function findNode() {
  const why = await packages();
  if (why) return { why };
  const dawn = pathToFileURL(modules('webgpu', 'index.js')).href;
  const source = `const { create } = await import(${JSON.stringify(dawn)});
    if (!(await create([]).requestAdapter())) throw new Error('requestAdapter() gives null');
    process.exit(0);`;
  const args = ['--input-type=module', '--eval', source];
  const version = process.versions.node;
  let missing = '';
  for (const env of await vulkanDrivers()) {
    missing = (await noAdapter(process.execPath, args, env)) ?? '';
    if (missing) continue;
    return {
      open: async () => runtime('node', version, process.execPath, [client], [dawn], env),
      print: (script, values) => print(process.execPath, [script, ...values], { ...env, WEBGPU_PACKAGE: dawn }),
    };
  }
  return { why: missing };
}

/** @param {string} program @param {readonly string[]} args @param {Record<string, string>} env */
async function print(program, args, env) {
  const { ok, output } = await run(program, args, { env, limitMs: 120_000 });
  if (!ok) throw new Error(output);
  return output;
}

/** What to start Node with: first as it is; then, for machines without a GPU, with the SwiftShader that lies beside Chromium. */
async function vulkanDrivers() {
  const found = await findChromium();
  /** @type {Record<string, string>[]} */
  const environments = [{}];
  for (const base of [found && dirname(found.path), '/usr/lib/chromium']) {
    const file = base && join(base, 'vk_swiftshader_icd.json');
    if (file && existsSync(file)) environments.push({ VK_ICD_FILENAMES: file });
  }
  return environments;
}

/**
 * @param {'node' | 'deno'} name @param {string} version @param {string} program @param {readonly string[]} args Before the address.
 * @param {readonly string[]} rest Behind it. @param {Record<string, string | undefined>} env @returns {Browser}
 */
function runtime(name, version, program, args, rest, env) {
  /** @type {Set<Page>} */
  const pages = new Set();
  return {
    name,
    version,
    isOpen: () => true,
    async close() {
      await Promise.all([...pages].map(page => page.close()));
    },
    async newPage(url) {
      const page = processPage(address =>
        spawn(program, [...args, address, ...rest], { env: { ...process.env, ...env } }),
      );
      pages.add(page);
      if (url !== undefined) await page.goto(url);
      return page;
    },
  };
}

/** @param {(address: string) => import('node:child_process').ChildProcessWithoutNullStreams} start @returns {Page} */
function processPage(start) {
  /** @type {import('node:child_process').ChildProcessWithoutNullStreams | undefined} */
  let child;
  let last = 0;
  /** @type {Map<number, { resolve(value: any): void, reject(error: Error): void }>} */
  const waiting = new Map();
  /** @type {((line: string, kind: 'console' | 'error') => void)[]} */
  const seers = [];
  const see = (/** @type {string} */ line, /** @type {'console' | 'error'} */ kind) => {
    for (const seer of seers) seer(line, kind);
  };
  /** @param {string} line */
  const hear = line => {
    if (!line.startsWith('{')) return see(line, 'console');
    const message = JSON.parse(line);
    if (message.kind) return see(message.line, message.kind);
    const call = waiting.get(message.id);
    waiting.delete(message.id);
    if (message.error === undefined) call?.resolve(message.value);
    else call?.reject(new Error(message.error));
  };
  return {
    async goto(address) {
      child?.kill();
      child = start(address);
      createInterface({ input: child.stdout }).on('line', hear);
      /** @type {string[]} */
      const said = [];
      createInterface({ input: child.stderr }).on('line', line => {
        said.push(line);
        see(line, 'error');
      });
      child.on('close', code => {
        const words = `the process ended with ${code ?? 'a signal'}:\n${said.slice(-10).join('\n')}`;
        for (const { reject } of waiting.values()) reject(new Error(words));
        waiting.clear();
      });
    },
    evaluate: (body, ...values) =>
      new Promise((resolve, reject) => {
        const id = ++last;
        waiting.set(id, { resolve, reject });
        const expression =
          typeof body === 'string' ? body : `(${body})(${values.map(value => JSON.stringify(value)).join(', ')})`;
        child?.stdin.write(`${JSON.stringify({ id, expression })}\n`);
      }),
    screenshot: async () => {
      throw new Error('a process has no picture');
    },
    onMessage: seer => void seers.push(seer),
    close: async () => void child?.kill('SIGKILL'),
  };
}
