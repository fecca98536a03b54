import { delimiter } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { fixturesIn, givenFixtures } from './given-fixtures.ts';

const folder = (name: string) => fileURLToPath(new URL(`fixtures/${name}`, import.meta.url));
const kinds = (name: string) => Object.fromEntries(fixturesIn(folder(name)).map(({ name, kind }) => [name, kind]));

test('what a fixture is about is told by its expected.json', () => {
  expect(new Set(Object.values(kinds('random')))).toEqual(new Set(['texts']));
  expect(new Set(Object.values(kinds('interpreter')))).toEqual(new Set(['sequences']));
  expect(kinds('sentence')).toMatchObject({
    'st-dense': 'sentence',
    model2vec: 'sentence',
    'config-of-roberta': 'report',
  });
  // A folder whose checkpoint lies below it is none.
  expect(kinds('sentence')).not.toHaveProperty('in-folder');
});

test('WEBGPU_BERT_FIXTURES names folders; what is none is refused by its path', () => {
  expect(givenFixtures('')).toEqual([]);
  const given = givenFixtures([folder('random'), folder('sentence')].join(delimiter));
  expect(given.map(({ name }) => name)).toEqual(['random', 'sentence']);
  expect(given[0]!.fixtures).toEqual(fixturesIn(folder('random')));
  expect(() => givenFixtures(folder('nowhere'))).toThrow(/fixtures.nowhere is no folder/);
  expect(() => givenFixtures(folder('random/bert-base'))).toThrow(/bert-base holds no folder with an expected.json/);
  expect(() => givenFixtures([folder('random'), folder('random')].join(delimiter))).toThrow(
    /two folders are named random/,
  );
});
