/**
 * What can be imported from the package: every entry of "exports" in package.json, by the name of its types and of its subpath
 * (`webgpu-bert/name`, and `webgpu-bert` alone for `index`), and the source that it is. All of them are built together, so that they
 * share their modules. None imports a package.
 */
const SOURCES = {
  index: 'src/index.ts',
  'semantic-embedder': 'src/adapters/semantic-embedder.ts',
  worker: 'src/worker.ts',
  // What `webgpu-bert/worker` starts; imported by workers that a page makes itself.
  'worker-script': 'src/worker-script.ts',
  'ai-sdk': 'src/adapters/ai-sdk.ts',
  langchain: 'src/adapters/langchain.ts',
  train: 'src/train.ts',
};

/** @type {readonly { name: string, source: string, module: string, types: string }[]} */
export const ENTRIES = Object.entries(SOURCES).map(([name, source]) => ({
  name,
  source,
  module: `dist/es/${name}.js`,
  types: `dist/types/${name}.d.ts`,
}));
