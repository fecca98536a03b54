import { MOST_TEXELS, textureBytes } from '../../shaders/kernel.ts';
import { mostTexels, type Plan, type Sizes, slotBytes, type Value } from '../plan/index.ts';

/** How large the passes are that the buffers of an executable can hold. */

/** Every output begins at a multiple of this in the readback buffer. */
const OUTPUT_ALIGNMENT = 256;
/** In any size, the capacity is at least this. */
const SMALLEST_CAPACITY = 16;

/** Where an output of a pass lies in its readback buffer, in bytes. */
export interface OutputRange {
  readonly value: Value;
  readonly offset: number;
  readonly size: number;
}

/** The outputs of a pass one after the other, with their padding, and the bytes that they take together. */
export function outputRanges({ outputs }: Plan, sizes: Sizes): { ranges: OutputRange[]; bytes: number } {
  const ranges: OutputRange[] = [];
  let bytes = 0;
  for (const { value } of outputs) {
    const size = sizes[value.rows] * value.stride * 4;
    ranges.push({ value, offset: bytes, size });
    bytes += Math.ceil(size / OUTPUT_ALIGNMENT) * OUTPUT_ALIGNMENT;
  }
  return { ranges, bytes };
}

/** Bytes of the readback buffer of passes of this capacity. */
export const readbackBytes = (plan: Plan, capacity: Sizes): number =>
  Math.max(outputRanges(plan, capacity).bytes, OUTPUT_ALIGNMENT);

const keysOf = (sizes: Sizes) => Object.keys(sizes) as (keyof Sizes)[];

const mapSizes = (sizes: Sizes, change: (size: number, key: keyof Sizes) => number): Sizes =>
  Object.fromEntries(keysOf(sizes).map(key => [key, change(sizes[key], key)])) as unknown as Sizes;

/** Whether a pass of these sizes can use buffers of this capacity. */
export const fits = (sizes: Sizes, capacity: Sizes): boolean => keysOf(sizes).every(key => sizes[key] <= capacity[key]);

/** The first buffer or texture of this capacity that is larger than the device allows; undefined where there is none. */
export function tooLarge(
  plan: Plan,
  limits: Pick<GPUSupportedLimits, 'maxStorageBufferBindingSize' | 'maxBufferSize'>,
  capacity: Sizes,
): { bytes: number; limit: number } | undefined {
  const storageLimit = Math.min(limits.maxStorageBufferBindingSize, limits.maxBufferSize);
  return [
    ...plan.slots.map(slot => ({ bytes: slotBytes(slot, capacity), limit: storageLimit })),
    ...[...mostTexels(plan.steps, capacity)].map(([format, texels]) => ({
      bytes: textureBytes(format, texels),
      limit: textureBytes(format, MOST_TEXELS),
    })),
    { bytes: readbackBytes(plan, capacity), limit: limits.maxBufferSize },
  ].find(({ bytes, limit }) => bytes > limit);
}

/**
 * The capacity to make next, for a pass of these sizes. In every size it is the next power of two, and no less than the previous
 * capacity, so that a longer pass now and then makes new buffers only a few times. Where the device does not allow that, it is the
 * larger of both in every size. Where the device does not allow that either, as a readback of several outputs may be too large, it is
 * what the pass needs alone.
 */
export function capacityFor(
  { plan, device: { limits } }: { readonly plan: Plan; readonly device: Pick<GPUDevice, 'limits'> },
  sizes: Sizes,
  previous: Sizes | undefined,
): Sizes {
  const larger = mapSizes(sizes, (size, key) => Math.max(size, previous?.[key] ?? 0));
  const doubled = mapSizes(sizes, (size, key) =>
    Math.max(previous?.[key] ?? 0, 2 ** Math.ceil(Math.log2(Math.max(size, SMALLEST_CAPACITY)))),
  );
  return [doubled, larger].find(capacity => !tooLarge(plan, limits, capacity)) ?? sizes;
}
