import { readFileSync } from 'node:fs';
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
