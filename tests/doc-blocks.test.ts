import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { ENTRIES } from '../scripts/entries.mjs';
import { at } from '../scripts/root.mjs';
import { type Block, blocksOf, chained, taken, withAnswers } from './doc-blocks.ts';
import { fixtures } from './fixture-files.ts';
import { type WorkerDouble, workerDoubles } from './worker-double.ts';

/**
 * Every block of code of README.md, of docs/ and of the READMEs of the examples is compiled, and run on the float64 interpreter where it
 * can be; answers that its comments state are compared. Blocks of TypeScript of docs/recipes.md are run by tests/adapters/recipes.test.ts. Hub ids stand for small checkpoints of the fixtures, all-MiniLM-L6-v2 for itself
 * where numbers of it are stated.
 */

vi.mock('../src/engine/webgpu-backend.ts', async original => (await import('./on-the-cpu.ts')).onTheCPU(original));

const MINILM = 'sentence-transformers/all-MiniLM-L6-v2';
const minilm = at('.cache', 'models', MINILM);

/** The folders whose files a model has, the first with such a file first. */
const MODELS: Readonly<Record<string, readonly string[]>> = {
  [MINILM]: [minilm],
  'org/name': ['random/bert-base'],
  'google-bert/bert-base-uncased': ['random/bert-masked-lm'],
  'cross-encoder/ms-marco-MiniLM-L6-v2': ['random/bert-rerank'],
  'naver/splade-v3': ['sentence/splade-max', 'random/bert-masked-lm'],
  'lightonai/GTE-ModernColBERT-v1': ['sentence/colbert-query-length'],
  'colbert-ir/colbertv2.0': ['sentence/colbert-query-length'],
  'intfloat/e5-small-v2': ['random/bert-base'],
  'distilbert/distilbert-base-uncased-finetuned-sst-2-english': ['random/bert-multilabel'],
  'dslim/bert-base-NER': ['random/bert-token'],
  'deepset/roberta-base-squad2': ['random/bert-qa'],
  'MoritzLaurer/deberta-v3-base-zeroshot-v2.0-c': ['random/bert-sequence'],
};

/** Pages that state no number of all-MiniLM-L6-v2: a small checkpoint stands for it, which trains a hundred times as fast. */
const WITHOUT_NUMBERS: readonly string[] = ['docs/training.md'];
let isSmall = false;

/** Names of labels that a task looks for, in place of those of the fixture. */
const RENAMED: Readonly<Record<string, readonly [from: string, to: string]>> = {
  'MoritzLaurer/deberta-v3-base-zeroshot-v2.0-c': ['POS', 'entailment'],
};

/** Languages that are no code of a page. */
const OTHER_LANGUAGES = ['', 'sh', 'diff', 'json', 'text'];

const pages = [
  ...['README.md', 'AGENTS.md'],
  ...readdirSync(at('docs')).map(file => `docs/${file}`),
  ...readdirSync(at('examples')).map(name => `examples/${name}/README.md`),
]
  .filter(page => page.endsWith('.md') && existsSync(at(page)))
  .sort();
const blocks = pages.flatMap(blocksOf).filter(({ language }) => !OTHER_LANGUAGES.includes(language));
const scripts = (page: string, languages: readonly string[]): Block[] =>
  blocks.filter(block => block.page === page && languages.includes(block.language));
/** The same names come from this entry as from `webgpu-bert`: such a block stands alone. */
const isOfWorker = ({ code }: Block): boolean => code.includes("'webgpu-bert/worker'");
/** Those of JavaScript that belong together. */
const together = (page: string): Block[] => scripts(page, ['js']).filter(block => !isOfWorker(block));
/** A package that neither this project nor a page of its own has. */
const FOREIGN = / from '(?!webgpu-bert|webgpu'|react'|node:|\.|@preact\/signals'|@huggingface\/transformers')[^']+';/;
const work = at('.cache', 'doc-blocks');

/** Blocks of JavaScript that are compiled and not run, and why. Those of TypeScript are compiled only here. */
const NOT_RUN: Readonly<Record<string, string>> = {
  'docs/recipes.md: A page without WebGPU':
    'needs transformers.js: e2e/transformers-js.e2e.ts runs examples/fallback, which is the same',
  'examples/fallback/README.md: Without a GPU, 2':
    'needs transformers.js: e2e/transformers-js.e2e.ts makes such calls of pipeline.js',
  'examples/chroma/README.md: Chroma, 3': 'is a setting of Vite',
  'docs/start.md: Node and Deno':
    'needs the package webgpu: tests/installed/runtime/embed.mjs makes the same calls in Node',
  'docs/sources.md: Where a model comes from, 2': 'needs a person who chooses files',
  'docs/training.md: Keeping the result': 'needs a private file system: the suite of the Trainer makes the same calls',
};

/** Those of docs/recipes.md are run as well, by tests/adapters/recipes.test.ts, and the files of examples by examples.test.ts beside it. */
const ADAPTERS = 'imports packages of tests/adapters: scripts/adapters.mjs compiles it';

/** Blocks that are not compiled either, and why. */
const NOT_COMPILED: Readonly<Record<string, string>> = Object.fromEntries([
  ...blocks.filter(({ code }) => FOREIGN.test(code)).map(({ name }) => [name, ADAPTERS]),
  ...blocks.filter(({ code }) => code.trim() === '').map(({ name }) => [name, 'has no script of its own']),
]);

test('what is left out is there', () => {
  const names = blocks.map(({ name }) => name);
  expect(names).toEqual(expect.arrayContaining([...Object.keys(NOT_RUN), ...Object.keys(NOT_COMPILED)]));
});

/** Compiles the blocks of some languages of all pages. @returns what the compiler says */
function compiled(folder: string, languages: readonly string[], strict: boolean): string {
  const target = join(work, folder);
  rmSync(target, { recursive: true, force: true });
  mkdirSync(target, { recursive: true });
  for (const page of pages) {
    const some = scripts(page, languages).filter(({ name }) => NOT_COMPILED[name] === undefined);
    // Pages of HTML and blocks of TypeScript stand alone.
    const chain = languages.includes('js') ? some.filter(block => !isOfWorker(block)) : [];
    const alone = some.filter(block => !chain.includes(block)).map(block => [block]);
    for (const [i, part] of [chain, ...alone].entries()) {
      if (part.length === 0) continue;
      const { imports, code } = chained(part);
      writeFileSync(
        join(target, `${page.replaceAll('/', '-')}-${i}.tsx`),
        `${imports.join('\n')}\n${code}\nexport {};\n`,
      );
    }
  }
  const paths = {
    ...Object.fromEntries(
      ENTRIES.map(({ name, source }) => [name === 'index' ? 'webgpu-bert' : `webgpu-bert/${name}`, [at(source)]]),
    ),
    react: [at('node_modules', 'preact', 'hooks')],
    '@huggingface/transformers': [join(target, 'peer.d.ts')],
    webgpu: [join(target, 'dawn.d.ts')],
  };
  // What the pages call of transformers.js.
  writeFileSync(join(target, 'peer.d.ts'), "export { pipeline } from 'webgpu-bert';\n");
  writeFileSync(
    join(target, 'dawn.d.ts'),
    'export declare const globals: object;\nexport declare function create(flags: string[]): GPU;\n',
  );
  // What Vite makes of a name that ends in ?worker, as its own types (vite/client) say it.
  writeFileSync(join(target, 'vite.d.ts'), '/// <reference types="vite/client" />\n');
  const unused = { noUnusedLocals: false, noUnusedParameters: false };
  // A page in JavaScript says no types of parameters, and does not ask whether something is there.
  const loose = { noImplicitAny: strict, strictNullChecks: strict, noUncheckedIndexedAccess: strict };
  const compilerOptions = { ...unused, ...loose, paths };
  const config = { extends: at('tsconfig.json'), compilerOptions, include: ['*.tsx', '*.d.ts'] };
  writeFileSync(join(target, 'tsconfig.json'), JSON.stringify(config, undefined, 2));
  const { stdout } = spawnSync(process.execPath, [at('node_modules', 'typescript', 'bin', 'tsc'), '-p', target], {
    encoding: 'utf8',
  });
  // The sources are compiled by npm run types, as strictly as they are meant.
  let isOurs = false;
  return stdout
    .split('\n')
    .filter(line => {
      if (!line.startsWith(' ')) isOurs = line !== '' && !line.startsWith('../../../');
      return isOurs;
    })
    .join('\n');
}

describe('compiled', () => {
  test('JavaScript', () => expect(compiled('js', ['js'], false)).toBe(''), 120_000);
  test('pages of HTML', () => expect(compiled('html', ['html'], false)).toBe(''), 120_000);
  test('TypeScript', () => expect(compiled('ts', ['ts', 'tsx'], true)).toBe(''), 120_000);
});

/** The bytes of a file of a model that an address names; undefined where there is none. */
function fileAt(address: string): Uint8Array<ArrayBuffer> | undefined {
  const { pathname } = new URL(address);
  const [id = '', file = ''] = pathname.startsWith('/my-model/')
    ? ['org/name', pathname.slice('/my-model/'.length)]
    : pathname.slice(1).split(/\/resolve\/[^/]+\//);
  for (const folder of (isSmall && id === MINILM ? ['random/bert-base'] : MODELS[id]) ?? []) {
    const path = folder.startsWith('/') ? join(folder, file) : join(fixtures, folder, file);
    if (!existsSync(path)) continue;
    const bytes = new Uint8Array(readFileSync(path));
    const [from, to] = RENAMED[id] ?? [];
    if (file !== 'config.json' || from === undefined) return bytes;
    return new TextEncoder().encode(new TextDecoder().decode(bytes).replaceAll(`"${from}"`, `"${to}"`));
  }
  return undefined;
}

const answer = async (address: string, method = 'GET'): Promise<Response> => {
  const bytes = fileAt(address);
  if (bytes === undefined) return new Response('Entry not found', { status: 404 });
  const headers = { 'content-length': String(bytes.length), etag: '"1"', 'x-repo-commit': 'c'.repeat(40) };
  return new Response(method === 'HEAD' ? null : bytes, { headers });
};

const modules = async (name: string): Promise<unknown> => {
  if (name === 'webgpu-bert') return import('../src/index.ts');
  if (name === 'webgpu-bert/semantic-embedder') return import('../src/adapters/semantic-embedder.ts');
  if (name === 'webgpu-bert/worker') return import('../src/worker.ts');
  if (name === 'webgpu-bert/train') return import('../src/train.ts');
  throw new Error(`${name} is not there to be run`);
};

const folder = process.cwd();
const startDouble = await workerDoubles();
let usualFetch: typeof import('../src/index.ts')['env']['fetch'];
beforeAll(async () => {
  const { env } = await import('../src/index.ts');
  usualFetch = env.fetch;
  env.fetch = async (input, init) => answer(String(input), init?.method);
  env.allowLocalModels = false;
  const run = join(work, 'run');
  cpSync(join(fixtures, 'random', 'bert-base'), join(run, 'models', 'my-model'), { recursive: true });
  process.chdir(run);
}, 60_000);
afterAll(() => process.chdir(folder));

describe.skipIf(!existsSync(join(minilm, 'model.safetensors')))('run, with all-MiniLM-L6-v2 of npm run setup', () => {
  const AsyncFunction = (async () => undefined).constructor as new (
    ...parts: string[]
  ) => (...values: unknown[]) => Promise<void>;
  const stated = (actual: unknown, expected: unknown, line: string) => {
    const value = typeof expected === 'number' && typeof actual === 'number' ? Math.round(actual * 1e4) / 1e4 : actual;
    expect(value, line).toEqual(expected);
  };
  const quiet = { ...console, log: () => undefined, warn: () => undefined, info: () => undefined };
  const document = { body: { append: () => undefined } };

  /** Runs blocks, one after the other. */
  async function run(some: readonly Block[]): Promise<void> {
    const { env } = await import('../src/index.ts');
    const before = { ...env };
    const { imports, code } = chained(some.map(block => ({ ...block, code: withAnswers(block.code) })));
    const body = `${imports.map(taken).join('\n')}\n${code}`;
    isSmall = WITHOUT_NUMBERS.includes(some[0]!.page);
    try {
      await new AsyncFunction('modules', 'stated', 'console', 'document', body)(modules, stated, quiet, document);
    } finally {
      Object.assign(env, before);
    }
  }

  const isRun = ({ name }: Block) => !(name in NOT_RUN) && !(name in NOT_COMPILED);
  test.each(pages.filter(page => together(page).some(isRun)))('%s', page => run(together(page).filter(isRun)), 240_000);
  test.each(blocks.filter(block => block.language === 'js' && isOfWorker(block)).map(block => [block.name, block]))(
    '%s, in a worker on this thread',
    async (_, block) => {
      const { env } = await import('../src/worker.ts');
      // A page cannot hand a fetch of its own to the worker.
      const { fetch: ours } = env;
      env.fetch = usualFetch;
      vi.stubGlobal('fetch', ours);
      const doubles: WorkerDouble[] = [];
      env.worker = () => {
        doubles.push(startDouble());
        return doubles.at(-1) as unknown as Worker;
      };
      try {
        await run([block as Block]);
        expect(doubles).toHaveLength(1);
      } finally {
        for (const double of doubles) double.terminate();
        delete env.worker;
        env.fetch = ours;
        vi.unstubAllGlobals();
      }
    },
    240_000,
  );
  test.each(blocks.filter(block => block.language === 'html' && isRun(block)).map(block => [block.name, block]))(
    '%s, a page of HTML',
    (_, block) => run([block as Block]),
    240_000,
  );
});
