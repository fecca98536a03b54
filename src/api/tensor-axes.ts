import { InputError, wrong } from '../errors.ts';

/** For one dimension: an index, [start, end) with null for an open end, or null for all of it. Negative ones count from the end. */
export type Slice = number | readonly [start: number | null, end: number | null] | null;

export const product = (dims: readonly number[]): number => dims.reduce((sum, dim) => sum * dim, 1);

/** The number of elements from one index of an axis to the next, for every axis. */
export const strides = (dims: readonly number[]): number[] => dims.map((_, axis) => product(dims.slice(axis + 1)));

/** An index from 0 for one that may count from the end. Throws InputError. */
export function within(index: number, length: number): number {
  const at = index < 0 ? index + length : index;
  if (Number.isInteger(at) && at >= 0 && at < length) return at;
  throw wrong('the index', index, `below ${length}`);
}

/** The axis from 0 that `dim` names, which may count from the end. Throws InputError. */
export function axisOf(dim: number, dims: readonly number[]): number {
  const axis = dim < 0 ? dim + dims.length : dim;
  if (Number.isInteger(axis) && axis >= 0 && axis < dims.length) return axis;
  throw wrong('the axis', dim, `one of ${dims.length} axes, from ${-dims.length} to ${dims.length - 1}`);
}

/** The [start, end) of a slice of an axis of length `dim`. Throws InputError. */
export function range(slice: Slice, dim: number): [number, number] {
  if (slice === null) return [0, dim];
  if (typeof slice === 'number') {
    const at = within(slice, dim);
    return [at, at + 1];
  }
  const clamp = (value: number) => Math.min(Math.max(value < 0 ? value + dim : value, 0), dim);
  const [start, end] = [clamp(slice[0] ?? 0), clamp(slice[1] ?? dim)];
  if (start <= end) return [start, end];
  throw wrong('the slice', slice, 'one that does not end before it starts');
}

/** The dims without the axes of length 1: all of them, or those that are named. A named axis of another length stays. */
export function squeezedDims(dims: readonly number[], dim: number | readonly number[] | null): number[] {
  const named = dim === null ? [...dims.keys()] : [dim].flat().map(each => axisOf(each, dims));
  return dims.filter((length, axis) => length !== 1 || !named.includes(axis));
}

/** The dims with the axes from `start` to `end`, the latter included, as one. Throws InputError. */
export function flattenedDims(dims: readonly number[], start: number, end: number): number[] {
  if (dims.length === 0) return [1];
  const [first, last] = [axisOf(start, dims), axisOf(end, dims)];
  if (first <= last) return [...dims.slice(0, first), product(dims.slice(first, last + 1)), ...dims.slice(last + 1)];
  throw wrong('the axes to flatten', [start, end], 'a first one that does not come after the last');
}

/**
 * One value for every row of elements along the axis `dim`; where it is null, one value for all elements, with dims []. `keepdim` keeps
 * the axis with length 1. Throws InputError where there is nothing to reduce.
 */
export function reduceAxis<Value>(
  data: ArrayLike<number>,
  dims: readonly number[],
  dim: number | null,
  keepdim: boolean,
  reduce: (row: number[]) => Value,
): { data: Value[]; dims: number[] } {
  const axis = dim === null ? null : axisOf(dim, dims);
  const length = axis === null ? data.length : dims[axis]!;
  if (length === 0)
    throw new InputError({
      what: 'there is no element to reduce',
      actual: `dims [${dims.join(', ')}]`,
      expected: 'at least one element',
    });
  if (axis === null) return { data: [reduce(Array.from(data))], dims: [] };
  const inner = product(dims.slice(axis + 1));
  const rows = Array.from({ length: data.length / length }, (_, row) => {
    const first = Math.floor(row / inner) * inner * length + (row % inner);
    return reduce(Array.from({ length }, (_, i) => data[first + i * inner]!));
  });
  return { data: rows, dims: keepdim ? dims.with(axis, 1) : dims.toSpliced(axis, 1) };
}
