import { existsSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { ENTRIES } from '../scripts/entries.mjs';
import { at } from '../scripts/root.mjs';
import { env } from '../src/index.ts';

test('package.json exports every entry that is built, types first, and nothing else', () => {
  const { exports } = JSON.parse(readFileSync(at('package.json'), 'utf8')) as { exports: Record<string, unknown> };
  const entries = ENTRIES.map(({ name, module, types }) => [
    name === 'index' ? '.' : `./${name}`,
    { types: `./${types}`, default: `./${module}` },
  ]);
  expect(exports).toEqual({ ...Object.fromEntries(entries), './package.json': './package.json' });
  expect(Object.values(exports).map(entry => Object.keys(entry as object)[0])).not.toContain('default');
});

test('env.version is that of package.json', () => {
  const { version } = JSON.parse(readFileSync(at('package.json'), 'utf8')) as { version: string };
  expect(env.version).toBe(version);
});

test('AGENTS.md has sixty lines at most, and names no file that the package has not', () => {
  const text = readFileSync(at('AGENTS.md'), 'utf8');
  const { files } = JSON.parse(readFileSync(at('package.json'), 'utf8')) as { files: string[] };
  expect(text.trimEnd().split('\n').length).toBeLessThanOrEqual(60);
  expect(files).toContain('docs/*.md');
  const named = [...text.matchAll(/\b(?:docs|examples|src|tests|dist)\/[\w./-]*\w/g)].map(([path]) => path);
  expect(named).not.toEqual([]);
  for (const path of named) {
    expect(path).toMatch(/^(docs\/[\w-]+\.md|dist\/.+)$/);
    if (path.startsWith('docs/')) expect(existsSync(at(path)), path).toBe(true);
  }
});
