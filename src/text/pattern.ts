import { Fields, isText, malformed } from '../fields.ts';
import type { AlignedText } from './aligned-text.ts';
import { translate } from './oniguruma.ts';

/** `{ "Regex": ... }` (Oniguruma's syntax) or `{ "String": ... }` as a global JavaScript regular expression. */
export function pattern(value: unknown, where: string): RegExp {
  const { Regex, String: literal } = new Fields(value, where).json;
  if (isText(literal)) return new RegExp(literal.replace(/[$()*+.?[\\\]^{|}/]/g, '\\$&'), 'gu');
  if (!isText(Regex)) throw malformed(where, value, '{ "Regex": string } or { "String": string }');
  try {
    return new RegExp(translate(Regex), 'gv');
  } catch (cause) {
    throw Object.assign(malformed(where, Regex, 'a regular expression that JavaScript can run'), { cause });
  }
}

const behaviors = ['Removed', 'Isolated', 'MergedWithPrevious', 'MergedWithNext', 'Contiguous'] as const;
export type SplitBehavior = (typeof behaviors)[number];

export function splitBehavior(value: unknown, where: string): SplitBehavior {
  const found = behaviors.find(name => name === value);
  if (found === undefined) throw malformed(where, value, `one of ${behaviors.join(', ')}`);
  return found;
}

/** Cuts a text at the matches of a pattern; what becomes of the matches is the behavior's. No piece is empty. */
export function split(source: AlignedText, cut: RegExp, behavior: SplitBehavior, invert = false): AlignedText[] {
  const pieces: { start: number; end: number; isMatch: boolean }[] = [];
  let done = 0;
  for (const { index, 0: match } of source.text.matchAll(cut)) {
    if (done < index) pieces.push({ start: done, end: index, isMatch: invert });
    done = index + match.length;
    pieces.push({ start: index, end: done, isMatch: !invert });
  }
  if (done < source.text.length) pieces.push({ start: done, end: source.text.length, isMatch: invert });

  const joined: typeof pieces = [];
  if (behavior === 'MergedWithNext') pieces.reverse();
  let wasMatch = false;
  for (const piece of pieces) {
    const last = joined.at(-1);
    if (last !== undefined && joins(behavior, piece.isMatch, wasMatch)) {
      last.start = Math.min(last.start, piece.start);
      last.end = Math.max(last.end, piece.end);
    } else if (!(behavior === 'Removed' && piece.isMatch)) {
      joined.push({ ...piece });
    }
    wasMatch = piece.isMatch;
  }
  if (behavior === 'MergedWithNext') joined.reverse();
  return joined.filter(({ start, end }) => start < end).map(({ start, end }) => source.slice(start, end));
}

function joins(behavior: SplitBehavior, isMatch: boolean, wasMatch: boolean): boolean {
  if (behavior === 'Contiguous') return isMatch === wasMatch;
  return behavior.startsWith('Merged') && isMatch && !wasMatch;
}
