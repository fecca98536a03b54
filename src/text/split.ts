import { UnsupportedError } from '../errors.ts';
import { type Fields, isText } from '../json.ts';
import { type AlignedText, slice } from './aligned-text.ts';
import {
  compilePattern,
  type Finder,
  finderOf,
  literal,
  mayGrowExponentially,
  type Program,
  parsePattern,
  programFinder,
  translate,
} from './pattern/index.ts';

/** Longer than any pattern of a tokenizer, and short enough to be looked into in no time. */
const LONGEST_PATTERN = 10_000;

/**
 * The `pattern` of a component, `{ "Regex": ... }` (Oniguruma's syntax) or `{ "String": ... }`. What it finds it finds in time that
 * grows with the text's length alone.
 * @throws SourceError for what is no pattern; UnsupportedError for one that the tokenizers of a file's maker would
 * need exponential time for
 */
export function pattern(config: Fields): Finder {
  const { json } = config.fields('pattern');
  const { Regex, String: text } = json;
  if (isText(text)) return finderOf(new RegExp(literal(text), 'gv'));
  if (!isText(Regex)) throw config.malformed(json, '{ "Regex": string } or { "String": string }', 'pattern');
  return programFinder(programOf(Regex, config));
}

function programOf(Regex: string, config: Fields): Program {
  if (Regex.length > LONGEST_PATTERN) throw unsupported(Regex, `it is longer than ${LONGEST_PATTERN} characters`);
  let translated: string;
  try {
    translated = translate(Regex);
    new RegExp(translated, 'v');
  } catch (cause) {
    const error = config.malformed(Regex, 'a regular expression that JavaScript can run', 'pattern');
    throw Object.assign(error, { cause });
  }
  let program: Program;
  try {
    program = compilePattern(parsePattern(translated));
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw unsupported(Regex, cause.message, cause);
  }
  if (mayGrowExponentially(program)) throw unsupported(Regex, 'it may take exponential time');
  return program;
}

function unsupported(Regex: string, why: string, cause?: Error): UnsupportedError {
  return new UnsupportedError({
    what: `the pattern ${JSON.stringify(Regex.slice(0, 200))} of tokenizer.json is not supported: ${why}`,
    supported: ['patterns in which a repetition matches a text in one way only'],
    expected: 'one in which a repetition matches a text in one way only',
    next: 'Write it without a repetition inside of another, as a+ for (a+)+.',
    cause,
  });
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
export function split(source: AlignedText, cut: Finder, behavior: SplitBehavior, invert = false): AlignedText[] {
  const pieces: { start: number; end: number; isMatch: boolean }[] = [];
  let done = 0;
  const add = (end: number, isMatch: boolean) => {
    const last = pieces.at(-1);
    if (last !== undefined && behaviors[behavior](last.isMatch, isMatch)) Object.assign(last, { end, isMatch });
    else pieces.push({ start: done, end, isMatch });
    done = end;
  };
  for (const [start, end] of cut(source.text)) {
    if (done < start) add(start, invert);
    add(end, !invert);
  }
  add(source.text.length, invert);
  return pieces
    .filter(({ start, end, isMatch }) => start < end && !(behavior === 'Removed' && isMatch))
    .map(({ start, end }) => slice(source, start, end));
}
