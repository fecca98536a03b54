import type { HostDtype } from './types.ts';

/**
 * The elements of a tensor as float32; for F32 a view of `buffer`. Only whole numbers beyond 2^24 are rounded. Used for tensors that the
 * CPU needs or changes: all others go to the GPU as they are. Every machine with WebGPU is little-endian, as the file is.
 */
export function toFloats(buffer: ArrayBuffer, dtype: HostDtype): Float32Array<ArrayBuffer> {
  switch (dtype) {
    case 'F32':
      return new Float32Array(buffer);
    case 'F16':
      return fromHalves(new Uint16Array(buffer));
    case 'BF16':
      return new Float32Array(Uint32Array.from(new Uint16Array(buffer), bits => bits << 16).buffer);
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

/** The values of IEEE 754 binary16. */
function fromHalves(halves: Uint16Array): Float32Array<ArrayBuffer> {
  const words = new Uint32Array(halves.length);
  const floats = new Float32Array(words.buffer);
  for (let i = 0; i < halves.length; i++) {
    const bits = halves[i]!;
    words[i] = ((bits & 0x8000) << 16) | ((bits & 0x7fff) << 13);
    // Infinities and NaN keep their exponent of ones. The bias of the other exponents is 15, not 127: a factor of 2^112.
    if ((bits & 0x7c00) === 0x7c00) words[i]! |= 0x7f800000;
    else floats[i]! *= 2 ** 112;
  }
  return floats;
}
