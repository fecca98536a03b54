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

/** The behaviors of a split. Each says whether a piece joins the one before it, given which of the two are matches. */
const BEHAVIORS = {
  Removed: () => false,
  Isolated: () => false,
  MergedWithPrevious: (before: boolean, piece: boolean) => !before && piece,
  MergedWithNext: (before: boolean, piece: boolean) => before && !piece,
  Contiguous: (before: boolean, piece: boolean) => before === piece,
};
export type SplitBehavior = keyof typeof BEHAVIORS;

/** The `behavior` of a pre-tokenizer. */
export function splitBehavior(config: Fields, missing?: SplitBehavior): SplitBehavior {
  const isBehavior = (value: unknown): value is SplitBehavior => isText(value) && Object.hasOwn(BEHAVIORS, value);
  return config.get('behavior', isBehavior, `one of ${Object.keys(BEHAVIORS).join(', ')}`, missing);
}

interface SplitOptions {
  /** What becomes of the matches. */
  readonly behavior: SplitBehavior;
  /** Whether what is between the matches counts as the matches. */
  readonly invert?: boolean;
}

/** Cuts a text at the matches of a pattern. No piece is empty. */
export function split(source: AlignedText, find: Finder, { behavior, invert = false }: SplitOptions): AlignedText[] {
  const pieces: { start: number; end: number; isMatch: boolean }[] = [];
  let lastEnd = 0;
  const add = (end: number, isMatch: boolean) => {
    const last = pieces.at(-1);
    if (last !== undefined && BEHAVIORS[behavior](last.isMatch, isMatch)) Object.assign(last, { end, isMatch });
    else pieces.push({ start: lastEnd, end, isMatch });
    lastEnd = end;
  };
  for (const [start, end] of find(source.text)) {
    if (lastEnd < start) add(start, invert);
    add(end, !invert);
  }
  add(source.text.length, invert);
  return pieces
    .filter(({ start, end, isMatch }) => start < end && !(behavior === 'Removed' && isMatch))
    .map(({ start, end }) => slice(source, start, end));
}
