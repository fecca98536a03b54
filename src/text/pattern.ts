import { type Fields, isText } from '../fields.ts';
import { type AlignedText, slice } from './aligned-text.ts';
import { literal } from './characters.ts';
import { translate } from './oniguruma.ts';

/** The `pattern` of a component, `{ "Regex": ... }` (Oniguruma's syntax) or `{ "String": ... }` as a global JavaScript regular expression. */
export function pattern(config: Fields): RegExp {
  const { json } = config.fields('pattern');
  const { Regex, String: text } = json;
  if (isText(text)) return new RegExp(literal(text), 'gv');
  if (!isText(Regex)) throw config.malformed(json, '{ "Regex": string } or { "String": string }', 'pattern');
  try {
    return new RegExp(translate(Regex), 'gv');
  } catch (cause) {
    const error = config.malformed(Regex, 'a regular expression that JavaScript can run', 'pattern');
    throw Object.assign(error, { cause });
  }
}

/** What becomes of the matches: whether a piece joins the one before it, by whether the two are matches. */
const behaviors = {
  Removed: () => false,
  Isolated: () => false,
  MergedWithPrevious: (before: boolean, piece: boolean) => !before && piece,
  MergedWithNext: (before: boolean, piece: boolean) => before && !piece,
  Contiguous: (before: boolean, piece: boolean) => before === piece,
};
export type SplitBehavior = keyof typeof behaviors;

/** The `behavior` of a pre-tokenizer. */
export function splitBehavior(config: Fields, missing?: SplitBehavior): SplitBehavior {
  const isBehavior = (value: unknown): value is SplitBehavior => isText(value) && Object.hasOwn(behaviors, value);
  return config.get('behavior', isBehavior, `one of ${Object.keys(behaviors).join(', ')}`, missing);
}

/** Cuts a text at the matches of a pattern; what becomes of the matches is the behavior's. No piece is empty. */
export function split(source: AlignedText, cut: RegExp, behavior: SplitBehavior, invert = false): AlignedText[] {
  const pieces: { start: number; end: number; isMatch: boolean }[] = [];
  let done = 0;
  const add = (end: number, isMatch: boolean) => {
    const last = pieces.at(-1);
    if (last !== undefined && behaviors[behavior](last.isMatch, isMatch)) Object.assign(last, { end, isMatch });
    else pieces.push({ start: done, end, isMatch });
    done = end;
  };
  for (const { index, 0: match } of source.text.matchAll(cut)) {
    if (done < index) add(index, invert);
    add(index + match.length, !invert);
  }
  add(source.text.length, invert);
  return pieces
    .filter(({ start, end, isMatch }) => start < end && !(behavior === 'Removed' && isMatch))
    .map(({ start, end }) => slice(source, start, end));
}
