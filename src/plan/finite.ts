import { NotFiniteError } from '../errors.ts';
import type { SequenceOutputs } from './passes.ts';

/** The bits of the exponent. All are set in infinities and NaN. Looking at them is a third faster than Number.isFinite. */
const EXPONENT = 0x7f800000;

/** The index of the first number that is not finite; -1 where all are. */
export function firstNotFinite(values: Float32Array): number {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  for (let i = 0; i < words.length; i++) if ((words[i]! & EXPONENT) === EXPONENT) return i;
  return -1;
}

/**
 * Throws NotFiniteError where an output of a sequence has a number that is not finite. `sequence` is the index in its call. A plan
 * computes nothing that is infinite on purpose: a key past the end scores -3e38, and so does a candidate that does not exist.
 */
export function checkFinite(outputs: SequenceOutputs, sequence: number): void {
  for (const { name, data } of outputs) {
    const at = firstNotFinite(data);
    if (at < 0) continue;
    // People know the logits, of which the best are a part.
    const output = name === 'top' ? 'logits' : name;
    throw new NotFiniteError({
      what: `the model gave a number that is not finite, in "${output}" of sequence ${sequence}`,
      actual: String(data[at]),
      expected: 'finite numbers',
      next: 'Its weights are too large for float32 arithmetic: check the checkpoint, and where dtype is "fp16" or "q8" try "fp32".',
      output,
      sequence,
    });
  }
}
