import type { Matrix } from '../rank.ts';
import { randomOf } from './random.ts';

/** The two directions in which rows differ most, and where each row lies in them. */
export interface Plane {
  readonly mean: Float32Array;
  /** The two directions, of length 1, one behind the other. */
  readonly axes: Float32Array;
  /** x and y of each row. */
  readonly positions: Float32Array;
  /** The share of the variance that both directions have. */
  readonly explained: number;
}

/** The directions are found of so many rows at most, evenly spread: more would not turn them. */
const MOST_ROWS = 2_000;
/** So many directions more than are asked for are turned together: those that are come out sooner. */
const EXTRA = 4;
const ITERATIONS = 60;

/** Principal components by orthogonal iteration on the covariance. The same for the same rows. */
export function planeOf({ data, dims, rows }: Matrix): Plane {
  const { mean, covariance } = momentsOf({ data, dims, rows });
  const axes = topAxes(covariance, dims, 2);
  let trace = 0;
  for (let k = 0; k < dims; k += 1) trace += covariance[k * dims + k]!;
  const explained = trace > 0 ? (varianceAlong(covariance, axes[0]!) + varianceAlong(covariance, axes[1]!)) / trace : 0;
  const plane = { mean: Float32Array.from(mean), axes: new Float32Array(2 * dims) };
  plane.axes.set(axes[0]!);
  plane.axes.set(axes[1]!, dims);
  const positions = new Float32Array(2 * rows);
  for (let row = 0; row < rows; row += 1) {
    positions.set(placeOf(data.subarray(row * dims, (row + 1) * dims), plane), 2 * row);
  }
  return { ...plane, positions, explained };
}

/**
 * The same rows in the `dims` directions in which they differ most, each of length 1 again: cosines of centred rows, nearly, with a part
 * of the work.
 */
export function reduced({ data, dims: before, rows }: Matrix, dims: number): Matrix {
  const { mean, covariance } = momentsOf({ data, dims: before, rows });
  const axes = topAxes(covariance, before, dims);
  const result = new Float32Array(rows * dims);
  const centred = new Float64Array(before);
  for (let row = 0; row < rows; row += 1) {
    for (let k = 0; k < before; k += 1) centred[k] = data[row * before + k]! - mean[k]!;
    const values = axes.map(axis => dot(axis, centred));
    const length = Math.hypot(...values) || 1;
    for (let k = 0; k < dims; k += 1) result[row * dims + k] = values[k]! / length;
  }
  return { data: result, dims, rows };
}

/** Where a vector lies in a plane. */
export function placeOf(vector: Float32Array, { mean, axes }: Pick<Plane, 'mean' | 'axes'>): [x: number, y: number] {
  const dims = mean.length;
  let x = 0;
  let y = 0;
  for (let k = 0; k < dims; k += 1) {
    const value = vector[k]! - mean[k]!;
    x += value * axes[k]!;
    y += value * axes[dims + k]!;
  }
  return [x, y];
}

function momentsOf({ data, dims, rows }: Matrix): { mean: Float64Array; covariance: Float64Array } {
  const step = Math.ceil(rows / MOST_ROWS);
  const count = Math.ceil(rows / step);
  const mean = new Float64Array(dims);
  for (let row = 0; row < rows; row += step) {
    for (let k = 0; k < dims; k += 1) mean[k]! += data[row * dims + k]! / count;
  }
  const covariance = new Float64Array(dims * dims);
  const centred = new Float64Array(dims);
  for (let row = 0; row < rows; row += step) {
    for (let k = 0; k < dims; k += 1) centred[k] = data[row * dims + k]! - mean[k]!;
    for (let i = 0; i < dims; i += 1) {
      const value = centred[i]! / count;
      // The upper half; the lower one is its mirror.
      for (let j = i, at = i * dims + i; j < dims; j += 1, at += 1) covariance[at]! += value * centred[j]!;
    }
  }
  for (let i = 0; i < dims; i += 1) {
    for (let j = 0; j < i; j += 1) covariance[i * dims + j] = covariance[j * dims + i]!;
  }
  return { mean, covariance };
}

function product(matrix: Float64Array, vector: Float64Array): Float64Array {
  const dims = vector.length;
  const result = new Float64Array(dims);
  for (let i = 0, at = 0; i < dims; i += 1) {
    let sum = 0;
    for (let j = 0; j < dims; j += 1, at += 1) sum += matrix[at]! * vector[j]!;
    result[i] = sum;
  }
  return result;
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let k = 0; k < a.length; k += 1) sum += a[k]! * b[k]!;
  return sum;
}

const varianceAlong = (covariance: Float64Array, axis: Float64Array): number => dot(axis, product(covariance, axis));

/** Beyond the number of columns there are none: those are zero. */
function topAxes(covariance: Float64Array, dims: number, count: number): Float64Array[] {
  const random = randomOf(1);
  const start = () => Float64Array.from({ length: dims }, () => random() - 0.5);
  let axes: Float64Array[] = Array.from({ length: count + EXTRA }, start);
  for (let i = 0; i < ITERATIONS; i += 1) axes = orthonormal(axes.map(axis => product(covariance, axis)));
  // A direction and its opposite are the same: the largest number is made positive.
  return axes.slice(0, count).map(axis => {
    const largest = axis.reduce((best, value) => (Math.abs(value) > Math.abs(best) ? value : best), 0);
    return largest < 0 ? axis.map(value => -value) : axis;
  });
}

/** Gram-Schmidt, in the order given. A vector that lies in those before becomes zero. */
function orthonormal(vectors: readonly Float64Array[]): Float64Array[] {
  const done: Float64Array[] = [];
  for (const vector of vectors) {
    const rest = Float64Array.from(vector);
    const before = Math.sqrt(dot(rest, rest));
    for (const other of done) {
      const share = dot(rest, other);
      for (let k = 0; k < rest.length; k += 1) rest[k]! -= share * other[k]!;
    }
    const length = Math.sqrt(dot(rest, rest));
    const scale = length > 1e-9 * before && length > 0 ? 1 / length : 0;
    done.push(rest.map(value => value * scale));
  }
  return done;
}
