import { type Kernel, MOST_TEXELS } from '../../shaders/kernel.ts';
import { elementBytes, type Format, rowElements, TEXEL_FORMATS } from '../../shaders/matrix.ts';
import { halve, quantize } from '../../shaders/pack.ts';
import { DeviceError } from '../errors.ts';
import {
  type Band,
  bandOf,
  bandRows,
  isJoined,
  numbersOf,
  type Weight,
  weightBytes,
  weightElements,
} from '../plan/index.ts';
import { createBuffer } from './buffers.ts';
import type { ParamValues } from './dispatch.ts';
import { copyFromArrayTexture, copyToArrayTexture, createArrayTexture } from './textures.ts';

/** Makes what is stored from float32 rows. */
interface Packing {
  readonly kernel: (weight: Weight) => Kernel;
  /** The params of the kernel for a band of so many rows. */
  readonly params: (weight: Weight, rows: number) => ParamValues;
}

const PACKING: Readonly<Record<Format, Packing | undefined>> = {
  f32: undefined,
  f16: { kernel: () => halve(), params: ({ stride }, rows) => ({ count: (rows * stride) / 4 }) },
  i8: { kernel: ({ stride }) => quantize({ columns: stride }), params: (_, rows) => ({ rows }) },
};

/** Whether what is stored are the float32 rows themselves: they are placed there, and need no buffer on their way. */
const isPlain = ({ storage }: Weight): boolean => storage.format === 'f32' && !storage.texels;

/** Rows of a tensor in one band. All are one band where they are stored as they are, and where a row waits for several tensors. */
const rowsPerBand = (weight: Weight, bandBytes: number): number =>
  isPlain(weight) || isJoined(weight) ? weight.count : bandRows(weight, bandBytes);

/** One weight on the GPU, in its storage format. */
export class StoredWeight {
  readonly weight: Weight;
  /** What the kernels bind. */
  readonly resource: GPUBuffer | GPUTexture;
  /** Its place among all weights of the store. */
  readonly index: number;
  /** The buffer of the float32 rows, where these are what is stored. */
  readonly plainRows: GPUBuffer | undefined;
  /** The kernel that packs a band, where rows are packed. */
  readonly packingKernel: Kernel | undefined;
  readonly rowsPerBand: number;
  /** Whether all rows are in one band, which is complete when nothing is missing. */
  readonly isOneBand: boolean;
  /** Numbers that have not been placed. */
  missing: number;

  /** @param bandBytes Bytes that the float32 rows of a band may have. */
  constructor(device: GPUDevice, weight: Weight, index: number, bandBytes: number) {
    const { name, storage, parts } = weight;
    const { format, texels } = storage;
    this.weight = weight;
    this.index = index;
    const buffer = texels ? undefined : createBuffer(device, `weight.${name}`, weightBytes(weight));
    this.resource =
      buffer ?? createArrayTexture(device, `weight.${name}`, TEXEL_FORMATS[format], weightElements(weight));
    this.plainRows = isPlain(weight) ? buffer : undefined;
    this.packingKernel = PACKING[format]?.kernel(weight);
    this.rowsPerBand = rowsPerBand(weight, bandBytes);
    this.isOneBand = isPlain(weight) || isJoined(weight);
    this.missing = parts.reduce((sum, part) => sum + numbersOf(weight, part).count, 0);
  }

  /** The params of `packingKernel` for a band of so many rows. */
  packingParams(rows: number): ParamValues {
    return PACKING[this.weight.storage.format]!.params(this.weight, rows);
  }

  /** Bytes of so many stored rows. */
  storedBytes(rows: number): number {
    const { storage, stride } = this.weight;
    return rows * rowElements(storage.format, stride) * elementBytes(storage.format);
  }

  /** Bytes of a stored row; of plain rows those of its float32 numbers. */
  get rowBytes(): number {
    return this.plainRows ? 4 * this.weight.stride : this.storedBytes(1);
  }

  /** Records the copy of the stored rows of a band to a buffer. Gives the bytes that it copies. */
  readBand(encoder: GPUCommandEncoder, target: GPUBuffer, { to, height }: Pick<Band, 'to' | 'height'>): number {
    const { resource, rowBytes } = this;
    if ('createView' in resource) {
      const rowTexels = rowElements(this.weight.storage.format, this.weight.stride);
      copyFromArrayTexture(encoder, resource, target, height * rowTexels, to * rowTexels);
    } else {
      encoder.copyBufferToBuffer(resource, to * rowBytes, target, 0, height * rowBytes);
    }
    return height * rowBytes;
  }

  /** Records the copy of a band, in the storage format, to its rows. */
  copyBand(encoder: GPUCommandEncoder, source: GPUBuffer, { to, height }: Band): void {
    const { resource } = this;
    if ('createView' in resource) {
      const rowTexels = rowElements(this.weight.storage.format, this.weight.stride);
      copyToArrayTexture(encoder, source, resource, height * rowTexels, to * rowTexels);
    } else {
      encoder.copyBufferToBuffer(source, 0, resource, this.storedBytes(to), this.storedBytes(height));
    }
  }
}

/**
 * Throws where a weight, or a band of its rows, is larger than a kernel can bind. plan() cuts tables into
 * slices that fit, so this concerns a single matrix that is larger than the limit.
 */
export function checkSize(weight: Weight, maxBytes: number, bandBytes: number): void {
  const { name, storage, parts, stride } = weight;
  const { format, texels } = storage;
  const [bytes, limit] = texels
    ? [weightElements(weight) * elementBytes(format), MOST_TEXELS * elementBytes(format)]
    : [weightBytes(weight), maxBytes];
  const bandHeight = isPlain(weight) ? 0 : bandOf(weight, parts[0]!, rowsPerBand(weight, bandBytes), 0).height;
  const rowBytes = bandHeight * stride * 4;
  if (bytes <= limit && rowBytes <= maxBytes) return;
  throw new DeviceError({
    what: `the weight "${name}" is larger than this device binds`,
    actual: `${Math.max(bytes, rowBytes)} bytes`,
    expected: `at most ${bytes > limit ? limit : maxBytes}`,
    next: 'Use a smaller model, or a device that was asked for a larger maxStorageBufferBindingSize.',
  });
}
