import { NotFiniteError } from '../errors.ts';

/** By the exponent, whose bits are all set in infinities and NaN: a third faster than Number.isFinite over many. */
const EXPONENT = 0x7f800000;

/** The place of the first number that is not finite; -1 where there is none. */
export function firstNotFinite(values: Float32Array): number {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  for (let i = 0; i < words.length; i++) if ((words[i]! & EXPONENT) === EXPONENT) return i;
  return -1;
}

/**
 * Throws NotFiniteError where an output of a sequence has a number that is not finite. `sequence` counts those of a call. Nothing
 * that a plan computes is infinite on purpose: a key past the end scores -3e38, and so does a candidate that is not there.
 */
export function checkFinite(outputs: ReadonlyMap<string, Float32Array>, sequence: number): void {
  for (const [name, values] of outputs) {
    const at = firstNotFinite(values);
    if (at < 0) continue;
    // What follows a dot is a layer, or the first row of a slice of the vocabulary.
    const [kind = name] = name.split('.');
    const output = kind === 'top' ? 'logits' : kind;
    throw new NotFiniteError({
      what: `the model gave a number that is not finite, in "${output}" of sequence ${sequence}`,
      actual: String(values[at]),
      expected: 'finite numbers',
      next: 'Its weights are too large for float32 arithmetic: check the checkpoint, and where dtype is "fp16" or "q8" try "fp32".',
      output,
      sequence,
    });
  }
}
