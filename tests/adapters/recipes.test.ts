import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { env, type FeatureExtractionPipeline } from 'webgpu-bert';
import { at } from '../../scripts/root.mjs';
import { type Block, blocksOf } from '../doc-blocks.ts';
import type { Files } from '../fixture-files.ts';
import { mounted } from './hooks.ts';
import { embedderFiles, rankerFiles } from './models.ts';

vi.mock('../../src/engine/support.ts', () => ({ isSupported: async () => ({ ok: true, software: false }) }));

/**
 * The blocks of TypeScript of docs/recipes.md, run as they stand, on the float64 interpreter. Hub ids stand for small checkpoints,
 * all-MiniLM-L6-v2 for itself. scripts/adapters.mjs compiles those that use packages of others, tests/doc-blocks.test.ts the rest, and
 * runs those of JavaScript.
 */

const MINILM = 'sentence-transformers/all-MiniLM-L6-v2';
const minilm = at('.cache', 'models', MINILM);
const hasMiniLM = existsSync(join(minilm, 'model.safetensors'));

/** Blocks that are compiled alone, and why. */
const NOT_RUN: Readonly<Record<string, string>> = {
  'docs/recipes.md: PGlite with pgvector': 'asks a table that examples/pglite makes, in the IndexedDB of a browser',
  "docs/recipes.md: Off the page's thread, 2": 'asks Vite for a worker of a page: tests/installed has such a page',
  "docs/recipes.md: Off the page's thread, 3": 'needs module workers: the suite worker makes the same calls',
  'docs/recipes.md: Chroma': 'needs a server of Chroma: examples.test.ts makes the same calls of one that it plays',
};

const blocks = blocksOf('docs/recipes.md').filter(
  ({ language, name }) => ['ts', 'tsx'].includes(language) && !(name in NOT_RUN),
);
/** A module for each. vitest.config.ts gives them the packages of tests/adapters. */
const folder = at('.cache', 'recipes');

const MODELS: Readonly<Record<string, () => Files>> = {
  'intfloat/e5-small-v2': embedderFiles,
  'cross-encoder/ms-marco-MiniLM-L6-v2': rankerFiles,
};

function fileOf(address: string): Uint8Array<ArrayBuffer> | undefined {
  const [id = '', file = ''] = new URL(address).pathname.slice(1).split(/\/resolve\/[^/]+\//);
  if (id !== MINILM) return MODELS[id]?.()[file];
  const path = join(minilm, file);
  return existsSync(path) ? new Uint8Array(readFileSync(path)) : undefined;
}

beforeAll(() => {
  env.allowLocalModels = false;
  env.fetch = async (input, init) => {
    const bytes = fileOf(String(input));
    if (bytes === undefined) return new Response('Entry not found', { status: 404 });
    const headers = { 'content-length': String(bytes.length), etag: '"1"', 'x-repo-commit': 'c'.repeat(40) };
    return new Response(init?.method === 'HEAD' ? null : bytes, { headers });
  };
  mkdirSync(folder, { recursive: true });
});
afterEach(() => vi.unstubAllGlobals());
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('what is left out is there', () => {
  const names = blocksOf('docs/recipes.md').map(({ name }) => name);
  expect(names).toEqual(expect.arrayContaining(Object.keys(NOT_RUN)));
  expect(blocks.length).toBeGreaterThan(8);
});

/**
 * Runs a block. @returns what it exports
 * @param held `pipeline` of the block is the test's `heldPipeline`
 */
async function run({ name, code }: Block, held = ''): Promise<Record<string, unknown>> {
  const file = join(folder, `block-${blocks.findIndex(block => block.name === name)}${held}.ts`);
  writeFileSync(
    join(folder, 'held.ts'),
    'export const pipeline = (...values) => globalThis.heldPipeline(...values);\n',
  );
  const placed = code
    .replaceAll("'webgpu-bert'", held ? "'./held.ts'" : "'webgpu-bert'")
    .replaceAll("'./examples/", `'${at('examples')}/`)
    .replaceAll("'react'", `'${at('tests', 'adapters', 'hooks.ts')}'`);
  writeFileSync(file, `${placed}\nexport {};\n`);
  return import(/* @vite-ignore */ file);
}

describe('run', () => {
  test.for(blocks.map(block => [block.name, block] as const))(
    '%s',
    async ([, block], { skip }) => {
      if (block.code.includes(MINILM) && !hasMiniLM) skip(`npm run setup has not fetched ${MINILM}`);
      const bar = { value: 0 };
      vi.stubGlobal('document', { querySelector: () => bar });
      await run(block);
      if (block.code.includes('downloadprogress')) expect(bar.value).toBe(1);
    },
    120_000,
  );
});

describe('the hook of React', () => {
  const hook = blocks.find(({ language }) => language === 'tsx')!;
  type UseExtractor = (model: string) => { extractor: { current: unknown }; state: unknown };

  test('loads, and gives the model back when its component goes', async () => {
    const { useExtractor } = (await run(hook)) as { useExtractor: UseExtractor };
    const component = mounted(() => useExtractor('intfloat/e5-small-v2'));
    expect(component.value.state).toBe('loading');
    await vi.waitFor(() => expect(component.value.state).toBe('ready'), 10_000);
    const extractor = component.value.extractor.current as FeatureExtractionPipeline;
    expect((await extractor('a')).dims.at(-1)).toBe(48);
    const disposed = vi.spyOn(extractor, 'dispose');
    component.unmount();
    expect(component.value.extractor.current).toBe(null);
    await vi.waitFor(() => expect(disposed).toHaveBeenCalled());
  });

  test('shows no model whose load ends just before its component goes', async () => {
    const { useExtractor } = (await run(hook, 'held')) as { useExtractor: UseExtractor };
    let resolve: (value: object) => void = () => undefined;
    const load = new Promise<object>(give => {
      resolve = give;
    });
    vi.stubGlobal('heldPipeline', () => load);
    const component = mounted(() => useExtractor('org/name'));
    const dispose = vi.fn();
    resolve({ dispose });
    component.unmount();
    await vi.waitFor(() => expect(dispose).toHaveBeenCalledOnce());
    expect(component.value.extractor.current).toBe(null);
    expect(component.value.state).toBe('loading');
  });
});
