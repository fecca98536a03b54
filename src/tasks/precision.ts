import { InputError, wrong } from '../errors.ts';
import { choice, flag } from './arguments.ts';

export const PRECISION_NAMES = ['float32', 'int8', 'uint8', 'binary', 'ubinary'] as const;
export type Precision = (typeof PRECISION_NAMES)[number];

export interface PrecisionOptions {
  /** Default: 'float32'; with `quantize` 'binary'. */
  precision?: Precision;
  /** transformers.js's switch: false means float32 whatever `precision` says. Default: true if there is a `precision`. */
  quantize?: boolean;
}

/** The lowest and the highest value of every column of embeddings, for the precisions 'int8' and 'uint8'. */
export interface Ranges {
  /** [C] */
  lowest: ArrayLike<number>;
  /** [C] */
  highest: ArrayLike<number>;
}

/** Embeddings [rows, columns] of any precision. */
export interface QuantizedRows {
  type: 'float32' | 'int8' | 'uint8';
  data: Float32Array | Int8Array | Uint8Array;
  /** Elements of a row: with one bit for a value, an eighth of the embedding's columns. */
  columns: number;
}

/** The precision that a call asks for. Throws InputError, UnsupportedError. */
export function precisionOf({ precision, quantize }: PrecisionOptions): Precision {
  const isOn = flag('quantize', quantize, precision !== undefined);
  return isOn ? choice('precision', precision, { names: PRECISION_NAMES, fallback: 'binary' }) : 'float32';
}

/** The ranges of embeddings [rows, columns]. They suit later embeddings the better, the more rows there are. */
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
 * Embeddings [rows, columns] in fewer bits, as sentence-transformers' quantize_embeddings. int8 and uint8: 256 steps between the
 * lowest and the highest value of each column. binary and ubinary: one bit for each value, 1 above 0, eight to a byte, the first
 * highest (binary is ubinary - 128).
 * Without `ranges` those of `data` are taken. Throws InputError if they are needed and `data` has one row only.
 */
export function quantizeEmbeddings(
  data: Float32Array,
  columns: number,
  { precision, ranges }: { precision: Precision; ranges?: Ranges | undefined },
): QuantizedRows {
  if (precision === 'float32') return { type: precision, data, columns };
  const isBinary = precision === 'binary' || precision === 'ubinary';
  const bytes = isBinary
    ? packBits(data, columns)
    : levelsOf(data, columns, rangesFor(data, columns, precision, ranges));
  const width = isBinary ? Math.ceil(columns / 8) : columns;
  return precision === 'uint8' || precision === 'ubinary'
    ? { type: 'uint8', data: bytes, columns: width }
    : { type: 'int8', data: Int8Array.from(bytes, byte => byte - 128), columns: width };
}

/** The ranges that are used: those of the caller, else those of `data`. Throws InputError. */
export function rangesFor(
  data: Float32Array,
  columns: number,
  precision: Precision,
  ranges: Ranges | undefined,
): Ranges {
  if (!ranges && data.length === columns) {
    throw new InputError({
      what: `${precision} needs the ranges of the columns, and one embedding has none`,
      next: 'Pass several texts, or `ranges`.',
    });
  }
  const { lowest, highest } = ranges ?? columnRanges(data, columns);
  if (lowest.length === columns && highest.length === columns) return { lowest, highest };
  throw wrong('ranges', [lowest, highest], `the lowest and the highest of ${columns} columns each`);
}

/** Each value as its step, 0 to 255, in the range of its column. */
function levelsOf(data: Float32Array, columns: number, { lowest, highest }: Ranges): Uint8Array {
  // Rounded to float32 after every operation, as numpy does: a value on the edge of a step falls on the same side.
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
