import type { TensorDtype } from './types.ts';

/** Little-endian elements of a tensor as float32, exactly. For the few small tensors that the CPU needs; others go to the GPU as they are. */
export function toFloats(bytes: Uint8Array, dtype: TensorDtype): Float32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (dtype === 'F32') return Float32Array.from({ length: bytes.length / 4 }, (_, i) => view.getFloat32(4 * i, true));
  return Float32Array.from({ length: bytes.length / 2 }, (_, i) => {
    const bits = view.getUint16(2 * i, true);
    return dtype === 'F16' ? fromHalf(bits) : fromWord(bits << 16);
  });
}

function fromWord(bits: number): number {
  const word = new DataView(new ArrayBuffer(4));
  word.setInt32(0, bits);
  return word.getFloat32(0);
}

/** IEEE 754 binary16. */
function fromHalf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = (bits & 1023) / 1024;
  if (exponent === 0) return sign * 2 ** -14 * fraction;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * 2 ** (exponent - 15) * (1 + fraction);
}
