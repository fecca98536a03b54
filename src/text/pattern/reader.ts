/** Reads the source of a pattern from its start to its end. */
export class Reader {
  readonly source: string;
  #at = 0;

  constructor(source: string) {
    this.source = source;
  }

  /** The index in the source of the next UTF-16 unit. */
  get at(): number {
    return this.#at;
  }

  get isAtEnd(): boolean {
    return this.#at === this.source.length;
  }

  /** Whether a text comes next. */
  sees(text: string): boolean {
    return this.source.startsWith(text, this.#at);
  }

  /** Reads the next character (a code point); '' at the end. */
  next(): string {
    const code = this.source.codePointAt(this.#at);
    if (code === undefined) return '';
    const character = String.fromCodePoint(code);
    this.#at += character.length;
    return character;
  }

  /** Reads a text if it comes next, and says whether it did. */
  skip(text: string): boolean {
    if (!this.sees(text)) return false;
    this.#at += text.length;
    return true;
  }

  /** Reads what a sticky regular expression matches here; null where it matches nothing. */
  take(token: RegExp): RegExpExecArray | null {
    token.lastIndex = this.#at;
    const match = token.exec(this.source);
    if (match !== null) this.#at = token.lastIndex;
    return match;
  }

  /** The error for a pattern that Oniguruma refuses as well. */
  malformed(what: string): SyntaxError {
    return new SyntaxError(`${what} at character ${this.#at}`);
  }
}
