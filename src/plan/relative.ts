import { MAX_DISTANCE } from '../../shaders/attention-keys.ts';

/**
 * The bucket of every distance (key - query) from -128 to 128. Each direction has half of the buckets: one half of these for single
 * distances, the other for ranges that grow as the logarithm (T5, arXiv 1910.10683; transformers' MPNetEncoder).
 */
export function bucketTable(buckets: number): Uint32Array<ArrayBuffer> {
  const half = Math.floor(buckets / 2);
  const exact = Math.floor(half / 2);
  return Uint32Array.from({ length: 2 * MAX_DISTANCE + 1 }, (_, i) => {
    const distance = Math.abs(i - MAX_DISTANCE);
    // 1e-9: where the logarithm is a whole number, rounding must not put it below.
    const far =
      exact + Math.floor((Math.log(distance / exact) / Math.log(MAX_DISTANCE / exact)) * (half - exact) + 1e-9);
    return (i > MAX_DISTANCE ? half : 0) + (distance < exact ? distance : Math.min(far, half - 1));
  });
}
