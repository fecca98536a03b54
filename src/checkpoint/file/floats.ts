import { halvesToFloats } from '../../halves.ts';
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
      return halvesToFloats(new Uint16Array(buffer));
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
