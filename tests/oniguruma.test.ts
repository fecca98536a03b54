import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { SourceError, UnsupportedError } from '../src/errors.ts';
import { align } from '../src/text/aligned-text.ts';
import { buildNormalizer } from '../src/text/normalizer.ts';
import { buildPreTokenizer } from '../src/text/pre-tokenizer.ts';

/**
 * What Oniguruma finds, by tokenizers 0.22.2 (tests/fixtures/tools/oniguruma.py): of every text the matches that are not empty, as
 * [start, length, start, length, …] in UTF-16 units, and the number of all matches. null where Oniguruma refuses the pattern.
 */
const { texts, matches, counts } = JSON.parse(
  readFileSync(new URL('./fixtures/oniguruma.json', import.meta.url), 'utf8'),
) as { texts: string[]; matches: Record<string, number[][] | null>; counts: Record<string, number[]> };

/** What Oniguruma takes and the linear machine does not: rather an error than another meaning. */
const unsupported = new Map([
  ['(?<n>a)\\k<n>', 'a reference back, \\k'],
  ['(\\p{L})\\1', 'a reference back, \\1'],
  ['\\101', 'a reference back, \\1'],
  ['\\x{110000}', 'a code of no character, 110000'],
  ['a{3,1}', 'an interval that gives nothing back, {3,1}'],
  ['a{1,2}+', 'one that may take exponential time'],
  ['a+?+', 'one that may take exponential time'],
  ['\\R+', 'one that may take exponential time'],
  ['(?<=(?>a))b', 'an atomic group, or a possessive quantifier, that looks behind'],
  ['(?<=a++)b', 'an atomic group, or a possessive quantifier, that looks behind'],
  ['(?i:[\\p{Lu}_])', 'İ in (?i:…), which is several letters in another case'],
  ['(?i:a|[[:lower:]]&)', 'ß in (?i:…), which is several letters in another case'],
  ['(?i:ß)', 'ß in (?i:…), which is several letters in another case'],
  ['(?i:[ß])', 'ß in (?i:…), which is several letters in another case'],
  ['[a-[b]]', 'a range that ends with a class'],
  ['(?x:a b)', 'a group (?x'],
  ['(?~a)', 'a group (?~'],
  ['\\X', 'the escape \\X'],
  ['\\K', 'the escape \\K'],
  ['\\G.', 'the escape \\G'],
  ['\\y', 'the escape \\y'],
  ['\\pL', 'the escape \\p'],
]);

/** What Oniguruma refuses and we cannot tell from what only JavaScript lacks. */
const unknownToBoth = ['\\p{Nope}', '\\p{}', '(?P<n>a)', '(?(1)a)'];

const wrapped = (pattern: string) => ({
  type: 'Split',
  pattern: { Regex: pattern },
  behavior: 'Removed',
  invert: true,
});

/** As the fixture's `matches`. */
function found(pattern: string): number[][] {
  const split = buildPreTokenizer(wrapped(pattern));
  return texts.map(text => split(align(text)).flatMap(({ text: { length }, origin }) => [origin, length]));
}

function counted(pattern: string): number[] {
  const replace = buildNormalizer({ type: 'Replace', pattern: { Regex: pattern }, content: '\ue001' });
  return texts.map(text => replace(align(text)).text.split('\ue001').length - 1);
}

describe('patterns find what Oniguruma finds', () => {
  it.each(Object.entries(matches).filter(([pattern, expected]) => expected !== null && !unsupported.has(pattern)))(
    '%s',
    (pattern, expected) => {
      expect(found(pattern)).toEqual(expected);
      expect(counted(pattern)).toEqual(counts[pattern]);
    },
  );
});

describe('what Oniguruma takes and is not translated is an UnsupportedError', () => {
  it.each([...unsupported])('%s', (pattern, actual) => {
    expect(matches[pattern]).not.toBeNull();
    const build = () => buildPreTokenizer(wrapped(pattern));
    expect(build).toThrow(UnsupportedError);
    expect(build).toThrow(
      expect.objectContaining({
        what: expect.stringContaining(JSON.stringify(pattern)),
        actual,
        next: expect.any(String),
      }),
    );
    expect(build).toThrow(expect.objectContaining({ expected: expect.any(String) }));
  });
});

describe('what Oniguruma refuses is refused', () => {
  it.each(Object.keys(matches).filter(pattern => matches[pattern] === null))('%s', pattern => {
    const kind = unknownToBoth.includes(pattern) ? UnsupportedError : SourceError;
    expect(() => buildPreTokenizer(wrapped(pattern))).toThrow(kind);
  });
});
