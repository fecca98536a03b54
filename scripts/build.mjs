import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { gzipSync } from 'node:zlib';
import { ENTRIES } from './entries.mjs';
import { digestOf } from './files-below.mjs';
import { at, root } from './root.mjs';
import { run } from './run.mjs';
import { command, Stop, say } from './step.mjs';

const bundle = at('dist', 'webgpu-bert.js');
/** One ES module for each source, for bundlers, Node and Deno; every entry of package.json is one of them. */
const modules = at('dist', 'es');
const types = at('dist', 'types');
/** What the compiler writes and the types are made of; no part of the package. */
const declarations = at('.cache', 'declarations');
const stamp = at('.cache', 'build-inputs');

/** Everything that the result depends on. */
const inputs = [
  'src',
  'shaders',
  'vite.config.ts',
  'tsconfig.json',
  'package-lock.json',
  'scripts/build.mjs',
  'scripts/files-below.mjs',
  'scripts/entries.mjs',
  'scripts/declarations.tsconfig.json',
];

function isFresh() {
  const outputs = [bundle, stamp, ...ENTRIES.flatMap(({ module, types }) => [at(module), at(types)])];
  return outputs.every(existsSync) && readFileSync(stamp, 'utf8') === digestOf(inputs);
}

/** dist/webgpu-bert.js is expected to stay below this many bytes, gzipped. A larger file is a warning, so that a dependency added by accident is noticed. */
const EXPECTED_BYTES = 155_000;

/** The size as a browser downloads it, in words. */
function size() {
  const bytes = readFileSync(bundle);
  const kilobytes = (/** @type {number} */ count) => `${(count / 1000).toFixed(1)} kB`;
  const gzipped = gzipSync(bytes, { level: 9 }).length;
  if (gzipped > EXPECTED_BYTES) {
    say(`warning: dist/webgpu-bert.js is ${gzipped} bytes gzipped, and was expected to be at most ${EXPECTED_BYTES}`);
  }
  return `dist/webgpu-bert.js ${kilobytes(bytes.length)}, gzipped ${kilobytes(gzipped)}`;
}

async function buildBundle() {
  const { build } = await import('vite');
  /** @type {unknown} */
  let result;
  try {
    result = await build({ root, configFile: at('vite.config.ts'), logLevel: 'warn' });
  } catch (error) {
    throw new Stop(`the bundle: ${error instanceof Error ? error.message : error}`, 'mend the source named above.');
  }
  const [{ output }] = /** @type {[import('vite').Rolldown.RolldownOutput]} */ ([result].flat());
  const chunks = output.filter(file => file.type === 'chunk');
  const outside = chunks.flatMap(chunk => [...chunk.imports, ...chunk.dynamicImports.filter(name => !isNodes(name))]);
  if (chunks.length !== 1 || outside.length > 0) {
    throw new Stop(
      `the bundle is ${chunks.length} files and imports ${outside.join(', ') || 'nothing'}`,
      'it must be one file that a page can load alone: take out of src/ what splits it.',
    );
  }
  const ofTraining = chunks.flatMap(chunk => chunk.moduleIds.filter(id => /\/src\/(training|gradients)\//.test(id)));
  if (ofTraining.length > 0) {
    throw new Stop(
      `the bundle has modules of training: ${ofTraining.join(', ')}`,
      'they belong to webgpu-bert/train alone: take out of src/ what imports them.',
    );
  }
  // Whatever it does when it is loaded must find all that it needs.
  await import(`${pathToFileURL(bundle).href}?${statSync(bundle).mtimeMs}`);
}

/**
 * The sources as ES modules under dist/es, one file for each: a bundler takes what a page uses, and all entries share the same modules,
 * so that classes, caches and `env` are one. They are not minified: that is the bundler's work, and a person can read them.
 */
async function buildModules() {
  const { rolldown } = await import('rolldown');
  rmSync(modules, { recursive: true, force: true });
  const input = Object.fromEntries(ENTRIES.map(({ name, source }) => [name, at(source)]));
  const bundle = await rolldown({ input, cwd: root, external: isNodes, platform: 'neutral' });
  const { output } = await bundle.write({
    dir: modules,
    format: 'es',
    preserveModules: true,
    preserveModulesRoot: root,
    // npm leaves every folder named node_modules out of a package.
    entryFileNames: ({ name }) => `${name.replace(/^node_modules\//, 'vendor/')}.js`,
  });
  await bundle.close();
  const chunks = output.filter(file => file.type === 'chunk');
  for (const { name, module } of ENTRIES) {
    const entry = chunks.find(chunk => at('dist', 'es', chunk.fileName) === at(module));
    if (!entry) throw new Stop(`the entry ${name} is not ${module}`, 'mend scripts/entries.mjs.');
    await import(`${pathToFileURL(at(module)).href}?${statSync(at(module)).mtimeMs}`);
  }
}

/** Behind a guarded dynamic import, Node's own modules are no burden for a page. @param {string} name */
const isNodes = name => name.startsWith('node:');

/**
 * The types of every entry, in files that import nothing but each other: a person who installs the package has neither our sources nor
 * @webgpu/types. The compiler writes a declaration for every source; rollup-plugin-dts makes these of those that are used.
 */
async function bundleTypes() {
  const [{ rollup }, { dts }] = await Promise.all([import('rollup'), import('rollup-plugin-dts')]);
  rmSync(types, { recursive: true, force: true });
  const input = Object.fromEntries(
    ENTRIES.map(({ name, source }) => [name, join(declarations, source.replace(/\.ts$/, '.d.ts'))]),
  );
  // A program exports nothing, and so has no types; types have no order in which they are executed.
  const expected = ['EMPTY_BUNDLE', 'CYCLIC_CROSS_CHUNK_REEXPORT'];
  const bundle = await rollup({
    input,
    plugins: [dts()],
    onLog: (level, log, handler) => expected.includes(log.code ?? '') || handler(level, log),
  });
  const { output } = await bundle.write({
    dir: types,
    // What several entries share stands in one file, since types refer to each other in circles.
    manualChunks: id => (Object.values(input).includes(id) ? undefined : 'shared'),
    chunkFileNames: '[name]-[hash].d.ts',
    entryFileNames: '[name].d.ts',
  });
  const files = output.filter(file => file.type === 'chunk');
  const own = new Set(files.map(file => file.fileName));
  const imports = files.flatMap(file => file.imports).filter(name => !own.has(name));
  if (imports.length === 0) return;
  throw new Stop(
    `the types import ${imports.join(', ')}`,
    'a person who installs the package has no such package: keep it out of the exported types.',
  );
}

async function declareTypes() {
  const compiler = at('node_modules', 'typescript', 'bin', 'tsc');
  const result = await run(process.execPath, [compiler, '-p', at('scripts', 'declarations.tsconfig.json')]);
  if (!result.ok) throw new Stop(`the types:\n${result.output.trim()}`, 'mend the errors above (npm run types).');
}

/** Builds dist/ where its sources have changed since. @returns {Promise<string>} What was done, in words. */
export async function build() {
  if (isFresh()) return `up to date, ${size()}`;
  const hash = digestOf(inputs);
  await Promise.all([buildBundle(), declareTypes()]);
  // After both: Vite empties dist/.
  await Promise.all([buildModules(), bundleTypes()]);
  mkdirSync(dirname(stamp), { recursive: true });
  writeFileSync(stamp, hash);
  return size();
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  await command(async () => say(await build()));
}
