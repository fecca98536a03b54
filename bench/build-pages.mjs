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
      rolldownOptions: { external: [/^node:/] },
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

/** The same measurements, for Node. @returns {Promise<string>} Where the module is. */
export async function buildForNode() {
  const folder = at('.cache', 'bench-node');
  await bundle({ node: inBench('page', 'node.ts') }, folder);
  return `${folder}/node.js`;
}
