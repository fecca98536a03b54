import { describe, expect, test } from 'vitest';
import { tableRecords } from '../examples/lab/shell/table.ts';
import { CLASS_EXAMPLES } from '../examples/lab/tabs/training/examples.ts';
import { linesOfFile, readLabelledLines, whyNot } from '../examples/lab/tabs/training/lines.ts';
import { MOST_LINES, split } from '../examples/lab/tabs/training/written-lines.ts';

const pairs = (written: string) => readLabelledLines(written).examples.map(({ label, text }) => [label, text]);
const tags = (written: string) => readLabelledLines(written).faults.map(({ line, tag }) => [line, tag]);

describe('lines with a label each', () => {
  test('a comma or a tab parts them; quotes are those of tables; JSON lines are read too', () => {
    expect(
      pairs(
        [
          'good, It works, and quickly.',
          'good\tNo, really, it does.',
          'bad,"It broke, ""again""."',
          '"very bad","It burned, too."',
          '{"text": "All is fine.", "label": "good"}',
          '{"Sentence": "Never again.", "Category": 0}',
          '',
        ].join('\n'),
      ),
    ).toEqual([
      ['good', 'It works, and quickly.'],
      ['good', 'No, really, it does.'],
      ['bad', 'It broke, "again".'],
      ['very bad', 'It burned, too.'],
      ['good', 'All is fine.'],
      ['0', 'Never again.'],
    ]);
  });

  test('a first line with the names of columns is no example, in either order', () => {
    expect(pairs('label,text\na, one\nb, two')).toEqual([
      ['a', 'one'],
      ['b', 'two'],
    ]);
    expect(pairs('Text\tLabel\none\ta\ntwo\tb')).toEqual([
      ['a', 'one'],
      ['b', 'two'],
    ]);
  });

  test('what is wrong with a line is said of the line, and the others are read', () => {
    const written = [
      'a, one',
      'no label here',
      ', nothing before',
      'b,',
      'a, one',
      'b, one',
      '{"label": "a"',
      '{"label": "a"}',
      'b, two',
      'a, three',
      'b, four',
    ].join('\n');
    expect(tags(written)).toEqual([
      [2, 'no label'],
      [3, 'no label'],
      [4, 'no text'],
      [5, 'twice'],
      [6, 'two labels'],
      [7, 'no label'],
      [8, 'no label'],
    ]);
    expect(pairs(written).map(([, text]) => text)).toEqual(['one', 'two', 'three', 'four']);
  });

  test('a class of a single line is pointed at, since a comma may have made it', () => {
    expect(tags('a, one\na, two\nb, three\nb, four\nI paid, and nobody answers')).toEqual([[5, 'alone']]);
  });

  test('says why nothing can be learned', () => {
    expect(whyNot(readLabelledLines('  \n'))).toMatch('no example yet');
    expect(whyNot(readLabelledLines('a, one\na, two'))).toMatch('All lines have the label “a”');
    expect(whyNot(readLabelledLines('a, one\nb, two'))).toBeUndefined();
  });

  test('lines beyond the most that are read are said to be too many, once', () => {
    const written = Array.from({ length: MOST_LINES + 5 }, (_, i) => `${i % 2}, text ${i}`).join('\n');
    const { examples, faults } = readLabelledLines(written);
    expect(examples.length).toBe(MOST_LINES);
    expect(faults.map(({ line, tag }) => [line, tag])).toEqual([[MOST_LINES + 1, 'too many']]);
  });

  test('the examples that are offered have no fault', () => {
    for (const { lines, trial } of CLASS_EXAMPLES) {
      const { examples, faults, classes } = readLabelledLines(lines);
      expect(faults).toEqual([]);
      expect(examples.length).toBe(24);
      expect(new Set(classes.map(({ count }) => count)).size).toBe(1);
      expect(examples.some(({ text }) => text === trial)).toBe(false);
    }
  });
});

describe('files', () => {
  test('a table is read by the names of its columns, wherever they stand', () => {
    expect(linesOfFile('x.csv', 'id,text,label\r\n1,"One, two",a\r\n2,"He said ""no""",b\r\n')).toBe(
      'a\tOne, two\nb\tHe said "no"',
    );
  });

  test('of a table without names, the labels are those of the column with fewer different values', () => {
    expect(linesOfFile('x.csv', 'one,a\ntwo,a\nthree,b')).toBe('a\tone\na\ttwo\nb\tthree');
    expect(linesOfFile('x.tsv', 'a\tone\na\ttwo, three')).toBe('a\tone\na\ttwo, three');
  });

  test('other files are lines as they are', () => {
    expect(linesOfFile('x.jsonl', '\uFEFF{"label":"a","text":"one"}\r\n')).toBe('{"label":"a","text":"one"}');
    expect(linesOfFile('x.txt', 'a, one\n\n')).toBe('a, one');
  });

  test('fields in quotes have separators, quotes and line breaks of their own', () => {
    expect(tableRecords('a;"b;c"\n\n"d\ne";"f ""g"""')).toEqual([
      ['a', 'b;c'],
      ['d e', 'f "g"'],
    ]);
  });
});

describe('what is held out', () => {
  const labelOf = ({ label }: { label: string }) => label;

  test('is a share of each class, spread over its lines; the rest is learned from', () => {
    const { examples } = readLabelledLines(CLASS_EXAMPLES[0]!.lines);
    const { train, held } = split(examples, 0.2, labelOf);
    expect(held.map(({ line }) => line)).toEqual([3, 8, 11, 16, 19, 24]);
    expect(train.length + held.length).toBe(24);
    expect(split(examples, 0, labelOf).held).toEqual([]);
  });

  test('leaves every class a line to learn from', () => {
    const { examples } = readLabelledLines('a, one\nb, two\nb, three\na, four\nc, five');
    const { train } = split(examples, 0.5, labelOf);
    expect(new Set(train.map(({ label }) => label))).toEqual(new Set(['a', 'b', 'c']));
  });
});
