import { UnsupportedPattern } from './unsupported.ts';

/**
 * POSIX's names for sets of characters, as members of a JavaScript class in `v` mode; the contents are Oniguruma's, which
 * follows Unicode. They stand in brackets (`[[:alpha:]]`) and, any case, in properties (`\p{Alpha}`).
 */
const POSIX_SETS: Readonly<Record<string, string>> = {
  alnum: '\\p{Alpha}\\p{Nd}',
  alpha: '\\p{Alpha}',
  ascii: '\\p{ASCII}',
  blank: '\\t\\p{Zs}',
  cntrl: '\\p{Cc}',
  digit: '\\p{Nd}',
  graph: '[^\\p{space}\\p{Cc}\\p{Cn}\\p{Cs}]',
  lower: '\\p{Lower}',
  print: '\\p{Zs}[^\\p{space}\\p{Cc}\\p{Cn}\\p{Cs}]',
  punct: '\\p{P}\\p{S}',
  space: '\\p{space}',
  upper: '\\p{Upper}',
  word: '\\p{Alpha}\\p{M}\\p{Nd}\\p{Pc}',
  xdigit: '\\p{AHex}',
};

/** The sets that an escape of one letter stands for; the capital letter stands for all other characters. */
const SHORTHANDS: Readonly<Record<string, string>> = { d: 'digit', h: 'xdigit', s: 'space', w: 'word' };

/** Outside of a class, `\w` and `\p{Word}` also hold these digits: ² ³ ¹ ¼ ½ ¾. */
const MORE_WORD_DIGITS = '\xb2\xb3\xb9\xbc-\xbe';

/** The class of `\w` outside of a class. */
export const WORD_CLASS = `[${POSIX_SETS.word}${MORE_WORD_DIGITS}]`;

const classOf = (members: string, isNegated: boolean) => `[${isNegated ? '^' : ''}${members}]`;

/** The class of a name in brackets, [:name:] or [:^name:]; undefined for an unknown name. */
export function posixClass(name: string, isNegated: boolean): string | undefined {
  return Object.hasOwn(POSIX_SETS, name) ? classOf(POSIX_SETS[name]!, isNegated) : undefined;
}

/** The class of `\d`, `\D`, `\h`, `\H`, `\s`, `\S`, `\w` or `\W`, given its letter; undefined for another letter. */
export function shorthandClass(letter: string, isInClass: boolean): string | undefined {
  const lower = letter.toLowerCase();
  if (!Object.hasOwn(SHORTHANDS, lower)) return undefined;
  const name = SHORTHANDS[lower]!;
  const more = name === 'word' && !isInClass ? MORE_WORD_DIGITS : '';
  return classOf(POSIX_SETS[name]! + more, letter !== lower);
}

/**
 * The class of `\p{name}`. Oniguruma ignores case, spaces, `_` and `-` in the name; scripts have no prefix.
 * @throws UnsupportedPattern for a property that JavaScript does not know
 */
export function propertyClass(name: string, isNegated: boolean, isInClass: boolean): string {
  const plain = name.toLowerCase().replace(/[ _-]/g, '');
  // As a property this one is of Unicode's category alone, without the symbols that POSIX's has.
  if (plain === 'punct') return classOf('\\p{P}', isNegated);
  if (plain === 'word') return shorthandClass(isNegated ? 'W' : 'w', isInClass)!;
  if (Object.hasOwn(POSIX_SETS, plain)) return classOf(POSIX_SETS[plain]!, isNegated);
  const capitalised = name
    .split(/[ _-]/)
    .filter(Boolean)
    .map(word => word[0]!.toUpperCase() + word.slice(1).toLowerCase())
    .join('_');
  const property = [name, capitalised, `Script=${name}`, `Script=${capitalised}`].find(isProperty);
  if (property === undefined) throw new UnsupportedPattern(`the property \\p{${name}}`);
  return `\\${isNegated ? 'P' : 'p'}{${property}}`;
}

/** Whether JavaScript knows a property of single characters. */
function isProperty(name: string): boolean {
  try {
    new RegExp(`\\p{${name}}`, 'u');
    return true;
  } catch {
    return false;
  }
}
