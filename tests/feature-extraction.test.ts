import { describe, expect, it } from 'vitest';
import { InputError, UnsupportedError } from '../src/errors.ts';
import { string, textList } from '../src/tasks/arguments.ts';
import { POOLING_NAMES, poolingOf } from '../src/tasks/poolings.ts';
import { normalizeRows } from '../src/tasks/rows.ts';

describe('poolingOf', () => {
  it.each([
    ['none', undefined],
    ['mean', 'mean'],
    ['cls', 'cls'],
    ['first_token', 'cls'],
    ['max', 'max'],
    ['last_token', 'last'],
    ['eos', 'last'],
  ])('%s is %s', (name, pooling) => {
    expect(poolingOf(name)).toBe(pooling);
  });

  it.each(['sum', '', 'Mean', 'toString', '__proto__'])('refuses "%s" with the list', name => {
    try {
      poolingOf(name);
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(UnsupportedError);
      expect((error as UnsupportedError).supported).toEqual([...POOLING_NAMES]);
      expect((error as Error).message).toContain(JSON.stringify(name));
    }
  });
});

describe('textList', () => {
  it('takes a text and a list', () => {
    expect(textList('a', string)).toEqual(['a']);
    expect(textList('', string)).toEqual(['']);
    expect(textList(['a', 'b'], string)).toEqual(['a', 'b']);
  });

  it.each([
    [[], 'an empty list'],
    [5, 'number'],
    [null, 'null'],
    [undefined, 'undefined'],
    [{ text: 'a' }, 'object'],
    [['a', 5], 'text 1 of 2'],
    [['a', ['b']], 'a list'],
    [[undefined], 'text 0 of 1'],
  ])('refuses %j', (texts, message) => {
    expect(() => textList(texts, string)).toThrow(InputError);
    expect(() => textList(texts, string)).toThrow(message);
  });
});

describe('normalizeRows', () => {
  it('scales every row to length 1, in place, and leaves zeros', () => {
    const rows = Float32Array.of(3, 4, 0, 0, 0, 0, -5, 0, 12);
    normalizeRows(rows, 3);
    const expected = [0.6, 0.8, 0, 0, 0, 0, -5 / 13, 0, 12 / 13];
    for (const [i, value] of rows.entries()) expect(value).toBeCloseTo(expected[i]!, 6);
  });
});
