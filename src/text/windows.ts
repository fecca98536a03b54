import { InputError, wrong } from '../errors.ts';

/** Which of a text and its pair gives way; the names are Python's. */
export type TruncationStrategy = 'longest_first' | 'only_first' | 'only_second';

/** The side of a text that is cut where it is too long. */
export type TruncationSide = 'left' | 'right';

/**
 * How many tokens of a text, and of its pair, are kept so that they are `room` together at most.
 * @param remedy what the caller's own caller can do where the text that may be cut is too short for it
 */
export function truncatedLengths(
  lengths: readonly number[],
  room: number,
  strategy: TruncationStrategy,
  remedy = 'Shorten the text that may not be cut.',
): readonly number[] {
  const [first = 0, second = 0] = lengths;
  const excess = first + second - room;
  if (excess <= 0) return lengths;
  if (strategy === 'longest_first') {
    const shorter = Math.min(first, second, Math.floor(room / 2));
    const longer = room - shorter;
    return first > second ? [longer, shorter] : [shorter, longer];
  }
  const index = strategy === 'only_first' ? 0 : 1;
  if (index >= lengths.length) {
    throw new InputError({ what: 'truncation "only_second" needs a pair', next: 'Pass a pair.' });
  }
  const kept = lengths[index]! - excess;
  if (kept <= 0 && room > 0) {
    throw new InputError({
      what: `truncation "${strategy}" cannot make the tokens fit`,
      actual: `${first + second} tokens, of which ${lengths[index]} may be cut`,
      expected: `at most ${room}`,
      next: remedy,
    });
  }
  return lengths.map((length, i) => (room === 0 ? 0 : i === index ? kept : length));
}

/** The tokens that are kept of a text. */
export function truncated<T>(tokens: readonly T[], size: number, side: TruncationSide): T[] {
  return side === 'left' ? tokens.slice(tokens.length - Math.min(size, tokens.length)) : tokens.slice(0, size);
}

/**
 * Windows of `size` tokens each; each begins `size - stride` after the one before it. Where the left is cut the first window is the
 * text's end, and each ends `size - stride` before the one before it.
 */
export function windows<T>(tokens: readonly T[], size: number, stride: number, side: TruncationSide): T[][] {
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
