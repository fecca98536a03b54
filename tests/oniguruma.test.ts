import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { translate } from '../src/text/oniguruma.ts';

/** What @huggingface/tokenizers 0.2.0 finds: [index, length, index, length, …] of every text; null where it throws. */
const { texts, matches } = JSON.parse(readFileSync(new URL('./fixtures/oniguruma.json', import.meta.url), 'utf8')) as {
  texts: string[];
  matches: Record<string, number[][] | null>;
};

function found(source: string): number[][] | null {
  try {
    const regExp = new RegExp(translate(source), 'gv');
    return texts.map(text => [...text.matchAll(regExp)].flatMap(match => [match.index, match[0].length]));
  } catch (error) {
    expect(error).toBeInstanceOf(SyntaxError);
    return null;
  }
}

describe('regular expressions of tokenizer.json', () => {
  it.each(Object.entries(matches))('%s', (source, expected) => {
    expect(found(source)).toEqual(expected);
  });

  it('a possessive quantifier and an atomic group give nothing back', () => {
    const parts = (source: string, text: string) => text.match(new RegExp(translate(source), 'gv'));
    expect(parts('a++a', 'aaa')).toBeNull();
    expect(parts('a?+a', 'aaa')).toEqual(['aa']);
    expect(parts('(?>a+|ab)c', 'abc aac')).toEqual(['aac']);
    expect(parts('[^\\r\\n\\p{L}\\p{N}]?+\\p{L}++|\\p{N}{1,3}+', ' ab12345')).toEqual([' ab', '12345']);
    expect(() => translate('(a)b++\\1')).toThrow('no translation');
  });

  it('properties are negated inside of the braces too', () => {
    expect('a1'.match(new RegExp(translate('\\p{^L}'), 'gv'))).toEqual(['1']);
  });
});
