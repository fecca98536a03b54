import { passagesOf, type Source, type Span } from './passages.ts';
import type { Matrix } from './rank.ts';
import { inSlices } from './slices.ts';

/** Texts, where their passages are, and the vectors of those that have been embedded. */
export interface TextIndex {
  readonly id: string;
  name: string;
  readonly createdAt: number;
  readonly sources: readonly Source[];
  readonly passages: Passages;
  vectors: Vectors | undefined;
}

/** Passages in the order of the sources: where each begins and ends in the text of its source. */
export interface Passages {
  readonly starts: Uint32Array;
  readonly ends: Uint32Array;
  readonly sources: Uint32Array;
}

/** Vectors of the first `rows` passages, all of one model. */
export interface Vectors extends Matrix {
  /** `extractor.space` of the model: vectors of different spaces cannot be compared. */
  readonly space: string;
  readonly model: ModelNote;
  rows: number;
}

/** Which model it was, so that it can be offered again. */
export interface ModelNote {
  readonly name: string;
  /** A hub id or a URL; undefined for a folder. */
  readonly id: string | undefined;
  readonly dtype: string;
}

/** More than this many passages are not taken: their vectors would not fit into a phone's memory. */
export const MOST_PASSAGES = 50_000;

export const countOf = ({ passages }: TextIndex): number => passages.starts.length;

export function spanOf({ passages }: TextIndex, row: number): Span & { source: number } {
  return { start: passages.starts[row]!, end: passages.ends[row]!, source: passages.sources[row]! };
}

/** The text of a passage, with single spaces. */
export function textOf(index: TextIndex, row: number): string {
  const { start, end, source } = spanOf(index, row);
  return oneLine(index.sources[source]!.text.slice(start, end));
}

export const oneLine = (text: string): string => text.split(/\s/).filter(Boolean).join(' ');

/** The passages before and after one, where they are of the same paragraph: at most so many characters of each. */
export function contextOf(index: TextIndex, row: number, most: number): { before: string; after: string } {
  const { text, unit } = index.sources[spanOf(index, row).source]!;
  /** Whether nothing but a space or the end of a line stands between two passages. */
  const isNext = (first: number, second: number): boolean => {
    if (unit === 'lines' || first < 0 || second >= countOf(index)) return false;
    const [one, other] = [spanOf(index, first), spanOf(index, second)];
    if (one.source !== other.source) return false;
    const between = text.slice(one.end, other.start);
    return between.trim() === '' && between.indexOf('\n') === between.lastIndexOf('\n');
  };
  const before = isNext(row - 1, row) ? textOf(index, row - 1) : '';
  const after = isNext(row, row + 1) ? textOf(index, row + 1) : '';
  return { before: endOf(before, most), after: beginningOf(after, most) };
}

/** At most so many UTF-16 units of the beginning of a text, and an ellipsis where it goes on: whole words, or whole characters where there are no words. */
export function beginningOf(text: string, most: number): string {
  if (text.length <= most) return text;
  const part = text.slice(0, most).replace(/[\uD800-\uDBFF]$/, '');
  const space = part.lastIndexOf(' ');
  return `${space > 0 ? part.slice(0, space) : part} …`;
}

/** The same of its end. */
function endOf(text: string, most: number): string {
  if (text.length <= most) return text;
  const part = text.slice(-most).replace(/^[\uDC00-\uDFFF]/, '');
  return `… ${part.slice(part.indexOf(' ') + 1)}`;
}

/** The passages of texts, found in slices that leave the page free. `offset` is the number of the first source. */
export async function findPassages(
  sources: readonly Source[],
  signal: AbortSignal,
): Promise<{ passages: Passages; isCut: boolean }> {
  const starts: number[] = [];
  const ends: number[] = [];
  const owners: number[] = [];
  for (const [owner, source] of sources.entries()) {
    await inSlices(passagesOf(source), signal, ({ start, end }) => {
      starts.push(start);
      ends.push(end);
      owners.push(owner);
    });
  }
  const isCut = starts.length > MOST_PASSAGES;
  const array = (numbers: readonly number[]) => Uint32Array.from(isCut ? numbers.slice(0, MOST_PASSAGES) : numbers);
  return { passages: { starts: array(starts), ends: array(ends), sources: array(owners) }, isCut };
}
