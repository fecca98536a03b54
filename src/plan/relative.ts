import { MAX_DISTANCE } from '../../shaders/attention-keys.ts';

/**
 * The bucket of every distance (key - query) from -128 to 128: half of the buckets for each direction, of those half for single
 * distances and half for ranges that grow as the logarithm (T5, arXiv 1910.10683; transformers' MPNetEncoder).
 */
export function bucketTable(buckets: number): Uint32Array<ArrayBuffer> {
  const half = Math.floor(buckets / 2);
  const exact = Math.floor(half / 2);
  return Uint32Array.from({ length: 2 * MAX_DISTANCE + 1 }, (_, i) => {
    const distance = Math.abs(i - MAX_DISTANCE);
    // The hair's breadth keeps powers of two, where the logarithm is whole, from falling below.
    const far =
      exact + Math.floor((Math.log(distance / exact) / Math.log(MAX_DISTANCE / exact)) * (half - exact) + 1e-9);
    return (i > MAX_DISTANCE ? half : 0) + (distance < exact ? distance : Math.min(far, half - 1));
  });
}
