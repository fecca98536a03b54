import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { translate } from '../src/text/pattern/oniguruma.ts';

/**
 * What @huggingface/tokenizers 0.2.0 finds: [index, length, index, length, …] of every text; null where it throws. What `^` finds is that
 * of tokenizers 0.22.2 for Python, for which no line begins behind the last line break.
 */
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

/** What Oniguruma takes and no tokenizer of a BERT has: rather an error than another meaning. */
const refused: string[] = [
  'a++b',
  'a*+',
  'a{2}+',
  '(?>a+)b',
  '(?<n>a)\\k<n>',
  '(\\p{L})\\1',
  '(?i:[a-c]x)',
  '(?i:[^a-c])',
  '(?i:a|[[:lower:]]&)',
  '[]a]',
  '[^]a]',
  '[a-c-e]',
  '[a-z&&[^aeiou]]+',
  '\\cA',
  'a{,2}b',
  'a{x}',
  '}',
  'a{2}?',
  '\\p{punct}',
  '\\p{Word}',
  '[\\p{Word}]',
  '[^\\p{Word}]+',
  '[[:punct:]]',
  '[[:alpha:]_]+',
  '[^[:space:]]+',
  '[[:^alpha:]]',
  '[[:upper:]]+',
  '[[:xdigit:]]+',
  '[\\p{L}&&[^\\p{Lu}]]+',
  '[(?i:a)]',
  '(?i:\\x41b)',
  '(?i:É)',
  '\\xe3',
  '[\\h]+',
  '\\h+',
  '\\H',
  '\\b\\w+\\b',
  '\\B.',
  '\\A.',
  '.\\z',
  '.\\Z',
  '\\e',
  '\\a',
];

describe('regular expressions of tokenizer.json', () => {
  it.each(Object.entries(matches).filter(([source]) => !refused.includes(source)))('%s', (source, expected) => {
    expect(found(source)).toEqual(expected);
  });

  it.each(refused)('what has no translation is refused: %s', source => {
    expect(found(source)).toBeNull();
  });

  it('properties are negated inside of the braces too', () => {
    expect('a1'.match(new RegExp(translate('\\p{^L}'), 'gv'))).toEqual(['1']);
  });
});
