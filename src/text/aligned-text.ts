import type { Finder } from './pattern/index.ts';

/**
 * A text on its way through the tokenizer, with the character of the original that every UTF-16 unit of it stands for.
 *
 * The rules by which a changed character inherits its place are those of the Rust tokenizers' NormalizedString
 * (huggingface/tokenizers, tokenizer/normalizer.rs), so offsets come out equal to theirs, oddities included.
 */
export interface AlignedText {
  readonly text: string;
  /** Where in the original the character begins that unit i stands for; ~p where it stands for nothing, at place p. */
  readonly places: Int32Array;
  /** Where this piece begins in the original: what is put before its first character is aligned there. */
  readonly origin: number;
}

export type Normalizer = (source: AlignedText) => AlignedText;

/** A text that is its own original. It has no lone surrogates. */
export function align(text: string): AlignedText {
  const places = new Int32Array(text.length);
  for (let unit = 0; unit < text.length; unit++) {
    const isTail = (text.charCodeAt(unit) & 0xfc00) === 0xdc00;
    places[unit] = isTail ? unit - 1 : unit;
  }
  return { text, places, origin: 0 };
}

/** How many UTF-16 units the character at a place has. */
export function sizeAt(text: string, unit: number): number {
  return text.codePointAt(unit)! > 0xffff ? 2 : 1;
}

/** All white space is of one UTF-16 unit. */
const space = /\p{White_Space}/u;

/** Where the white space ends that begins at a place; the place itself where there is none. */
export function spacesAfter(text: string, start: number): number {
  let end = start;
  while (end < text.length && space.test(text[end]!)) end++;
  return end;
}

/** Where the white space begins that ends at a place, at `least` or after it. */
export function spacesBefore(text: string, end: number, least: number): number {
  let start = end;
  while (start > least && space.test(text[start - 1]!)) start--;
  return start;
}

/** Of a place p and of ~p, p. */
const beginning = (place: number) => Math.max(place, ~place);

/** The [start, end) in the original of some units of a text; one of them at least. */
export function span({ places }: AlignedText, original: string, start: number, end: number): [number, number] {
  const last = places[end - 1]!;
  return [beginning(places[start]!), last < 0 ? ~last : last + sizeAt(original, last)];
}

export function slice({ text, places, origin }: AlignedText, start: number, end?: number): AlignedText {
  const cut = places.subarray(start, end);
  return { text: text.slice(start, end), places: cut, origin: cut.length > 0 ? beginning(cut[0]!) : origin };
}

/** The text anew from parts; part i stands for what unit sources[i] stood for, and for the origin's nothing at -1. */
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

/** Every character replaced by none, one or more, which all stand for what it stood for. */
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

/** `prefix` put before the first character, standing for what that stands for; an empty text stays empty. */
export const prepend = (source: AlignedText, prefix: string): AlignedText =>
  mapCharacters(source, (character, unit) => (unit === 0 ? prefix + character : character));

/**
 * The text replaced by `characters` in order; `changes[i]` says how character i came about: 0 replaces the next old
 * character, 1 is inserted (and stands for what the old character before it did), -n replaces one and swallows n more.
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

/** Every match replaced by `content`, literally; it stands for what the last character of the match did. */
export function replace(source: AlignedText, find: Finder, content: string): AlignedText {
  const parts: string[] = [];
  const sources: number[] = [];
  let done = 0;
  const keep = (end: number) => {
    for (; done < end; done++) {
      parts.push(source.text[done]!);
      sources.push(done);
    }
  };
  const matches = [...find(source.text)];
  if (matches.length === 0) return source;
  for (const [start, end] of matches) {
    keep(start);
    done = end;
    parts.push(content);
    sources.push(done - 1);
  }
  keep(source.text.length);
  return rebuild(source, parts, sources);
}
