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

/** What stands before and after a passage in its paragraph, at most so many characters of each. */
export function contextOf(index: TextIndex, row: number, most: number): { before: string; after: string } {
  const { start, end, source } = spanOf(index, row);
  const { text, unit } = index.sources[source]!;
  if (unit === 'lines') return { before: '', after: '' };
  const before = text.slice(Math.max(0, start - most), start);
  const after = text.slice(end, end + most);
  // Whole words: what is cut off begins or ends with an ellipsis.
  const cutBefore = start > most ? `… ${before.slice(before.indexOf(' ') + 1)}` : before;
  const cutAfter = end + most < text.length ? `${after.slice(0, Math.max(0, after.lastIndexOf(' ')))} …` : after;
  return { before: oneLine(cutBefore), after: oneLine(cutAfter) };
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
