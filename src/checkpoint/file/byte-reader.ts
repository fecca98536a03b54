import { joined, type ModelFile } from '../source/index.ts';

/** Reads a file in pieces of chosen sizes. Bytes that lie in one piece of the file are not copied. */
export class ByteReader {
  readonly #file: ModelFile;
  /** The piece that the file gave last, and how much of it has been taken. */
  #piece = new Uint8Array();
  #taken = 0;
  #received = 0;
  #isCancelled = false;

  constructor(file: ModelFile) {
    this.#file = file;
  }

  /** Bytes that the file has given so far. */
  get received(): number {
    return this.#received;
  }

  /**
   * The next 1 to `max` bytes, a view that is valid until more is taken; none at the end. Fewer than `max` are a multiple of `unit`,
   * except at the end of the file; only a unit that is split between two pieces of the file is copied.
   */
  async take(max: number, unit = 1): Promise<Uint8Array> {
    while (this.#taken === this.#piece.length) {
      if (!(await this.#next())) return new Uint8Array();
    }
    const available = this.#piece.subarray(this.#taken, this.#taken + max);
    const whole = available.length === max ? max : available.length - (available.length % unit);
    if (whole === 0) return this.exactly(Math.min(max, unit));
    this.#taken += whole;
    return available.subarray(0, whole);
  }

  /** A copy of the next `count` bytes; of fewer only where the file ends. */
  async exactly(count: number): Promise<Uint8Array> {
    const pieces: Uint8Array[] = [];
    for (let missing = count; missing > 0; ) {
      const bytes = await this.take(missing);
      if (bytes.length === 0) break;
      pieces.push(bytes.slice());
      missing -= bytes.length;
    }
    return joined(pieces);
  }

  /** Closes the file. Idempotent; a pending read ends as if the file had ended. */
  async cancel(reason?: unknown): Promise<void> {
    this.#isCancelled = true;
    this.#taken = this.#piece.length;
    await this.#file.cancel(reason);
  }

  /** Waits for the next piece; false at the end. */
  async #next(): Promise<boolean> {
    if (this.#isCancelled) return false;
    try {
      const { done, value } = await this.#file.bytes.next();
      if (done || this.#isCancelled) return false;
      this.#received += value.length;
      this.#piece = value as Uint8Array<ArrayBuffer>;
      this.#taken = 0;
      return true;
    } catch (error) {
      // A read that was cancelled rejects with the reason, which whoever cancelled knows.
      if (this.#isCancelled) return false;
      throw error;
    }
  }
}
