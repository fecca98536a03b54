import { describe, expect, test } from 'vitest';
import { segmentsOf } from '../examples/lab/tabs/entities/segments.ts';

describe('the pieces of a text with spans over it', () => {
  const words = (text: string, spans: readonly (readonly [number, number])[]) =>
    segmentsOf(
      text,
      spans.map(([start, end]) => ({ start, end })),
    ).map(({ text: part, span, isStart }) => `${part}${span === undefined ? '' : `:${span}`}${isStart ? '!' : ''}`);

  test('are cut where spans begin and end', () => {
    expect(words('', [])).toEqual([]);
    expect(words('abc', [])).toEqual(['abc']);
    expect(words('abcdef', [[1, 3]])).toEqual(['a', 'bc:0!', 'def']);
    expect(
      words('abcdef', [
        [4, 6],
        [0, 2],
      ]),
    ).toEqual(['ab:1!', 'cd', 'ef:0!']);
    expect(words('abcdef', [[2, 2]])).toEqual(['ab', 'cdef']);
  });

  test('show the first of spans that overlap', () => {
    expect(
      words('abcdef', [
        [2, 4],
        [0, 6],
      ]),
    ).toEqual(['ab:1!', 'cd:0!', 'ef:1']);
    expect(
      words('abcdef', [
        [0, 6],
        [2, 4],
      ]),
    ).toEqual(['ab:0!', 'cd:0', 'ef:0']);
    expect(
      words('abcdef', [
        [3, 6],
        [0, 4],
      ]),
    ).toEqual(['abc:1!', 'd:0!', 'ef:0']);
  });

  // Each span was once compared with each piece: a page stood still for minutes over a text of 100,000 characters.
  test('of a long text are found in one walk', () => {
    const count = 5000;
    let reads = 0;
    const spans = Array.from({ length: count }, (_, i) => ({
      get start() {
        reads++;
        return 2 * i;
      },
      end: 2 * i + 1,
    }));
    expect(segmentsOf('ab'.repeat(count), spans)).toHaveLength(2 * count);
    // Sorting reads two spans some log2(n) times each; a comparison of all with all is 25 million.
    expect(reads).toBeLessThan(100 * count);
  });
});
