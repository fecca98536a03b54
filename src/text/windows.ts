import { InputError, wrong } from '../errors.ts';

/** Which of a text and its pair gives way; the names are Python's. */
export type TruncationStrategy = 'longest_first' | 'only_first' | 'only_second';

export interface Span {
  start: number;
  end: number;
}

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
    if (lengths.length === 1) return [room];
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

/** Windows of `size` over `length` tokens; each begins `size - stride` after the one before it. */
export function windows(length: number, size: number, stride: number): Span[] {
  if (size >= length) return [{ start: 0, end: length }];
  if (stride >= size) {
    const next = 'Special tokens and the other text of a pair take their room from every window.';
    throw wrong('the stride', stride, `less than the ${size} tokens of a window`, next);
  }
  const spans: Span[] = [];
  for (let start = 0; spans.at(-1)?.end !== length; start += size - stride) {
    spans.push({ start, end: Math.min(start + size, length) });
  }
  return spans;
}
