import { InputError, wrong } from '../errors.ts';

/** Which of a text and its pair gives way; the names are Python's. */
export type TruncationStrategy = 'longest_first' | 'only_first' | 'only_second';

/** How many tokens of a text, and of its pair, are kept so that they are `room` together at most. */
export function truncatedLengths(
  lengths: readonly number[],
  room: number,
  strategy: TruncationStrategy,
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
    throw new InputError({ what: 'truncation "only_second" needs a pair', next: 'Pass one, or use "longest_first".' });
  }
  const kept = lengths[index]! - excess;
  if (kept <= 0 && room > 0) {
    throw new InputError({
      what: `truncation "${strategy}" cannot make the tokens fit`,
      actual: `${first + second} tokens, of which ${lengths[index]} may be cut`,
      expected: `at most ${room}`,
      next: 'Use "longest_first", or a greater length.',
    });
  }
  return lengths.map((length, i) => (room === 0 ? 0 : i === index ? kept : length));
}

/** Windows of `size` tokens each; each begins `size - stride` after the one before it. */
export function windows<T>(tokens: readonly T[], size: number, stride: number): T[][] {
  const { length } = tokens;
  if (size >= length) return [[...tokens]];
  if (stride >= size) {
    const next = 'Special tokens and the other text of a pair take their room from every window.';
    throw wrong('the stride', stride, `less than the ${size} tokens of a window`, next);
  }
  const step = size - stride;
  const starts = Array.from({ length: Math.ceil((length - size) / step) + 1 }, (_, i) => i * step);
  return starts.map(start => tokens.slice(start, start + size));
}
