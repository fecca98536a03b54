import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, delimiter, join, resolve } from 'node:path';

/**
 * Checkpoints with what Python says of them. A folder each; what its expected.json is about tells which suite runs it:
 * - `texts`: tokens and outputs of a class, for texts (e2e/suites/families.ts, pipelines.ts);
 * - `sequences`: outputs of a class, for ids (e2e/suites/heads.ts, tests/interpreter-python.test.ts);
 * - `sentence`: what encode(), rank() and similarity() of sentence-transformers give (e2e/suites/folders.ts);
 * - `vocabulary`: tokens by vocabulary files, without tokenizer.json (the same);
 * - `report`: whatever one report was about (e2e/suites/reports.ts).
 */
export const KINDS = ['texts', 'sequences', 'sentence', 'vocabulary', 'report'] as const;
export type FixtureKind = (typeof KINDS)[number];

export interface Fixture {
  readonly name: string;
  readonly folder: string;
  readonly kind: FixtureKind;
}

/** A folder of fixtures, and the name that it has among the others. */
export interface FixtureFolder {
  readonly name: string;
  readonly folder: string;
  readonly fixtures: readonly Fixture[];
}

function kindOf(file: string): FixtureKind {
  const expected = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
  if (Array.isArray(expected.calls)) return 'sentence';
  if (!Array.isArray(expected.cases)) return 'report';
  const [first] = expected.cases as [Record<string, unknown>?];
  if (typeof expected.cls !== 'string') return 'vocabulary';
  return typeof first?.text === 'string' ? 'texts' : 'sequences';
}

/** The folders in a folder that are a checkpoint, or a part of one, and have an expected.json. */
export function fixturesIn(folder: string): Fixture[] {
  const has = (fixture: string, files: readonly string[]) => files.some(file => existsSync(join(fixture, file)));
  return readdirSync(folder)
    .map(name => ({ name, folder: join(folder, name) }))
    .filter(
      ({ folder }) =>
        has(folder, ['expected.json']) && has(folder, ['config.json', 'modules.json', 'tokenizer.json', 'vocab.txt']),
    )
    .map(fixture => ({ ...fixture, kind: kindOf(join(fixture.folder, 'expected.json')) }));
}

/** What WEBGPU_BERT_FIXTURES names: folders of fixtures, with the system's delimiter of paths between. */
export function givenFixtures(value = process.env.WEBGPU_BERT_FIXTURES): FixtureFolder[] {
  const folders = (value ?? '')
    .split(delimiter)
    .filter(Boolean)
    .map(folder => resolve(folder));
  const given = folders.map(folder => {
    const wrong = (what: string) =>
      new Error(
        `WEBGPU_BERT_FIXTURES: ${folder} ${what}. Name folders that hold a folder with expected.json for each checkpoint.`,
      );
    if (!existsSync(folder) || !statSync(folder).isDirectory()) throw wrong('is no folder');
    const fixtures = fixturesIn(folder);
    if (fixtures.length === 0) throw wrong('holds no folder with an expected.json');
    return { name: basename(folder), folder, fixtures };
  });
  const twice = given.find(({ name }, i) => given.findIndex(other => other.name === name) !== i);
  if (twice) throw new Error(`WEBGPU_BERT_FIXTURES: two folders are named ${twice.name}; rename one of them.`);
  return given;
}
