import type { Finder } from './pattern/index.ts';

/**
 * A text on its way through the tokenizer. For every UTF-16 unit it has the place in the original text of the character that the unit
 * came from.
 *
 * The rules by which a changed character inherits its place are those of the Rust tokenizers' NormalizedString
 * (huggingface/tokenizers, tokenizer/normalizer.rs), so offsets are equal to theirs, oddities included.
 */
export interface AlignedText {
  readonly text: string;
  /** For unit i, where in the original its character begins; ~p for a unit that was inserted at place p and has no character there. */
  readonly places: Int32Array;
  /** Where this piece begins in the original. What is inserted before its first character gets this place. */
  readonly origin: number;
}

export type Normalizer = (source: AlignedText) => AlignedText;

/** An original text, aligned with itself. It must have no lone surrogates. */
export function align(text: string): AlignedText {
  const places = new Int32Array(text.length);
  for (let unit = 0; unit < text.length; unit++) {
    const isTail = (text.charCodeAt(unit) & 0xfc00) === 0xdc00;
    places[unit] = isTail ? unit - 1 : unit;
  }
  return { text, places, origin: 0 };
}

/** The number of UTF-16 units of the character at a place. */
export function sizeAt(text: string, unit: number): number {
  return text.codePointAt(unit)! > 0xffff ? 2 : 1;
}

/** Every white space character has one UTF-16 unit. */
const space = /\p{White_Space}/u;

/** Where the white space ends that begins at `start`; `start` itself if there is none. */
export function spacesAfter(text: string, start: number): number {
  let end = start;
  while (end < text.length && space.test(text[end]!)) end++;
  return end;
}

/** Where the white space begins that ends at `end`. The result is at least `min`. */
export function spacesBefore(text: string, end: number, min: number): number {
  let start = end;
  while (start > min && space.test(text[start - 1]!)) start--;
  return start;
}

/** p for both p and ~p. */
const startOf = (place: number) => Math.max(place, ~place);

/** The [start, end) in the original of the units from `start` to `end`, at least one unit. */
export function span({ places }: AlignedText, original: string, start: number, end: number): [number, number] {
  const last = places[end - 1]!;
  return [startOf(places[start]!), last < 0 ? ~last : last + sizeAt(original, last)];
}

export function slice({ text, places, origin }: AlignedText, start: number, end?: number): AlignedText {
  const cut = places.subarray(start, end);
  return { text: text.slice(start, end), places: cut, origin: cut.length > 0 ? startOf(cut[0]!) : origin };
}

/** A text made of new parts. Part i inherits the place of the old unit sources[i]; for -1 it counts as inserted at the origin. */
function rebuild({ places, origin }: AlignedText, parts: readonly string[], sources: readonly number[]): AlignedText {
  const text = parts.join('');
  const moved = new Int32Array(text.length);
  let unit = 0;
  for (let i = 0; i < parts.length; i++) {
    const source = sources[i]!;
    const place = source < 0 ? ~origin : places[source]!;
    for (const end = unit + parts[i]!.length; unit < end; unit++) moved[unit] = place;
  }
  return { text, places: moved, origin };
}

/** Replaces every character by none, one or more, which all inherit its place. */
export function mapCharacters(source: AlignedText, change: (character: string, unit: number) => string): AlignedText {
  const parts: string[] = [];
  const sources: number[] = [];
  let unit = 0;
  for (const character of source.text) {
    parts.push(change(character, unit));
    sources.push(unit);
    unit += character.length;
  }
  return rebuild(source, parts, sources);
}

/** Puts `prefix` before the first character, whose place it inherits. An empty text stays empty. */
export const prepend = (source: AlignedText, prefix: string): AlignedText =>
  mapCharacters(source, (character, unit) => (unit === 0 ? prefix + character : character));

/**
 * Replaces the text by `characters`. `changes[i]` says where character i came from: 0 replaces the next old character; 1 is
 * inserted, and inherits the place of the old character before it; -n replaces the next one and swallows n more.
 */
export function transform(source: AlignedText, characters: readonly string[], changes: readonly number[]): AlignedText {
  const last = source.text.length - 1;
  let unit = 0;
  const sources = changes.map(change => {
    const from = Math.min(change > 0 ? unit - 1 : unit, last);
    for (let taken = change; taken <= 0 && unit <= last; taken++) unit += sizeAt(source.text, unit);
    return from;
  });
  return rebuild(source, characters, sources);
}

/** Replaces every match by `content`, literally. It inherits the place of the last character of the match. */
export function replace(source: AlignedText, find: Finder, content: string): AlignedText {
  const parts: string[] = [];
  const sources: number[] = [];
  let unit = 0;
  const keep = (end: number) => {
    for (; unit < end; unit++) {
      parts.push(source.text[unit]!);
      sources.push(unit);
    }
  };
  const matches = [...find(source.text)];
  if (matches.length === 0) return source;
  for (const [start, end] of matches) {
    keep(start);
    unit = end;
    parts.push(content);
    sources.push(end - 1);
  }
  keep(source.text.length);
  return rebuild(source, parts, sources);
}
