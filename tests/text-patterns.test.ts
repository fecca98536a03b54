import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { UnsupportedError } from '../src/errors.ts';
import { align } from '../src/text/aligned-text.ts';
import { buildNormalizer } from '../src/text/normalizer.ts';
import { mayGrowExponentially } from '../src/text/pattern/growth.ts';
import { programFinder } from '../src/text/pattern/matcher.ts';
import { parsePattern } from '../src/text/pattern/oniguruma.ts';
import { compilePattern } from '../src/text/pattern/program.ts';
import { buildPreTokenizer } from '../src/text/pre-tokenizer.ts';
import { regExpOf } from './regexp-of-syntax.ts';

const program = (source: string) => compilePattern(parsePattern(source));
const split = (source: string) =>
  buildPreTokenizer({ type: 'Split', pattern: { Regex: source }, behavior: 'Isolated', invert: false });

/** Where the pieces end that tokenizers 0.22.2 splits the texts into, behavior "isolated". */
const { texts, patterns } = JSON.parse(
  readFileSync(new URL('./fixtures/text-patterns.json', import.meta.url), 'utf8'),
) as { texts: string[]; patterns: Record<string, { regex: string; ends: number[][] }> };

describe('patterns of tokenizers split as the Rust tokenizers do', () => {
  it.each(Object.entries(patterns))('%s', (_, { regex, ends }) => {
    const cut = split(regex);
    const found = texts.map(text => {
      let end = 0;
      return cut(align(text)).map(piece => {
        end += piece.text.length;
        return end;
      });
    });
    expect(found).toEqual(ends);
  });
});

/** Patterns of every construct, for which the order of the ways matters. */
const constructs = [
  'a*?b|a',
  '(?:a|ab)(?:c|bcd)',
  '(?<=a+)b',
  '(?<!ab*)c',
  '(?=.*b)a',
  '(?!.*c)a',
  'a{2,3}?b?',
  'x*',
  '(?:a?b?)c',
  '(?:a*){2}b',
  '(?:(?:ab)?){1,3}c',
  '(a*)?b',
  '(?<=^|b)a*',
  '[^a]+?c',
  '(?=a*b)(?!b)a+|c',
  '(?<=(?=ab)a)b',
  '(a|b)?c?',
  '(?<=(?:ab){1,2})c+',
  '(?<!^|c)b',
  '|a',
  'a{2,}',
  '(?:ab|ac)*d',
  '(?:[^a]|a(?!b))*c',
  'a++b',
  'a*+[ab]',
  'a?+ab?+',
  '(?>a+|ab)c',
  '(?>ab?|a)b',
  '(?>a*?b)c|a',
  '(?>(?>a+)b|a)b?c',
  '(?:(?>ab?)c)+|b',
  '(?=(?>a+b?)c)a',
  '(?>(?=a)(?:a|ab))b',
  '(?!(?>ab+)c)a+',
  '\\b\\w+\\b',
  '\\B.',
  '(?m:a.b)',
  '\\R+',
  '(?>\\s+)(?!\\S)|\\s++$',
];

/** The same numbers in every run. */
function numbers(seed: number): (below: number) => number {
  let state = seed;
  return below => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return (state >> 8) % below;
  };
}

describe('the machine finds what JavaScript’s own finds, but for an empty match right behind another or in no text', () => {
  it.each([...constructs, ...Object.values(patterns).map(({ regex }) => regex)])('%s', source => {
    const native = regExpOf(parsePattern(source));
    const find = programFinder(program(source));
    const number = numbers(source.length);
    // No character of two units: at them JavaScript finds an empty match between the two, which Rust does not.
    const pool = [..."aaaabbbccd  \n\r\tz1234.,'sSLlté-\u00a0\u2028가一 ぁªʰÀ\u0301/[]"];
    for (let i = 0; i < 400; i++) {
      const few = number(2) ? 4 + number(6) : pool.length;
      const text = Array.from({ length: 1 + number(24) }, () => pool[number(few)]!).join('');
      let last = -1;
      const expected = Array.from(text.matchAll(native), ({ index, 0: match }) => [index, index + match.length]).filter(
        ([start, end]) => {
          const isBehind = start === end && end === last;
          last = end!;
          return !isBehind;
        },
      );
      expect([text, ...find(text)]).toEqual([text, ...expected]);
    }
  });
});

describe('Replace by a pattern that may match nothing', () => {
  /** What tokenizers 0.22.2 makes of it with "_". */
  it.each([
    ['b*', 'abba b', '_a_a_ _'],
    ['\\s*', 'a  b', '_a_b_'],
    ['(?:|a)b*', 'ab', '_a_'],
    ['a?$', 'ba', 'b_'],
    ['^', 'a\nb\n', '_a\n_b\n'],
    ['^', '\n\n', '_\n_\n'],
    ['^', '', ''],
    ['$', 'a\n', 'a_\n_'],
    ['.^', 'a\n', 'a\n'],
  ])('%s in %j', (Regex, text, expected) => {
    const replace = buildNormalizer({ type: 'Replace', pattern: { Regex }, content: '_' });
    expect(replace(align(text)).text).toBe(expected);
  });
});

describe('patterns that may grow exponentially are refused before they run', () => {
  it.each([
    '(a+)+$',
    '(a|a)*b',
    '(a|ab|b)*c',
    '([a-z]+)*',
    '(\\w+\\s?)*$',
    '((a*)*)*',
    '(x+x+)+y',
    '(?:a|b|ab)*$',
    '(?:\\p{L}|\\p{Lu})*1',
    '(?:\\p{L}+\\p{M}*)+$',
    '(?:\\p{N}|\\d)*x',
    '(?:[^\\p{L}]|\\s)+x',
    '(?=(a+)+b)a',
    '(?!(?:a|a)*b)c',
    '(?<=(a+)+b)c',
    '(?<!(?:a|a)+b)c',
    '(?=(?!(a+)+b)a)c',
    '(a+){2,}',
    '(?:(a+){2,9})*b',
    '(a{1,3})*b',
    '(.*)*',
    '(\\s*|x)*',
    '(?:a?b?)*c',
    '(?:.a|a.|b)*c',
    '(a+)+?b',
    '(?:a+?)*b',
    '(?:\\w|_)+-',
    '(?:(?:a|b)|(?:b|c))*d',
    '^(([a-z])+.)+[A-Z]([a-z])+$',
    'x|y(?:z|(?:q+)*)',
  ])('%s', source => {
    const build = () => split(source);
    expect(build).toThrow(UnsupportedError);
    expect(build).toThrow(JSON.stringify(source));
    expect(() => buildNormalizer({ type: 'Replace', pattern: { Regex: source }, content: '' })).toThrow(
      UnsupportedError,
    );
  });

  it.each([
    ['repetitions without end', '(?:(?:(?:(?:){2000}){2000}){2000}){2000}'],
    ['as many', 'a{1000000000}'],
    ['repetitions in repetitions', '(?:(?:a{50}){50}){50}'],
    ['groups in groups', `${'('.repeat(1000)}a${')'.repeat(1000)}`],
    ['a long text', 'a'.repeat(20_000)],
    ['names of characters that do not end', '[[:'.repeat(3_000)],
  ])('what is too long is refused at once: %s', (_, source) => {
    expect(() => split(source)).toThrow(/is not supported|is malformed/);
  });

  it.each([
    '(?: \\w+)*\\.',
    '(?:\\.\\d+)*',
    '(?:ab|ac)*d',
    '\\d(?=(?:\\d{3})+(?!\\d))',
    '(?:[^a]|a(?!b))*x',
    '\\p{L}{1,200}',
    '(?:\\w+ )+',
    '(?:https?://)?(?:\\w+\\.)+\\w+',
    '(?:a?){30}a{30}',
    '(?:\\p{Lu}\\p{Ll}*)+',
  ])('others are not: %s', source => {
    expect(mayGrowExponentially(parsePattern(source))).toBe(false);
  });
});

describe('a text twice as long takes twice the steps', () => {
  /** The characters that are looked at for all matches in a text. */
  function looks(source: string, text: string): number {
    const find = programFinder(program(source));
    const { codePointAt } = String.prototype;
    let count = 0;
    String.prototype.codePointAt = function (this: string, place: number) {
      count++;
      return codePointAt.call(this, place);
    };
    try {
      for (const _ of find(text));
    } finally {
      String.prototype.codePointAt = codePointAt;
    }
    return count;
  }
  const units = [
    ' ',
    '\n',
    ' \n',
    '\n ',
    'a',
    'ab',
    'A',
    'aA',
    'ʰA',
    '1',
    '!',
    "'",
    '.1',
    '\u0301',
    'x ',
    '漢',
    '😀',
    '\r\n',
    'é ',
  ];
  const quadratic = [
    '\\s+$',
    'a+b',
    '.*x',
    '.*.*.*x',
    '(?=.*x)a',
    'a(?!.*b)',
    '(?<=a.*)b|a',
    '(?<!b.*)a',
    'a+b|a',
    '(?:a?){20}a{20}',
    'a++b',
    '(?>a+)b|a',
    '(?>.*)x|a',
    '(?>(?:a?){20})x|a',
    '(?>(?>a+)b|a+)c',
    '(?=(?>.*)x)a',
    '\\b\\w+\\b',
  ];
  it.each([...quadratic, ...Object.values(patterns).map(({ regex }) => regex)])('%s', source => {
    for (const unit of units) {
      for (const end of ['', 'z', ' ', 'b']) {
        const [one, two, four] = [1, 2, 4].map(n => looks(source, `c${unit.repeat(150 * n)}${end}`)) as [
          number,
          number,
          number,
        ];
        expect(two, JSON.stringify([unit, end])).toBeLessThan(2.2 * one + 100);
        expect(four, JSON.stringify([unit, end])).toBeLessThan(2.2 * two + 100);
      }
    }
  });
});
