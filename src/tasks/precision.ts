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
  if (precision === 'float32') return { type: precision, data, columns };
  const isBits = precision.endsWith('binary');
  const bytes = isBits ? packBits(data, columns) : steps(data, columns, precision, ranges);
  const width = isBits ? Math.ceil(columns / 8) : columns;
  return precision.startsWith('u')
    ? { type: 'uint8', data: bytes, columns: width }
    : { type: 'int8', data: Int8Array.from(bytes, byte => byte - 128), columns: width };
}

function steps(data: Float32Array, columns: number, precision: Precision, ranges?: Ranges): Uint8Array {
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
  const low = Float32Array.from(lowest);
  const step = Float32Array.from(highest, (high, i) => fround(fround(high) - low[i]!) / 255).map(size => size || 1);
  const levels = Uint8ClampedArray.from(data, (value, i) =>
    Math.floor(fround(fround(value - low[i % columns]!) / step[i % columns]!)),
  );
  return new Uint8Array(levels.buffer);
}

function packBits(data: Float32Array, columns: number): Uint8Array {
  const width = Math.ceil(columns / 8);
  const bytes = new Uint8Array((data.length / columns) * width);
  data.forEach((value, i) => {
    const column = i % columns;
    if (value > 0) bytes[Math.floor(i / columns) * width + (column >> 3)]! |= 128 >> (column & 7);
  });
  return bytes;
}
