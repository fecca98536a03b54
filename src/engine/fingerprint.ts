import type { TensorChunk } from '../checkpoint/file/index.ts';

/** The finalizer of MurmurHash3: every bit of the result depends on every bit of `value`. */
function mixed(value: number): number {
  let h = value;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

/** 32 bits of a text. */
function textHash(text: string): number {
  let hash = 0;
  for (let i = 0; i < text.length; i++) hash = mixed(Math.imul(hash, 31) + text.charCodeAt(i));
  return hash >>> 0;
}

const hex = (bits: number): string => (bits >>> 0).toString(16).padStart(8, '0');

/** One byte in so many counts. It is odd, so that all bytes of an element take their turns. */
const STEP = 61;

/**
 * Tells checkpoints apart by their weights: 64 bits of a sample of the bytes of every tensor. The same bytes give the same bits, however
 * they arrive. It is no protection against someone who makes a file with equal bits (see `integrity` for that).
 */
export class Fingerprint {
  #low = 0;
  #high = 0;
  readonly #names = new Map<string, number>();

  add({ tensor, begin, bytes }: TensorChunk): void {
    const { name, dtype, shape } = tensor;
    const seed = this.#names.get(name) ?? textHash(`${name} ${dtype} ${shape}`);
    this.#names.set(name, seed);
    for (let at = Math.ceil(begin / STEP) * STEP; at < begin + bytes.length; at += STEP) {
      const bits = mixed(seed ^ mixed(at / STEP + Math.imul(bytes[at - begin]! + 1, 0x9e3779b1)));
      // A sum does not depend on the order of the tensors.
      this.#low = (this.#low + bits) | 0;
      this.#high = (this.#high + mixed(bits ^ 0x5bd1e995)) | 0;
    }
  }

  toString(): string {
    return hex(this.#high) + hex(this.#low);
  }
}
