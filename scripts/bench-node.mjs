import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { buildForNode } from '../bench/build-pages.mjs';
import { benchPackages } from '../bench/packages.mjs';
import { lists } from '../bench/work.mjs';
import { writeResult } from '../bench/write.mjs';
import { at } from './root.mjs';
import { setup } from './setup.mjs';
import { command, Stop, say, steps } from './step.mjs';

const help = `npm run bench:node [-- options]: kernels and whole calls on this machine's GPU, without a browser
  --runs N          counted runs of every warm call; 9 unless told
  --most-tokens N   where the sweep of list lengths ends; 8192 unless told
  --adapter NAME    Dawn's choice of an adapter, a part of its name
  --f16             NVIDIA on Vulkan: let Dawn offer shader-f16
  --pack DIR        measure nothing; write an archive to DIR that measures another machine (Linux on x64, no network needed)
WebGPU is Dawn's (the package webgpu, in bench/). VK_ICD_FILENAMES chooses the Vulkan driver, if there are several.`;

await command(async () => {
  const { values } = parseArgs({
    options: {
      runs: { type: 'string', default: '9' },
      'most-tokens': { type: 'string', default: '8192' },
      adapter: { type: 'string' },
      f16: { type: 'boolean', default: false },
      pack: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return void console.log(help);
  const [runs, mostTokens] = [Number(values.runs), Number(values['most-tokens'])];
  if (!Number.isInteger(runs) || runs < 1 || !(mostTokens >= 16)) throw new Stop('the options are no numbers', help);

  if (values.pack !== undefined) {
    const directory = values.pack;
    const step = steps(3);
    await step(...setup.packages);
    await step('Dawn', 'WebGPU for Node, into bench/node_modules', benchPackages);
    await step('archive', 'the measurements, Node, Dawn and a Vulkan loader (a minute or two)', async () =>
      (await import('./pack.mjs')).pack(directory),
    );
    return;
  }
  const step = steps(5);
  await step(...setup.packages);
  await step(...setup.model);
  await step('Dawn', 'WebGPU for Node, into bench/node_modules', benchPackages);
  const module = await step('bundle', 'the measurements, for Node', () => buildForNode('node'));
  /** @type {import('../bench/page/node.ts').NodeReport | undefined} */
  let report;
  await step('measure', 'calls, lists, kernels', async () => {
    await installDawn(values.adapter, values.f16);
    const { benchNode } = await import(module);
    const models = at('.cache', 'models');
    const config = readFileSync(
      at('.cache', 'models', 'sentence-transformers', 'all-MiniLM-L6-v2', 'config.json'),
      'utf8',
    );
    report = await benchNode(models, JSON.parse(config), lists, { runs, mostTokens });
  });
  if (!report) throw new Error('the measurements gave nothing');
  say(
    `${report.adapter}; tiling of the linears ${report.tiling}; loading took ${Math.round(report.loadMs)} ms; on the GPU ${JSON.stringify(report.gpuBytes)} bytes`,
  );
  const { adapter, floorMs, warm, sweep, kernels, tilings } = report;
  writeResult(
    {
      date: new Date().toISOString().slice(0, 10),
      version: JSON.parse(readFileSync(at('package.json'), 'utf8')).version,
      browser: `Node ${process.versions.node} with Dawn`,
      adapter,
      processor: `${cpus()[0]?.model} x ${cpus().length}`,
      model: 'all-MiniLM-L6-v2 in fp32',
      peer: 'nothing',
      floorMs,
      polls: false,
      load: [],
      warm,
      sweep,
      kernels,
      tilings,
    },
    'node',
  );
  // Dawn's instance would keep the process alive.
  process.exit(0);
});

/** Puts Dawn where a browser has its WebGPU. @param {string | undefined} adapter @param {boolean} f16 */
async function installDawn(adapter, f16) {
  const path = at('bench', 'node_modules', 'webgpu', 'index.js');
  /** @type {{ create(flags: string[]): GPU, globals: Record<string, unknown> }} */
  let dawn;
  try {
    dawn = await import(path);
  } catch (error) {
    throw new Stop(
      `Dawn does not start here: ${error instanceof Error ? error.message : error}`,
      'it is built for Linux, macOS and Windows with a GPU driver (on Linux: libvulkan1 and a Vulkan driver).',
    );
  }
  Object.assign(globalThis, dawn.globals);
  const gpu = dawn.create([
    ...(adapter === undefined ? [] : [`adapter=${adapter}`]),
    ...(f16 ? ['enable-dawn-features=vulkan_enable_f16_on_nvidia'] : []),
  ]);
  Object.defineProperty(globalThis, 'navigator', { value: { gpu }, configurable: true });
}
