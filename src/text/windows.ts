import { InputError, wrong } from '../errors.ts';

/** Which text is shortened, of a text and its pair; the names are Python's. */
export type TruncationStrategy = 'longest_first' | 'only_first' | 'only_second';

/** The side of a text at which it is cut. */
export type TruncationSide = 'left' | 'right';

interface TruncationOptions {
  /** Default: "longest_first". */
  readonly truncation?: TruncationStrategy | undefined;
  /** The advice in the error if the text that may be cut is too short. */
  readonly remedy?: string | undefined;
}

/**
 * How many tokens are kept of a text, and of its pair, so that together they are at most `room`.
 * @param lengths the number of tokens of the text, and of its pair if there is one
 */
export function truncatedLengths(
  lengths: readonly number[],
  room: number,
  { truncation = 'longest_first', remedy = 'Shorten the text that may not be cut.' }: TruncationOptions = {},
): readonly number[] {
  const [first = 0, second = 0] = lengths;
  const excess = first + second - room;
  if (excess <= 0) return lengths;
  if (truncation === 'longest_first') {
    const shorter = Math.min(first, second, Math.floor(room / 2));
    const longer = room - shorter;
    return first > second ? [longer, shorter] : [shorter, longer];
  }
  const index = truncation === 'only_first' ? 0 : 1;
  if (index >= lengths.length) {
    throw new InputError({ what: 'truncation "only_second" needs a pair', next: 'Pass a pair.' });
  }
  const kept = lengths[index]! - excess;
  if (kept <= 0 && room > 0) {
    throw new InputError({
      what: `truncation "${truncation}" cannot make the tokens fit`,
      actual: `${first + second} tokens, of which ${lengths[index]} may be cut`,
      expected: `at most ${room}`,
      next: remedy,
    });
  }
  return lengths.map((length, i) => (room === 0 ? 0 : i === index ? kept : length));
}

/** The tokens of a text that are left when it is cut to `size` tokens. */
export function truncated<T>(tokens: readonly T[], size: number, side: TruncationSide): T[] {
  return side === 'left' ? tokens.slice(tokens.length - Math.min(size, tokens.length)) : tokens.slice(0, size);
}

interface WindowOptions {
  /** The tokens of a window. */
  readonly size: number;
  /** How many tokens two neighbouring windows share. */
  readonly stride: number;
  /** The side at which the text is cut: the first window is at the other side. */
  readonly side: TruncationSide;
}

/**
 * Cuts the tokens of a text into windows. Each begins `size - stride` tokens after the one before it. If the left is cut, the
 * first window is the end of the text, and each ends `size - stride` tokens before the one before it.
 */
export function windows<T>(tokens: readonly T[], { size, stride, side }: WindowOptions): T[][] {
  const { length } = tokens;
  if (size >= length) return [[...tokens]];
  if (stride >= size) {
    const next = 'Special tokens and the other text of a pair take their room from every window.';
    throw wrong('the stride', stride, `less than the ${size} tokens of a window`, next);
  }
  const step = size - stride;
  const starts = Array.from({ length: Math.ceil((length - size) / step) + 1 }, (_, i) => i * step);
  if (side === 'right') return starts.map(start => tokens.slice(start, start + size));
  return starts.map(start => tokens.slice(Math.max(0, length - start - size), length - start));
}
