import { pathToFileURL } from 'node:url';
import { fetchModel } from '../weights/fetch.mjs';
import { chromium } from './chromium.mjs';
import { firefox } from './firefox.mjs';
import { packages } from './packages.mjs';
import { command, steps } from './step.mjs';

/** The steps that every command shares; each looks first whether there is anything to do. */
export const setup = {
  packages: /** @type {const} */ (['packages', 'what package-lock.json lists, into node_modules', packages]),
  chromium: /** @type {const} */ ([
    'browser',
    'Chrome or Chromium, with WebGPU',
    async () => {
      const { path, version } = await chromium();
      return `${path} ${version}`;
    },
  ]),
  firefox: /** @type {const} */ ([
    'second browser',
    'Firefox, for the same tests in another WebGPU',
    async () => {
      const found = await firefox();
      return 'path' in found ? `${found.path} ${found.version}` : `none, its tests are skipped: ${found.why}`;
    },
  ]),
  model: /** @type {const} */ ([
    'model',
    'sentence-transformers/all-MiniLM-L6-v2 (91 MB), into .cache/models',
    () => fetchModel(),
  ]),
};

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  await command(async () => {
    const step = steps(4);
    for (const [name, purpose, body] of Object.values(setup)) await step(name, purpose, body);
  });
}
