import { describe, expect, test } from 'vitest';
import { InputError } from '../src/errors.ts';
import { lowerCased, promptOf } from '../src/tasks/prompts.ts';
import { thrown } from './source-environment.ts';

describe('promptOf', () => {
  const known = { prompts: { query: 'query: ', document: '' }, defaultPrompt: 'query' };
  const of = (options: object, isEncode = false, has = known) => promptOf(options, async () => has, isEncode);
  const unasked = () => Promise.reject(new Error('nobody wants the checkpoint to say'));

  test('the prompt of the call goes before all', async () => {
    expect(await promptOf({ prompt: 'a ', prompt_name: 'b' }, unasked, true)).toBe('a ');
    expect(await promptOf({ prompt: '' }, unasked, true)).toBe('');
    expect(await promptOf({ prompt: null, prompt_name: null }, unasked, false)).toBe('');
    expect(await promptOf({}, unasked, false)).toBe('');
  });

  test('then a name, then the default, where it applies', async () => {
    expect(await of({ prompt_name: 'query' })).toBe('query: ');
    expect(await of({ prompt_name: 'document' }, true)).toBe('');
    expect(await of({}, true)).toBe('query: ');
    expect(await of({}, true, { ...known, defaultPrompt: undefined as never })).toBe('');
  });

  test.each(['passage', 'toString', '__proto__', ''])('a name that is none: "%s"', async prompt_name => {
    const error = await thrown(of({ prompt_name }));
    expect(error).toBeInstanceOf(InputError);
    expect([error.actual, error.expected]).toEqual([JSON.stringify(prompt_name), 'query, document']);
  });

  test.each([{ prompt: 5 }, { prompt_name: ['query'] }, { prompt: 'a', prompt_name: 5 }])('%j', async options => {
    expect(await thrown(of(options))).toBeInstanceOf(InputError);
  });
});

describe('lowerCased', () => {
  test.each([
    ['ÀÉ Straße ΟΔΟΣ', 'àé straße οδοσ'],
    ['İ', 'i\u0307'],
    ['𐐀', '𐐨'],
    ['A [MASK] B[SEP]C [mask]', 'a [MASK] b[SEP]c [mask]'],
    ['A<s>B</s>', 'a<s>b</s>'],
    ['', ''],
  ])('%s', (text, lower) => {
    expect(lowerCased(text, ['[MASK]', '[SEP]', '<s>', '</s>', ''])).toBe(lower);
  });

  test('special tokens that begin alike: the longest', () => {
    expect(lowerCased('<A><AB>X', ['<A', '<AB>'])).toBe('<A><AB>x');
  });
});
