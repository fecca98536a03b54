import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';

/** `npm run families -- --notes FILE` writes tables of a file of notes. Of any other file it writes nothing, and says why. */

const script = fileURLToPath(new URL('../scripts/families.mjs', import.meta.url));
const TABLES = ['../docs/models.md', '../docs/families.md'].map(file => new URL(file, import.meta.url));
let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'notes-'));
});
afterAll(() => rm(directory, { recursive: true }));

const run = (file: string) =>
  new Promise<{ failed: boolean; words: string }>(resolve => {
    execFile(process.execPath, [script, '--notes', file], (error, stdout, stderr) => {
      resolve({ failed: error !== null, words: stdout + stderr });
    });
  });

const note = (suite: string, notes: readonly unknown[]) => JSON.stringify({ browser: 'chromium', suite, notes });

const figures = (numbers: object) => JSON.stringify({ family: 'bert', cls: 'BertModel', ...numbers });

test.each([
  ['there is no such file', undefined, 'there is no file'],
  ['it is empty', '', 'has no note of the suite "heads"'],
  ['it has blank lines alone', '\n\n', 'has no note of the suite "heads"'],
  ['it is of another suite', note('dtype', ['x']), 'has no note of the suite "heads"'],
  ['it is no JSON', 'chromium: 3 tests', 'line 1 of'],
  ['it is JSON of something else', `${note('dtype', [])}\n{"family": "bert"}`, 'line 2 of'],
  ['its notes are no figures', note('heads', ['fast']), 'line 1 of'],
  ['a figure is missing', note('heads', [figures({ fp16: 1 })]), 'line 1 of'],
  ['a figure is no number', note('heads', [figures({ fp32: 1, q8: 'good' })]), 'line 1 of'],
])('%s', async (name, content, words) => {
  const file = join(directory, name);
  if (content !== undefined) await writeFile(file, content);
  const before = await Promise.all(TABLES.map(table => readFile(table, 'utf8')));
  const { failed, words: said } = await run(file);
  expect(said).toContain(words);
  expect(said).toContain('WEBGPU_BERT_NOTES');
  expect(said).not.toContain('    at ');
  expect(failed).toBe(true);
  expect(await Promise.all(TABLES.map(table => readFile(table, 'utf8')))).toEqual(before);
});
