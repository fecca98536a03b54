import { posixClass } from './character-sets.ts';
import { characterMember, type Member, readEscape } from './escape.ts';
import { classOfAnyCase } from './letter-case.ts';
import type { Reader } from './reader.ts';
import { MAX_DEPTH } from './syntax.ts';
import { UnsupportedPattern } from './unsupported.ts';

const POSIX_NAME = /\[:(\^?)([^:\]]{1,20}):\]/y;

/**
 * Reads a class whose `[` is read, and gives it as JavaScript writes it in `v` mode. Classes may stand in classes, and `&&`
 * intersects what is before it with what is behind it.
 */
export function readClass(reader: Reader, ignoresCase: boolean, depth = 0): string {
  if (depth > MAX_DEPTH) throw tooDeep();
  const isNegated = reader.skip('^');
  const operands = [''];
  // A ] right at the start stands for itself, if another one ends the class.
  let isLiteral = reader.sees(']') && reader.source.includes(']', reader.at + 1);
  for (; isLiteral || !reader.skip(']'); isLiteral = false) {
    if (reader.isAtEnd) throw reader.malformed('a class that does not end');
    if (reader.skip('&&')) {
      operands.push('');
      continue;
    }
    operands[operands.length - 1] += readMembers(reader, depth);
  }
  if (operands.length === 1 && operands[0] === '') throw reader.malformed('an empty class');
  const members = operands.length === 1 ? operands[0]! : operands.map(operand => `[${operand}]`).join('&&');
  // Other cases are looked for once, in all that the outermost class holds.
  if (ignoresCase) return classOfAnyCase(operands.length === 1 ? members : `[${members}]`, isNegated);
  return `[${isNegated ? '^' : ''}${members}]`;
}

/** One member of a class, or a range of characters. */
function readMembers(reader: Reader, depth: number): string {
  const named = reader.take(POSIX_NAME);
  if (named !== null) {
    const source = posixClass(named[2]!, named[1] === '^');
    if (source === undefined) throw reader.malformed(`the unknown name ${named[0]}`);
    return source;
  }
  if (reader.skip('[')) return readClass(reader, false, depth + 1);
  const first = readMember(reader);
  const isRange = reader.sees('-') && !reader.sees('-]') && !reader.sees('-&&');
  if (!isRange) return first.source;
  if (first.character === undefined) throw reader.malformed('a range that begins with a set');
  reader.skip('-');
  if (reader.sees('[')) throw new UnsupportedPattern('a range that ends with a class');
  if (reader.isAtEnd) throw reader.malformed('a class that does not end');
  const last = readMember(reader);
  if (last.character === undefined) throw reader.malformed('a range that ends with a set');
  if (first.character.codePointAt(0)! > last.character.codePointAt(0)!) throw reader.malformed('an empty range');
  return `${first.source}-${last.source}`;
}

function readMember(reader: Reader): Member {
  return reader.skip('\\') ? readEscape(reader, true) : characterMember(reader.next());
}

const tooDeep = () =>
  new UnsupportedPattern(`classes that stand in each other more than ${MAX_DEPTH} deep`, {
    expected: 'less deep ones',
  });
