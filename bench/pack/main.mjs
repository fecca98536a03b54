import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

// What `run` starts, in the archive that `npm run bench:node -- --pack` writes. machine.js is bench/page/machine.ts, bundled.

const here = dirname(fileURLToPath(import.meta.url));
const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '7' },
    adapter: { type: 'string' },
    f16: { type: 'boolean', default: false },
  },
});

/** Dawn in the place where a browser has its WebGPU. */
async function installDawn() {
  const { create, globals } = await import('./webgpu/index.js');
  Object.assign(globalThis, globals);
  const gpu = create([
    ...(values.adapter === undefined ? [] : [`adapter=${values.adapter}`]),
    ...(values.f16 ? ['enable-dawn-features=vulkan_enable_f16_on_nvidia'] : []),
  ]);
  Object.defineProperty(globalThis, 'navigator', { value: { gpu }, configurable: true });
}

await installDawn();
const { benchMachine, reportOf } = await import('./machine.js');
const measured = await benchMachine({ seconds: 60 * Number(values.minutes), say: line => console.log(line) });
const result = {
  date: new Date().toISOString().slice(0, 10),
  node: process.versions.node,
  processor: `${cpus()[0]?.model} x ${cpus().length}`,
  ...measured,
};
writeFileSync(join(here, 'result.json'), `${JSON.stringify(result, undefined, 1)}\n`);
writeFileSync(join(here, 'result.txt'), reportOf(result));
console.log(reportOf(result));
console.log(`result.json and result.txt are in ${here}`);
// Dawn's instance would keep the process alive.
process.exit(result.correctness.failed.length > 0 ? 1 : 0);
