import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { install, outOfReach } from './packages.mjs';
import { at, root } from './root.mjs';
import { run, tail } from './run.mjs';
import { setup } from './setup.mjs';
import { command, Stop, say, steps } from './step.mjs';

/**
 * Builds the documentation into a site: VitePress, of the Markdown in docs/, and pages of the API that typedoc makes of the sources. The
 * packages for it are docs/package.json's.
 */

const help = `npm run docs [-- options]
  --serve     shows the site on this machine after it is built`;

const folder = at('docs');
export const site = at('.cache', 'docs');

/** Installs the packages of docs/. @returns {Promise<string>} What was done, in words. */
export const docsPackages = () =>
  install(folder, {
    flags: ['--include=dev'],
    next: "npm's own words are above: the site needs VitePress and typedoc from the registry. All other commands work without them.",
  });

/**
 * All of it, for the tests. Where the registry cannot be had, it is skipped.
 * @returns {Promise<{ skipped: string | undefined, words: string }>}
 */
export async function checkDocs() {
  try {
    await docsPackages();
  } catch (error) {
    const why = outOfReach(error);
    if (why === undefined) throw error;
    const words = `skipped: the packages of docs/ are not here, and the registry cannot be reached (${why})`;
    return { skipped: 'docs: the registry cannot be reached', words };
  }
  await buildApi();
  await buildSite();
  return { skipped: undefined, words: 'every page, without warnings or dead links' };
}

/** @param {readonly string[]} args A program of docs/node_modules, and its arguments. @param {string} next */
async function program([name = '', ...args], next) {
  const entry = { typedoc: ['typedoc', 'bin', 'typedoc'], vitepress: ['vitepress', 'bin', 'vitepress.js'] }[name] ?? [];
  const { ok, output } = await run(process.execPath, [join(folder, 'node_modules', ...entry), ...args], {
    env: { NO_COLOR: '1', FORCE_COLOR: undefined },
  });
  // Escapes of colour, which some programs write to a pipe too.
  const words = output.replaceAll(String.fromCharCode(27), '').replaceAll(/\[\d+m/g, '');
  // Both end well with warnings: a page that is not found is an error for VitePress, a language that it cannot colour is none.
  const warnings = words.split('\n').filter(line => /\bwarn(ing)?\b|\(!\)/i.test(line));
  if (!ok) throw new Stop(`${name} failed:\n${tail(words, 30)}`, next);
  if (warnings.length > 0) throw new Stop(`${name} warns:\n${warnings.join('\n')}`, next);
}

/** Pages of the API, from the comments of the sources, into docs/api. */
export async function buildApi() {
  rmSync(join(folder, 'api'), { recursive: true, force: true });
  await program(
    ['typedoc', '--options', join(folder, 'typedoc.config.mjs')],
    'mend the comments; a type that an exported one names is exported too, or listed in docs/typedoc.config.mjs.',
  );
  return 'docs/api';
}

/** The site, into .cache/docs. Dead links and warnings are errors. */
export async function buildSite() {
  await program(['vitepress', 'build', folder], 'mend the page that is named above.');
  return site;
}

async function main() {
  const { values } = parseArgs({
    options: { serve: { type: 'boolean', default: false }, help: { type: 'boolean', default: false } },
  });
  if (values.help) return void console.log(help);
  const step = steps(values.serve ? 5 : 4);
  await step(...setup.packages);
  await step('packages of docs/', 'VitePress and typedoc, into docs/node_modules', docsPackages);
  await step('api', 'typedoc, of the sources into docs/api', buildApi);
  await step('site', 'VitePress, into .cache/docs', buildSite);
  if (!values.serve) return;
  await step('page', 'served to this machine alone', async () => {
    const { createServer } = await import('node:http');
    const { default: sirv } = await import('sirv');
    const files = sirv(site, { dev: true, extensions: ['html'] });
    const server = createServer((request, response) =>
      files(request, response, () => {
        response.writeHead(404).end();
      }),
    );
    await new Promise((resolve, reject) =>
      server.once('error', reject).listen(5174, '127.0.0.1', () => resolve(undefined)),
    );
    say('http://127.0.0.1:5174/  (end it with Ctrl+C)');
  });
}

if (process.argv[1] !== undefined && process.argv[1] === join(root, 'scripts', 'docs.mjs')) await command(main);
