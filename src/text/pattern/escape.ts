import { propertyClass, shorthandClass } from './character-sets.ts';
import { literal } from './literal.ts';
import type { Reader } from './reader.ts';
import { UnsupportedPattern } from './unsupported.ts';

/** A member of a class, which may also stand outside of one. */
export interface Member {
  /** As JavaScript writes it in `v` mode, in a class and outside of one. */
  readonly source: string;
  /** The character where it is a single one; undefined for a set of them. */
  readonly character?: string;
}

export const characterMember = (character: string): Member => ({ source: literal(character), character });

/** Control characters by the letters that stand for them. */
const CONTROLS: Readonly<Record<string, string>> = {
  a: '\x07',
  e: '\x1b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
};

const LONG_CODE = /\{([\dA-Fa-f]{1,8})\}/y;
const SHORT_CODE = /[\dA-Fa-f]{1,2}/y;
const UNICODE_CODE = /[\dA-Fa-f]{4}/y;
const OCTAL_CODE = /[0-7]{1,2}/y;
const CONTROL_LETTER = /-?([A-Za-z])/y;
const PROPERTY = /\{(\^?)([\w -]+)\}/y;

/**
 * Reads an escape whose `\` is read.
 * @throws SyntaxError where Oniguruma refuses it; UnsupportedPattern for one without a translation
 */
export function readEscape(reader: Reader, isInClass: boolean): Member {
  const letter = reader.next();
  if (letter === '') throw reader.malformed('nothing behind the last \\');
  const shorthand = shorthandClass(letter, isInClass);
  if (shorthand !== undefined) return { source: shorthand };
  if (Object.hasOwn(CONTROLS, letter)) return characterMember(CONTROLS[letter]!);
  switch (letter) {
    case 'b':
      if (isInClass) return characterMember('\b');
      break;
    case 'p':
    case 'P': {
      const property = reader.take(PROPERTY);
      if (property === null) break;
      const [, caret, name] = property;
      return { source: propertyClass(name!, (letter === 'P') !== (caret === '^'), isInClass) };
    }
    case 'x': {
      const long = reader.take(LONG_CODE);
      if (long !== null) return codeMember(Number.parseInt(long[1]!, 16));
      const short = reader.take(SHORT_CODE);
      if (short === null) break;
      const code = Number.parseInt(short[0], 16);
      // More than ASCII has is a byte of UTF-8, and no character.
      if (code > 0x7f) throw reader.malformed(`a byte of a character, \\x${short[0]},`);
      return codeMember(code);
    }
    case 'u': {
      const code = reader.take(UNICODE_CODE);
      if (code === null) throw reader.malformed('\\u without four digits');
      return codeMember(Number.parseInt(code[0], 16));
    }
    case '0':
      return codeMember(Number.parseInt(reader.take(OCTAL_CODE)?.[0] ?? '0', 8));
    case 'c':
    case 'C': {
      const control = reader.take(CONTROL_LETTER);
      if (control === null) break;
      return codeMember(control[1]!.charCodeAt(0) & 0x1f);
    }
  }
  if (/[1-9k]/.test(letter)) throw new UnsupportedPattern(`a reference back, \\${letter}`);
  if (/[A-Za-z]/.test(letter)) throw new UnsupportedPattern(`the escape \\${letter}${isInClass ? ' in a class' : ''}`);
  return characterMember(letter);
}

function codeMember(code: number): Member {
  if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) {
    throw new UnsupportedPattern(`a code of no character, ${code.toString(16)}`);
  }
  return characterMember(String.fromCodePoint(code));
}
