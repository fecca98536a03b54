/** A pattern that Oniguruma takes and this room does not. What Oniguruma refuses too is a SyntaxError. */
export class UnsupportedPattern extends Error {
  override readonly name = 'UnsupportedPattern';
  /** What it is in the pattern that is not taken. */
  readonly actual: string;
  /** What would be taken instead. */
  readonly expected: string;
  /** What the author of the pattern can do, as a full sentence. */
  readonly next: string;

  constructor(actual: string, { expected = 'a pattern without it', next = 'Write the pattern without it.' } = {}) {
    super(actual);
    this.actual = actual;
    this.expected = expected;
    this.next = next;
  }
}
