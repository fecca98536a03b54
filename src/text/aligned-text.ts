/**
 * A text on its way through the tokenizer, with the span of the original that every UTF-16 unit of it stands for.
 *
 * The rules by which a changed character inherits its span are those of the Rust tokenizers' NormalizedString
 * (huggingface/tokenizers, tokenizer/normalizer.rs), so offsets come out equal to theirs, oddities included.
 */
export class AlignedText {
  readonly text: string;
  /** Start in the original of what unit i stands for; [text.length]. */
  readonly starts: Int32Array;
  /** End (exclusive) in the original of what unit i stands for; [text.length]. */
  readonly ends: Int32Array;
  /** Where this piece begins in the original: what is put before its first character is aligned there. */
  readonly origin: number;

  constructor(text: string, starts: Int32Array, ends: Int32Array, origin: number) {
    this.text = text;
    this.starts = starts;
    this.ends = ends;
    this.origin = origin;
  }

  static of(text: string): AlignedText {
    const starts = new Int32Array(text.length);
    const ends = new Int32Array(text.length);
    for (let unit = 0; unit < text.length; ) {
      const start = unit;
      const end = start + sizeAt(text, start);
      for (; unit < end; unit++) {
        starts[unit] = start;
        ends[unit] = end;
      }
    }
    return new AlignedText(text, starts, ends, 0);
  }

  slice(start: number, end: number): AlignedText {
    const origin = start < end ? this.starts[start]! : this.origin;
    if (start === 0 && end === this.text.length && origin === this.origin) return this;
    return new AlignedText(
      this.text.slice(start, end),
      this.starts.subarray(start, end),
      this.ends.subarray(start, end),
      origin,
    );
  }

  /** Another text of the same units: nothing was added or removed. */
  relabel(text: string): AlignedText {
    return text === this.text ? this : new AlignedText(text, this.starts, this.ends, this.origin);
  }

  /** Every character replaced by none, one or more, which all stand for what it stood for. */
  mapCharacters(change: (character: string) => string): AlignedText {
    const parts: string[] = [];
    const sources: number[] = [];
    let unit = 0;
    for (const character of this.text) {
      const part = change(character);
      parts.push(part);
      for (let k = 0; k < part.length; k++) sources.push(unit);
      unit += character.length;
    }
    return this.rebuild(parts.join(''), sources);
  }

  /** The text anew, its unit i standing for what unit sources[i] stood for; -1: for the empty span at the origin. */
  rebuild(text: string, sources: readonly number[]): AlignedText {
    const starts = new Int32Array(sources.length);
    const ends = new Int32Array(sources.length);
    for (let i = 0; i < sources.length; i++) {
      const source = sources[i]!;
      starts[i] = source < 0 ? this.origin : this.starts[source]!;
      ends[i] = source < 0 ? this.origin : this.ends[source]!;
    }
    return new AlignedText(text, starts, ends, this.origin);
  }

  /**
   * The text replaced by `characters` in order; `changes[i]` says how character i came about: 0 replaces the next old
   * character, 1 is inserted (and stands for what the old character before it did), -n replaces one and swallows n more.
   */
  transform(characters: readonly string[], changes: readonly number[]): AlignedText {
    const sources: number[] = [];
    const last = this.text.length - 1;
    let unit = 0;
    for (let i = 0; i < characters.length; i++) {
      const change = changes[i]!;
      const source = Math.min(change > 0 ? unit - 1 : unit, last);
      for (let k = 0; k < characters[i]!.length; k++) sources.push(source);
      for (let taken = change; taken <= 0 && unit <= last; taken++) unit += sizeAt(this.text, unit);
    }
    return this.rebuild(characters.join(''), sources);
  }

  /** `prefix` put before the first character, standing for what that stands for; an empty text stays empty. */
  prepend(prefix: string): AlignedText {
    if (this.text === '') return this;
    const sources = new Array<number>(prefix.length).fill(0);
    for (let unit = 0; unit < this.text.length; unit++) sources.push(unit);
    return this.rebuild(prefix + this.text, sources);
  }

  /** Every match replaced by `content`, literally; it stands for what the last character of the match did. */
  replace(pattern: RegExp, content: string): AlignedText {
    const parts: string[] = [];
    const sources: number[] = [];
    let done = 0;
    const keep = (end: number) => {
      parts.push(this.text.slice(done, end));
      while (done < end) sources.push(done++);
    };
    for (const match of this.text.matchAll(pattern)) {
      keep(match.index);
      done += match[0].length;
      parts.push(content);
      for (let k = 0; k < content.length; k++) sources.push(done - 1);
    }
    if (parts.length === 0) return this;
    keep(this.text.length);
    return this.rebuild(parts.join(''), sources);
  }
}

/** How many UTF-16 units the character at a place has. */
export function sizeAt(text: string, unit: number): number {
  return text.codePointAt(unit)! > 0xffff ? 2 : 1;
}
