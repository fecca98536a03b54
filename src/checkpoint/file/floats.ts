import type { TensorDtype } from './types.ts';

/**
 * The elements of a tensor as float32, without rounding; for F32 a view of `buffer`. Used for the few small tensors that the CPU needs:
 * all others go to the GPU as they are. Every machine with WebGPU is little-endian, as the file is.
 */
export function toFloats(buffer: ArrayBuffer, dtype: TensorDtype): Float32Array {
  if (dtype === 'F32') return new Float32Array(buffer);
  return Float32Array.from(new Uint16Array(buffer), dtype === 'F16' ? fromHalf : bits => fromWord(bits << 16));
}

/** The float32 with these 32 bits. */
function fromWord(bits: number): number {
  return new Float32Array(Int32Array.of(bits).buffer)[0]!;
}

/** The value of 16 bits of IEEE 754 binary16. */
function fromHalf(bits: number): number {
  const word = ((bits & 0x8000) << 16) | ((bits & 0x7fff) << 13);
  // Infinities and NaN keep their exponent of ones. The bias of the other exponents is 15, not 127: a factor of 2^112.
  return (bits & 0x7c00) === 0x7c00 ? fromWord(word | 0x7f800000) : fromWord(word) * 2 ** 112;
}
