import { describe, expect, test } from 'vitest';
import { PAIR_EXAMPLES } from '../examples/lab/tabs/training/pair-examples.ts';
import {
  leastBatches,
  pairLinesOfFile,
  readPairs,
  splitPairs,
  whyNoPairs,
} from '../examples/lab/tabs/training/pairs.ts';
import { placesOf, ranking } from '../examples/lab/tabs/training/ranks.ts';
import { MOST_LINES } from '../examples/lab/tabs/training/written-lines.ts';
import { zipOf } from '../examples/lab/tabs/training/zip.ts';
import { unzipped } from './unzipped.ts';

const pairs = (written: string) => readPairs(written).pairs.map(({ query, passage, wrong }) => [query, passage, wrong]);
const tags = (written: string) => readPairs(written).faults.map(({ line, tag }) => [line, tag]);

describe('lines with a query and its passage each', () => {
  test('a tab or a bar parts them, commas those of a table; JSON lines are read too', () => {
    expect(
      pairs(
        [
          'Where, then?\tHere, on the left.',
          'Who is it? | The porter, at night | The cook',
          '"When, if ever?","At ""nine"", sharp"',
          'How long,An hour',
          '{"anchor": "What?", "positive": "A lamp\\nof brass", "negative": "A chair"}',
          '{"question": "Which?", "answer": "This"}',
          '',
        ].join('\n'),
      ),
    ).toEqual([
      ['Where, then?', 'Here, on the left.', ''],
      ['Who is it?', 'The porter, at night', 'The cook'],
      ['When, if ever?', 'At "nine", sharp', ''],
      ['How long', 'An hour', ''],
      ['What?', 'A lamp of brass', 'A chair'],
      ['Which?', 'This', ''],
    ]);
  });

  test('a first line with the names of columns is no pair; in whatever order they are, and with others between', () => {
    expect(pairs('query,passage\na,b')).toEqual([['a', 'b', '']]);
    expect(pairs('id\tPositive\tNegative\tAnchor\n1\tright\twrong\task')).toEqual([['ask', 'right', 'wrong']]);
    // Commas are those of the table then.
    expect(pairs('anchor,positive,negative\na,b,c')).toEqual([['a', 'b', 'c']]);
  });

  test('what is wrong with a line is said of the line, and the others are read', () => {
    const written = [
      'a | one',
      'nothing but words',
      'When it rains, snows, or hails',
      ' \tan answer',
      'a question\t ',
      'a | one',
      'a | two | two',
      'a | b | c | d',
      '{"query": "a"',
      '{"query": "a"}',
      'b | two',
    ].join('\n');
    expect(tags(written)).toEqual([
      [2, 'one text'],
      [3, 'one text'],
      [4, 'one text'],
      [5, 'one text'],
      [6, 'twice'],
      [7, 'right and wrong'],
      [8, '4 texts'],
      [9, 'one text'],
      [10, 'one text'],
    ]);
    expect(pairs(written).map(([, passage]) => passage)).toEqual(['one', 'two']);
    expect(tags('"","b"\n"a",""')).toEqual([
      [1, 'no query'],
      [2, 'no passage'],
    ]);
  });

  test('wrong passages count where every pair has one', () => {
    expect(readPairs('a | one | two\nb | three | one')).toMatchObject({
      passages: ['one', 'two', 'three'],
      wrongCount: 2,
    });
    expect(readPairs('a | one | two\nb | three')).toMatchObject({ passages: ['one', 'three'], wrongCount: 1 });
  });

  test('says why nothing can be learned', () => {
    const why = (written: string, share = 0) => {
      const read = readPairs(written);
      return whyNoPairs(read, splitPairs(read, share));
    };
    expect(why(' \n')).toMatch('no pair yet');
    expect(why('a | one\nb | one')).toMatch('have one passage');
    expect(why('a | one\nb | two')).toBeUndefined();
    // One of the two is held out.
    expect(why('a | one\nb | two', 0.5)).toMatch('have one passage');
  });

  test('lines beyond the most that are read are said to be too many, once', () => {
    const written = Array.from({ length: MOST_LINES + 5 }, (_, i) => `query ${i} | passage ${i}`).join('\n');
    const { pairs: read, faults } = readPairs(written);
    expect(read.length).toBe(MOST_LINES);
    expect(faults.map(({ line, tag }) => [line, tag])).toEqual([[MOST_LINES + 1, 'too many']]);
  });

  test('the example that is offered has no fault, several queries for each passage, and a new one to be tried', () => {
    for (const { lines, trial } of PAIR_EXAMPLES) {
      const read = readPairs(lines);
      expect(read.faults).toEqual([]);
      const { train, held } = splitPairs(read, 0.2);
      for (const passage of read.passages) {
        expect(train.filter(pair => pair.passage === passage).length).toBe(3);
        expect(held.filter(pair => pair.passage === passage).length).toBe(1);
      }
      expect(read.pairs.some(({ query }) => query === trial)).toBe(false);
    }
  });
});

describe('files of pairs', () => {
  test('a table is read by the names of its columns, or in their order', () => {
    expect(pairLinesOfFile('x.csv', 'id,passage,query\r\n1,"One, two",a\r\n2,"He said ""no""",b\r\n')).toBe(
      'a\tOne, two\nb\tHe said "no"',
    );
    expect(pairLinesOfFile('x.csv', 'a,one,two\nb,"three\tfour",five')).toBe('a\tone\ttwo\nb\tthree four\tfive');
    expect(pairLinesOfFile('x.tsv', 'a\tone, or more')).toBe('a\tone, or more');
  });

  test('other files are lines as they are', () => {
    expect(pairLinesOfFile('x.jsonl', '\uFEFF{"query":"a","passage":"b"}\r\n')).toBe('{"query":"a","passage":"b"}');
    expect(pairLinesOfFile('x.txt', 'a | one\n\n')).toBe('a | one');
  });
});

describe('pairs that are held out', () => {
  test('are some of each passage with several queries, and some of the passages with one', () => {
    const several = ['a', 'b', 'c', 'd'].map(query => `${query} | one`);
    const single = ['e', 'f', 'g', 'h'].map((query, i) => `${query} | passage ${i}`);
    const { train, held } = splitPairs(readPairs([...several, ...single].join('\n')), 0.25);
    expect(held.map(({ query }) => query)).toEqual(['b', 'f']);
    expect(train.length).toBe(6);
  });

  test('batches without a text twice are as many as the most frequent text, or as the pairs need', () => {
    const { pairs: read } = readPairs('a | one\nb | one\nc | one\nd | two\ne | three\nf | four');
    expect(leastBatches(read, 8)).toBe(3);
    expect(leastBatches(read, 1)).toBe(6);
    expect(leastBatches([], 8)).toBe(0);
  });
});

test('the place of the right passage is that of the best of those that answer the query', () => {
  const scores = [
    [0.9, 0.1, 0.5],
    [0.2, 0.3, 0.1],
    [0.3, 0.3, 0.2],
  ];
  expect(placesOf(scores, [new Set([0]), new Set([0, 2]), new Set([1])])).toEqual([1, 2, 2]);
  expect(ranking([0.1, 0.4, 0.4, 0.2])).toEqual([1, 2, 3, 0]);
});

test('a ZIP has the files in a folder, with their bytes and checksums, as other programs read them', async () => {
  const given = [
    new File(['{}'], 'config.json'),
    new File([Uint8Array.from({ length: 70_000 }, (_, i) => i % 251)], 'model.safetensors'),
    new File(['{"é": 1}'], '1_Pooling/config.json'),
    new File([], 'empty.txt'),
  ];
  const zip = await zipOf('mine-trained', given);
  expect(zip.name).toBe('mine-trained.zip');
  const read = await unzipped(Buffer.from(await zip.arrayBuffer()));
  expect(read).toEqual(
    Object.fromEntries(
      await Promise.all(given.map(async file => [`mine-trained/${file.name}`, Buffer.from(await file.arrayBuffer())])),
    ),
  );
});
