import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { digestOf, filesBelow } from './files-below.mjs';
import { at } from './root.mjs';
import { command, Stop, say } from './step.mjs';

/** The lab's production build: examples/lab and the library, as files that any server can give. */
export const labFolder = at('.cache', 'lab');

/** The custom element, for other pages. */
export const elementFolder = at('.cache', 'lab-element');

const source = at('examples', 'lab');
const stamp = at('.cache', 'lab-inputs');

/** All JavaScript of the page together, before compression; but what the tab of training alone loads, which has a bound of its own.
 * 400 kB of it are the library. */
const MOST_BYTES = 600_000;
/** Of both ways to train, with the gradients of every family (those of DeBERTa's distances are 14 kB) and what refuses bad data. */
const MOST_TRAINING_BYTES = 280_000;

/** Everything that the result depends on. */
const inputs = ['examples/lab', 'src', 'shaders', 'package-lock.json', 'scripts/lab.mjs', 'scripts/files-below.mjs'];

/** The settings that the page and its custom element are both built with. */
const shared = {
  configFile: /** @type {const} */ (false),
  logLevel: /** @type {const} */ ('warn'),
  root: source,
  base: './',
  resolve: {
    alias: [
      { find: /^webgpu-bert$/, replacement: at('src', 'index.ts') },
      { find: /^webgpu-bert\/train$/, replacement: at('src', 'train.ts') },
    ],
  },
  // TypeScript's own setting of this lies in the root, which Vite does not look into for a page below it.
  // `development` follows NODE_ENV where it is not said, which is "test" under Vitest: the tests are to see the page that people get.
  oxc: { jsx: { runtime: /** @type {const} */ ('automatic'), importSource: 'preact', development: false } },
};

async function buildPage() {
  const { build } = await import('vite');
  await build({
    ...shared,
    build: {
      outDir: labFolder,
      emptyOutDir: true,
      target: 'es2022',
      reportCompressedSize: false,
      modulePreload: { polyfill: false },
      rolldownOptions: { external: [/^node:/] },
    },
  });
}

/** <bert-attention> as a file of its own. The library is imported by its name, when the element is to load a model. */
async function buildElement() {
  const { build } = await import('vite');
  await build({
    ...shared,
    resolve: {},
    publicDir: false,
    build: {
      outDir: elementFolder,
      emptyOutDir: true,
      target: 'es2022',
      // With light-dark(), which follows the colours of whatever page the element is in: what Vite would write for older browsers does not.
      cssTarget: ['chrome123', 'firefox120', 'safari17.5'],
      reportCompressedSize: false,
      lib: {
        entry: join(source, 'attention', 'bert-attention.ts'),
        formats: ['es'],
        fileName: () => 'bert-attention.js',
      },
      rolldownOptions: { external: ['webgpu-bert'], output: { codeSplitting: false, minify: true } },
    },
  });
}

/** What the tab of training alone loads. @param {string} path */
const isOfTraining = path => basename(path).startsWith('training-');

/** Writes the lists of the page's files into the service worker, and a name that changes with any of them. */
async function writeServiceWorker() {
  const { minify } = await import('vite');
  const files = filesBelow(labFolder)
    .map(path => relative(labFolder, path).replaceAll('\\', '/'))
    // The page itself is kept under the address of its folder.
    .filter(file => file !== 'index.html' && file !== 'service-worker.js');
  const hash = createHash('sha256');
  for (const file of ['index.html', ...files]) hash.update(`${file}\0`).update(readFileSync(join(labFolder, file)));
  const worker = readFileSync(join(source, 'service-worker.js'), 'utf8')
    .replace('/* FILES */ []', JSON.stringify(files.filter(file => !isOfTraining(file))))
    .replace('/* LATER */ []', JSON.stringify(files.filter(isOfTraining)))
    .replace('lab-VERSION', `lab-${hash.digest('hex').slice(0, 16)}`);
  const { code } = await minify('service-worker.js', worker, { module: false });
  writeFileSync(join(labFolder, 'service-worker.js'), code);
}

/** The models that lie in a folder by their ids, as the page asks for them. @param {string} folder @returns {string[]} */
function modelsIn(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder).flatMap(owner =>
    readdirSync(join(folder, owner))
      .filter(name => existsSync(join(folder, owner, name, 'config.json')))
      .map(name => `${owner}/${name}`),
  );
}

/**
 * The page and the models beside it, as scripts/serve.mjs mounts them.
 * @param {string} models a folder that holds models by their ids @returns {Record<string, string>}
 */
export function labMounts(models) {
  const list = at('.cache', 'local-models.json');
  // In one move, since another program may serve the same file now.
  const written = `${list}.${process.pid}`;
  writeFileSync(written, JSON.stringify(modelsIn(models)));
  renameSync(written, list);
  const entries = readdirSync(labFolder, { withFileTypes: true }).map(entry => {
    const path = join(labFolder, entry.name);
    return entry.isDirectory() ? [`/${entry.name}/`, path] : [`/${entry.name}`, path];
  });
  return {
    '/': join(labFolder, 'index.html'),
    ...Object.fromEntries(entries),
    '/local-models.json': list,
    '/models/': models,
  };
}

/** The bytes of the scripts of the page, and of those that the tab of training alone loads. */
function scriptBytes() {
  const scripts = filesBelow(labFolder).filter(path => path.endsWith('.js'));
  /** @param {boolean} ofTraining */
  const sum = ofTraining =>
    scripts.filter(path => isOfTraining(path) === ofTraining).reduce((bytes, path) => bytes + statSync(path).size, 0);
  return { page: sum(false), training: sum(true) };
}

/** @param {string} name @param {number} bytes @param {number} most */
function checkBytes(name, bytes, most) {
  if (bytes <= most) return;
  throw new Stop(
    `${name} are ${bytes} bytes, and are to be at most ${most}`,
    'take out what a tab does not need, or load it from a lighter package.',
  );
}

/** Builds .cache/lab where its sources have changed since. @returns {Promise<string>} What was done, in words. */
export async function buildLab() {
  const hash = digestOf(inputs);
  const isFresh = [stamp, labFolder, elementFolder].every(existsSync) && readFileSync(stamp, 'utf8') === hash;
  if (!isFresh) {
    try {
      await Promise.all([buildPage(), buildElement()]);
    } catch (error) {
      throw new Stop(`the lab: ${error instanceof Error ? error.message : error}`, 'mend the source named above.');
    }
    await writeServiceWorker();
    writeFileSync(stamp, hash);
  }
  const { page, training } = scriptBytes();
  checkBytes("the lab's scripts", page, MOST_BYTES);
  checkBytes("the scripts of the lab's training", training, MOST_TRAINING_BYTES);
  const words = `${(page / 1000).toFixed(0)} kB of JavaScript, and ${(training / 1000).toFixed(0)} kB for training`;
  return isFresh ? `up to date, ${words}` : words;
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  await command(async () => say(await buildLab()));
}
