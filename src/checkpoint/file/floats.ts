import type { HostDtype } from './types.ts';

/**
 * The elements of a tensor as float32; for F32 a view of `buffer`. Only whole numbers beyond 2^24 are rounded. Used for the few small tensors that the CPU needs:
 * all others go to the GPU as they are. Every machine with WebGPU is little-endian, as the file is.
 */
export function toFloats(buffer: ArrayBuffer, dtype: HostDtype): Float32Array {
  switch (dtype) {
    case 'F32':
      return new Float32Array(buffer);
    case 'F16':
      return Float32Array.from(new Uint16Array(buffer), fromHalf);
    case 'BF16':
      return Float32Array.from(new Uint16Array(buffer), bits => fromWord(bits << 16));
    case 'I32':
      return Float32Array.from(new Int32Array(buffer));
    case 'U32':
      return Float32Array.from(new Uint32Array(buffer));
    case 'I64':
      return Float32Array.from(new BigInt64Array(buffer), Number);
    case 'U64':
      return Float32Array.from(new BigUint64Array(buffer), Number);
    default:
      return dtype satisfies never;
  }
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
