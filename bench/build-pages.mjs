import { copyFileSync } from 'node:fs';
import { at, root } from '../scripts/root.mjs';
import { inBench } from './packages.mjs';

export const pagesFolder = at('.cache', 'bench-pages');

/** @param {Record<string, string>} entry @param {string} outDir */
async function bundle(entry, outDir) {
  const { build } = await import('vite');
  await build({
    root,
    configFile: false,
    logLevel: 'warn',
    publicDir: false,
    build: {
      target: 'es2022',
      outDir,
      emptyOutDir: true,
      minify: false,
      reportCompressedSize: false,
      lib: { entry, formats: ['es'], fileName: (_, name) => `${name}.js` },
      // package.json says that no module has side effects. That is true of the library, but a suite of tests registers its cases.
      rolldownOptions: { external: [/^node:/], treeshake: false },
    },
  });
}

/** The pages' scripts as a browser runs them, and the pages beside them. */
export async function buildPages() {
  await bundle({ bench: inBench('page', 'page.ts'), compare: inBench('page', 'compare', 'page.ts') }, pagesFolder);
  copyFileSync(inBench('page', 'index.html'), `${pagesFolder}/index.html`);
  copyFileSync(inBench('page', 'compare', 'index.html'), `${pagesFolder}/compare.html`);
  return '.cache/bench-pages';
}

/**
 * Measurements for Node: `node` is what `npm run bench:node` runs, `machine` what its archive runs elsewhere.
 * @param {'node' | 'machine'} name @returns {Promise<string>} Where the module is.
 */
export async function buildForNode(name) {
  const folder = at('.cache', `bench-${name}`);
  await bundle({ [name]: inBench('page', `${name}.ts`) }, folder);
  return `${folder}/${name}.js`;
}

export const labWatchFolder = at('.cache', 'bench-lab');

/** The watch of a page's thread as a module of its own, for the page of the lab. */
export const buildLabWatch = () => bundle({ 'held-thread': inBench('page', 'held-thread.ts') }, labWatchFolder);
