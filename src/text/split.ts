import { UnsupportedError } from '../errors.ts';
import { type Fields, isText } from '../json.ts';
import { type AlignedText, slice } from './aligned-text.ts';
import {
  compilePattern,
  type Finder,
  finderOf,
  literal,
  mayGrowExponentially,
  parsePattern,
  programFinder,
  UnsupportedPattern,
} from './pattern/index.ts';

/** Longer than any pattern of a tokenizer, and short enough to be analysed in no time. */
const MAX_PATTERN_LENGTH = 10_000;

/**
 * The `pattern` of a component, `{ "Regex": ... }` (Oniguruma's syntax) or `{ "String": ... }`, as a function that finds its matches in
 * time that grows with the length of the text alone.
 * @throws SourceError for what is no pattern; UnsupportedError for one that is not translated, or for which the Rust
 * tokenizers would need exponential time
 */
export function pattern(config: Fields): Finder {
  const { json } = config.fields('pattern');
  const { Regex: source, String: text } = json;
  if (isText(text)) return finderOf(new RegExp(literal(text), 'gv'));
  if (!isText(source)) throw config.malformed(json, '{ "Regex": string } or { "String": string }', 'pattern');
  try {
    return patternFinder(source);
  } catch (cause) {
    if (cause instanceof UnsupportedPattern) throw unsupported(source, cause);
    if (!(cause instanceof SyntaxError)) throw cause;
    const error = config.malformed(source, `a regular expression (found ${cause.message})`, 'pattern');
    throw Object.assign(error, { cause });
  }
}

function patternFinder(source: string): Finder {
  if (source.length > MAX_PATTERN_LENGTH) {
    throw new UnsupportedPattern(`a pattern of ${source.length} characters`, {
      expected: `at most ${MAX_PATTERN_LENGTH}`,
      next: 'Write it as several patterns in a Sequence.',
    });
  }
  const syntax = parsePattern(source);
  if (mayGrowExponentially(syntax)) {
    throw new UnsupportedPattern('one that may take exponential time', {
      expected: 'one in which a repetition matches a text in one way only',
      next: 'Write it without a repetition inside of another, as a+ for (a+)+.',
    });
  }
  return programFinder(compilePattern(syntax));
}

function unsupported(source: string, cause: UnsupportedPattern): UnsupportedError {
  const { actual, expected, next } = cause;
  return new UnsupportedError({
    what: `the pattern ${JSON.stringify(source.slice(0, 200))} of tokenizer.json is not supported`,
    actual,
    expected,
    supported: [expected],
    next,
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
