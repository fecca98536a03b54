import { cpSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ENTRIES } from './entries.mjs';
import { install, outOfReach } from './packages.mjs';
import { at } from './root.mjs';
import { run } from './run.mjs';
import { Stop } from './step.mjs';

const folder = at('tests', 'adapters');

/** Where the examples and the code of docs/recipes.md are compiled, as in a project of their own. */
const project = at('.cache', 'adapters');

/** The examples that are for packages of tests/adapters. */
const EXAMPLES = ['chroma', 'orama', 'pglite', 'tanstack-ai'];

/** The blocks of TypeScript in a text in Markdown. @param {string} markdown */
const blocksOf = markdown => [...markdown.matchAll(/^```ts\n([\s\S]*?)^```$/gm)].map(([, code]) => code);

/** The examples, the code of their READMEs and that of docs/recipes.md, with the packages of tests/adapters and dist/. */
function writeProject() {
  rmSync(project, { recursive: true, force: true });
  mkdirSync(project, { recursive: true });
  symlinkSync(join(folder, 'node_modules'), join(project, 'node_modules'), 'junction');
  for (const name of EXAMPLES) cpSync(at('examples', name), join(project, 'examples', name), { recursive: true });
  const texts = [
    ['.', at('docs', 'recipes.md')],
    ...EXAMPLES.map(name => [join('examples', name), at('examples', name, 'README.md')]),
  ];
  for (const [place = '.', file = ''] of texts) {
    for (const [i, code] of blocksOf(readFileSync(file, 'utf8')).entries()) {
      // Every block is a module of its own.
      writeFileSync(join(project, place, `block-${i}.ts`), `${code}\nexport {};\n`);
    }
  }
  // What Vite makes of a name that ends in ?worker, as its own types say it.
  writeFileSync(join(project, 'vite.d.ts'), '/// <reference types="vite/client" />\n');
  const { compilerOptions } = JSON.parse(readFileSync(join(folder, 'tsconfig.json'), 'utf8'));
  const paths = Object.fromEntries(
    ENTRIES.map(({ name, types }) => [name === 'index' ? 'webgpu-bert' : `webgpu-bert/${name}`, [at(types)]]),
  );
  writeFileSync(
    join(project, 'tsconfig.json'),
    JSON.stringify({ compilerOptions: { ...compilerOptions, paths }, include: ['.'] }),
  );
}

/**
 * Installs the packages that the adapters are written for, and compiles the tests of the adapters, the examples and docs/recipes.md
 * against these packages and the types of dist/, which must have been built.
 * @returns {Promise<{ why?: string }>} `why` the tests cannot be run, where the registry is out of reach.
 */
export async function prepareAdapters() {
  try {
    // Optional are native parts of servers, which nothing here starts.
    await install(folder, { flags: ['--omit=optional'], next: 'mend what npm says above.' });
  } catch (error) {
    const offline = outOfReach(error);
    if (offline === undefined) throw error;
    return { why: `the packages of tests/adapters could not be fetched (${offline})` };
  }
  writeProject();
  const compiler = at('node_modules', 'typescript', 'bin', 'tsc');
  for (const place of [folder, project]) {
    const { ok, output } = await run(process.execPath, [compiler, '-p', place]);
    if (ok) continue;
    const next =
      'mend the adapter, its test, the example or docs/recipes.md; .cache/adapters has the blocks by number.';
    throw new Stop(`${place} does not compile:\n${output.trim()}`, next);
  }
  return {};
}
