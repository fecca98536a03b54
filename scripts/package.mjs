import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { install } from './packages.mjs';
import { at } from './root.mjs';
import { run } from './run.mjs';
import { Stop } from './step.mjs';

/** A folder in which somebody has installed the package, without our sources and without @webgpu/types. */
const consumer = at('.cache', 'package-test');
const compilers = at('tests', 'compilers');

/** What a stranger's tsconfig.json may say: everything is checked, and no types but the compiler's own are there. */
const compilerOptions = {
  strict: true,
  noEmit: true,
  skipLibCheck: false,
  target: 'es2022',
  lib: ['es2022', 'dom'],
  types: [],
  module: 'nodenext',
  moduleResolution: 'nodenext',
};

/** Every compiler that the types must suit: its name, and the program. */
const COMPILERS = [
  ...['5.0', '5.9', '6.0'].map(version => ({
    name: `TypeScript ${version}`,
    program: join(compilers, 'node_modules', `typescript-${version}`, 'bin', 'tsc'),
  })),
  { name: "this project's TypeScript", program: at('node_modules', 'typescript', 'bin', 'tsc') },
];

/**
 * Runs one check and throws what it printed where it failed.
 * @param {string} name @param {string} program @param {readonly string[]} args @param {string} next
 */
async function check(name, program, args, next) {
  const { ok, output } = await run(program, args);
  if (!ok) throw new Stop(`${name}:\n${output.trim()}`, next);
}

/**
 * Packs what npm would publish; dist/ must have been built. @param {string} folder
 * @returns {Promise<string>} The path of the tarball.
 */
export async function packTo(folder) {
  const { ok, output } = await run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder]);
  const name = /"filename":\s*"([^"]+)"/.exec(output)?.[1];
  if (!ok || name === undefined) throw new Stop(`npm pack failed:\n${output}`, 'mend what npm says above.');
  return join(folder, name);
}

/**
 * Links of the packed pages to files that are not packed. Those of README.md are left out: npm leads them to the repository.
 * @param {string} folder The unpacked package. @returns {string[]} The page and the link.
 */
function brokenLinks(folder) {
  const pages = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter(
    file => file.endsWith('.md') && file !== 'README.md',
  );
  return pages.flatMap(page => {
    const links = [...readFileSync(join(folder, page), 'utf8').matchAll(/\]\(([^)\s#:]+)(?:#[^)\s]*)?\)/g)];
    return links
      .map(([, link = '']) => link)
      .filter(link => !existsSync(join(folder, dirname(page), link)))
      .map(link => `${page}: ${link}`);
  });
}

/**
 * Looks at the package as a stranger gets it: publint and @arethetypeswrong/cli on the tarball of `npm pack`, the links of its pages, then a page of code
 * (tests/usage-types.ts) compiled against it by every compiler of tests/compilers and our own. dist/ must have been built.
 * @returns {Promise<string>} What was done, in words.
 */
export async function checkPackage() {
  await install(compilers, {
    next: 'the types are compiled by other versions of TypeScript: mend what npm says above.',
  });
  rmSync(consumer, { recursive: true, force: true });
  mkdirSync(consumer, { recursive: true });
  const tarball = await packTo(consumer);
  const node = process.execPath;
  const bin = (/** @type {string[]} */ ...parts) => at('node_modules', ...parts);
  await check('publint', node, [bin('publint', 'src', 'cli.js'), tarball, '--strict'], 'mend package.json.');
  await check(
    '@arethetypeswrong/cli',
    node,
    // There is no CommonJS build; Node 20.19 and later require() the module.
    [bin('@arethetypeswrong', 'cli', 'dist', 'index.js'), tarball, '--profile', 'esm-only', '--no-color', '--no-emoji'],
    'mend "exports" of package.json.',
  );
  await check('tar', 'tar', ['-xzf', tarball, '-C', consumer], 'tar must be able to read what npm pack writes.');
  const broken = brokenLinks(join(consumer, 'package'));
  if (broken.length > 0) {
    throw new Stop(`links to files that are not packed:\n${broken.join('\n')}`, 'write the address in the repository.');
  }
  const installed = join(consumer, 'node_modules', 'webgpu-bert');
  cpSync(join(consumer, 'package'), installed, { recursive: true });
  cpSync(at('tests', 'usage-types.ts'), join(consumer, 'usage-types.ts'));
  writeFileSync(join(consumer, 'package.json'), JSON.stringify({ private: true, type: 'module' }));
  writeFileSync(
    join(consumer, 'tsconfig.json'),
    JSON.stringify({ compilerOptions, files: ['usage-types.ts'] }, undefined, 2),
  );
  for (const { name, program } of COMPILERS) {
    await check(
      name,
      node,
      [program, '-p', consumer],
      'the types of dist/ must compile alone: mend the exported types.',
    );
  }
  return `publint, @arethetypeswrong/cli and ${COMPILERS.map(({ name }) => name).join(', ')}`;
}
