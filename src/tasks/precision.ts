import { InputError, wrong } from '../errors.ts';
import { choice, flag } from './arguments.ts';

export const PRECISION_NAMES = ['float32', 'int8', 'uint8', 'binary', 'ubinary'] as const;
export type Precision = (typeof PRECISION_NAMES)[number];

export interface PrecisionOptions {
  /** Default: 'float32'; with `quantize` 'binary'. */
  precision?: Precision;
  /** transformers.js's switch: false leaves float32 whatever `precision` says. Default: whether there is a `precision`. */
  quantize?: boolean;
}

/** The lowest and the highest value of every column, for int8 and uint8. */
export interface Ranges {
  /** [C] */
  lowest: ArrayLike<number>;
  /** [C] */
  highest: ArrayLike<number>;
}

/** Embeddings [rows, columns] of another type. */
export interface Quantized {
  type: 'float32' | 'int8' | 'uint8';
  data: Float32Array | Int8Array | Uint8Array;
  columns: number;
}

/** Throws InputError, UnsupportedError. */
export function precisionOf({ precision, quantize }: PrecisionOptions): Precision {
  const isOn = flag('quantize', quantize, precision !== undefined);
  return isOn ? choice('precision', precision, PRECISION_NAMES, 'binary') : 'float32';
}

/** The ranges of embeddings [rows, columns]; the more rows and the more like those to come, the better. */
export function columnRanges(data: Float32Array, columns: number): Ranges {
  const lowest = data.slice(0, columns);
  const highest = data.slice(0, columns);
  data.forEach((value, i) => {
    const column = i % columns;
    lowest[column] = Math.min(lowest[column]!, value);
    highest[column] = Math.max(highest[column]!, value);
  });
  return { lowest, highest };
}

/**
 * Embeddings [rows, columns] in fewer bits, as sentence-transformers' quantize_embeddings: 256 steps between the ranges
 * of each column (int8, uint8), or one bit for each value above 0, eight to a byte (binary is ubinary - 128).
 * Without `ranges` they are those of the embeddings themselves, of which there must be two at least.
 */
export function quantizeEmbeddings(
  data: Float32Array,
  columns: number,
  precision: Precision,
  ranges?: Ranges,
): Quantized {
  if (precision === 'float32') return { type: 'float32', data, columns };
  if (precision === 'binary' || precision === 'ubinary') {
    const bits = packBits(data, columns);
    return whole(bits, precision === 'binary', Math.ceil(columns / 8));
  }
  if (!ranges && data.length === columns) {
    throw new InputError({
      what: `${precision} needs the ranges of the columns, and one embedding has none`,
      next: 'Pass several texts, or `ranges`.',
    });
  }
  const { lowest, highest } = ranges ?? columnRanges(data, columns);
  if (lowest.length !== columns || highest.length !== columns) {
    throw wrong('ranges', [lowest, highest], `the lowest and the highest of ${columns} columns each`);
  }
  // Rounded to float32 after every step, as numpy does: a value on the edge of a step falls on the same side.
  const { fround } = Math;
  const steps = Float32Array.from(highest, (high, i) => fround(fround(fround(high) - fround(lowest[i]!)) / 255) || 1);
  const levels = Uint8ClampedArray.from(data, (value, i) =>
    Math.floor(fround(fround(value - fround(lowest[i % columns]!)) / steps[i % columns]!)),
  );
  return whole(new Uint8Array(levels.buffer), precision === 'int8', columns);
}

const whole = (bytes: Uint8Array, isSigned: boolean, columns: number): Quantized =>
  isSigned
    ? { type: 'int8', data: Int8Array.from(bytes, byte => byte - 128), columns }
    : { type: 'uint8', data: bytes, columns };

function packBits(data: Float32Array, columns: number): Uint8Array {
  const width = Math.ceil(columns / 8);
  const bytes = new Uint8Array((data.length / columns) * width);
  data.forEach((value, i) => {
    const column = i % columns;
    if (value > 0) bytes[Math.floor(i / columns) * width + (column >> 3)]! |= 128 >> (column & 7);
  });
  return bytes;
}
