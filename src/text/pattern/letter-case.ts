import { allCharacters } from './all-characters.ts';
import { literal } from './literal.ts';
import { UnsupportedPattern } from './unsupported.ts';

/** ASCII's letters that have a third case, outside of ASCII: k has the sign of Kelvin, s the long s. */
const THIRD_CASES: Readonly<Record<string, string>> = { k: '\u212a', s: '\u017f' };

/** The class of a character and its other cases, for (?i:…). */
export function anyCase(character: string): string {
  const lower = character.toLowerCase();
  if (/^[a-z]$/.test(lower)) return `[${lower}${lower.toUpperCase()}${THIRD_CASES[lower] ?? ''}]`;
  if (lower === character && character.toUpperCase() === character) return literal(character);
  return classOfAnyCase(literal(character), false);
}

/**
 * The class of some members of a class and their other cases, or its complement.
 * @throws UnsupportedPattern where a member is two letters in another case, as ß is SS
 */
export function classOfAnyCase(members: string, isNegated: boolean): string {
  const isMember = new RegExp(`[${members}]`, 'v');
  const inAnyCase = new RegExp(`[${members}]`, 'giv');
  let otherCases = '';
  for (const block of allCharacters()) {
    for (const [character] of block.matchAll(inAnyCase)) {
      if (!isMember.test(character)) otherCases += literal(character);
      else if (!isNegated && ligatures().characters.has(character)) {
        throw new UnsupportedPattern(`${character} in (?i:…), which is several letters in another case`);
      }
    }
  }
  return `[${isNegated ? '^' : ''}[${members}]${otherCases}]`;
}

interface Ligatures {
  /** The characters that are several letters in another case, as ß is SS. */
  readonly characters: ReadonlySet<string>;
  /** Those characters by what they are in lower case: "ss" -> "ß" and "ẞ". */
  readonly bySpelling: ReadonlyMap<string, readonly string[]>;
}

let known: Ligatures | undefined;

function ligatures(): Ligatures {
  if (known !== undefined) return known;
  const bySpelling = new Map<string, string[]>();
  const add = (spelling: string, character: string) => {
    bySpelling.set(spelling, [...(bySpelling.get(spelling) ?? []), character]);
  };
  for (let code = 0x80; code < 0x10000; code++) {
    const character = String.fromCharCode(code);
    const upper = character.toUpperCase();
    if (upper.length > 1) add(upper.toLowerCase(), character);
  }
  // The two that have no longer upper case.
  add('ss', '\u1e9e');
  add('i\u0307', '\u0130');
  known = { characters: new Set([...bySpelling.values()].flat()), bySpelling };
  return known;
}

/**
 * The longest spelling of a ligature at the start of some letters in lower case, and the class of its ligatures: in (?i:…)
 * "fi" matches ﬁ as well.
 */
export function ligatureAt(letters: readonly string[]): { length: number; source: string } | undefined {
  for (let length = Math.min(3, letters.length); length > 1; length--) {
    const characters = ligatures().bySpelling.get(letters.slice(0, length).join(''));
    if (characters !== undefined) return { length, source: `[${characters.join('')}]` };
  }
  return undefined;
}
