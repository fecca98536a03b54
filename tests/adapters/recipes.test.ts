import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { env } from 'webgpu-bert';
import { at } from '../../scripts/root.mjs';
import { blocksOf } from '../doc-blocks.ts';
import type { Files } from '../fixture-files.ts';
import { embedderFiles, rankerFiles } from './models.ts';

/**
 * The blocks of TypeScript of docs/recipes.md that use packages of others, run as they stand, on the float64 interpreter. Hub ids stand
 * for small checkpoints, all-MiniLM-L6-v2 for itself. scripts/adapters.mjs compiles them.
 */

const MINILM = 'sentence-transformers/all-MiniLM-L6-v2';
const minilm = at('.cache', 'models', MINILM);
const hasMiniLM = existsSync(join(minilm, 'model.safetensors'));

/** Blocks that are compiled alone, and why. */
const NOT_RUN: Readonly<Record<string, string>> = {
  'docs/recipes.md: PGlite with pgvector': 'asks a table that examples/pglite makes, in the IndexedDB of a browser',
  "docs/recipes.md: Off the page's thread, 3": 'needs module workers: the suite worker makes the same calls',
  'docs/recipes.md: Chroma': 'needs a server of Chroma: examples.test.ts makes the same calls of one that it plays',
};

/** Of the others tests/doc-blocks.test.ts runs the JavaScript, and compiles the TypeScript. */
const isForeign = (code: string): boolean =>
  / from '(?!webgpu-bert['/]|\.\/)|'webgpu-bert\/(ai-sdk|langchain)'/.test(code);
const blocks = blocksOf('docs/recipes.md').filter(
  ({ language, code, name }) => language === 'ts' && isForeign(code) && !(name in NOT_RUN),
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
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('what is left out is there', () => {
  const names = blocksOf('docs/recipes.md').map(({ name }) => name);
  expect(names).toEqual(expect.arrayContaining(Object.keys(NOT_RUN)));
  expect(blocks.length).toBeGreaterThan(5);
});

describe('run', () => {
  test.for(blocks.map((block, i) => [block.name, block.code, i] as const))(
    '%s',
    async ([, code, i], { skip }) => {
      skip(code.includes(MINILM) && !hasMiniLM, 'all-MiniLM-L6-v2 of npm run setup is not there');
      const file = join(folder, `block-${i}.ts`);
      writeFileSync(file, `${code.replaceAll("'./examples/", `'${at('examples')}/`)}\nexport {};\n`);
      await import(/* @vite-ignore */ file);
    },
    120_000,
  );
});
