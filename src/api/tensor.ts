import { InputError, wrong } from '../errors.ts';
import {
  axisOf,
  flattenedDims,
  product,
  range,
  reduceAxis,
  type Slice,
  squeezedDims,
  strides,
  within,
} from './tensor-axes.ts';

const ARRAYS = {
  float32: Float32Array,
  int64: BigInt64Array,
  int32: Int32Array,
  int16: Int16Array,
  int8: Int8Array,
  uint8: Uint8Array,
  uint16: Uint16Array,
  uint32: Uint32Array,
  uint64: BigUint64Array,
  float64: Float64Array,
  bool: Uint8Array,
};

export type TensorType = keyof typeof ARRAYS;
type Arrays = { [Type in TensorType]: InstanceType<(typeof ARRAYS)[Type]> };
export type TensorData = Arrays[TensorType];
/** A number, a bigint (int64), or lists of them, nested as deep as the tensor has dimensions. */
export type NestedList = number | bigint | NestedList[];

/**
 * What `tolist()` is typed as if the caller names no type. How deep the list is nested, no type tells: so an item may be used as a
 * number and as a row.
 */
export interface UntypedList extends Array<UntypedItem> {}
export type UntypedItem = number & UntypedList;

/** A scalar of a tensor: a bigint for int64 and uint64, a number for every other type. */
type Scalar = number | bigint;

/**
 * The elements of a tensor for arithmetic. JavaScript's operators are the same for numbers and for bigints as long as they are not
 * mixed; where they are, the operator throws a TypeError.
 */
type Elements = { length: number; [index: number]: number };

/**
 * A base class whose instances answer `instance[i]` with `instance._getitem(i)`. A proxy ends the chain of prototypes. It is asked only
 * for what the instance and its class lack, so every other property is read as fast as ever.
 */
function indexed(): new () => object {
  class Indexed {}
  const proxy = new Proxy(Object.prototype, {
    get(target, key, receiver) {
      const isIndex = typeof key === 'string' && /^-?\d+$/.test(key);
      return isIndex ? (receiver as Tensor)._getitem(Number(key)) : Reflect.get(target, key, receiver);
    },
  });
  Object.setPrototypeOf(Indexed.prototype, proxy);
  return Indexed;
}

/** Marked as free of side effects, so that a bundler drops it with the Tensor. */
const Indexed = /* @__PURE__ */ indexed();

/**
 * An array of numbers with a shape, as transformers.js's Tensor: row-major, int64 as bigint, bool as 0 and 1.
 * `tensor[i]` is the i-th subtensor along the first axis.
 */
export class Tensor<Type extends TensorType = TensorType>
  extends Indexed
  implements Iterable<Tensor<Type> | number | bigint>
{
  readonly [index: number]: Tensor<Type>;
  readonly type: Type;
  /** The elements, row by row. */
  readonly data: Arrays[Type];
  /** The length of every axis; [] for a single number. Only methods whose names end in `_` change it. */
  dims: readonly number[];

  /** Throws InputError for an unknown type, or if `data` has another number of elements than `dims` say. */
  constructor(type: Type, data: TensorData | readonly (number | bigint)[], dims: readonly number[]) {
    super();
    const size = product(dims);
    if (!Object.hasOwn(ARRAYS, type)) {
      throw wrong('the type of a tensor', type, Object.keys(ARRAYS).join(', '));
    }
    if (data.length !== size || !dims.every(Number.isSafeInteger)) {
      const expected = `${size} for dims [${dims.join(', ')}]`;
      throw new InputError({ what: 'the data does not fit the dims', actual: `${data.length} elements`, expected });
    }
    this.type = type;
    this.data = (data instanceof ARRAYS[type] ? data : convert(type, data)) as Arrays[Type];
    this.dims = [...dims];
  }

  get size(): number {
    return this.data.length;
  }

  /** Subtensors along the first axis (views of the same data), or the numbers of a vector. */
  *[Symbol.iterator](): Iterator<Tensor<Type> | number | bigint> {
    if (this.dims.length < 2) yield* this.data;
    else for (let i = 0; i < this.dims[0]!; i++) yield this._getitem(i);
  }

  /** The subtensor at `index` of the first axis, a view of the same data. A negative index counts from the end. Throws InputError. */
  _getitem(index: number): Tensor<Type> {
    const [length = 0, ...dims] = this.dims;
    const at = within(index, length);
    const size = product(dims);
    return new Tensor(this.type, this.data.subarray(at * size, (at + 1) * size), dims);
  }

  /** The only number of a tensor of one element. Throws InputError for any other. */
  item(): number | bigint {
    if (this.size === 1) return this.data[0]!;
    throw wrong('item()', this.dims, 'a tensor of one element');
  }

  /**
   * The elements as nested arrays, one level for each dimension; of a tensor without dimensions its number. The caller may name the
   * type, which is not checked when it runs.
   *
   *   const rows: number[][] = embeddings.tolist();
   *   const ids = input_ids.tolist<bigint[][]>(); // int64
   */
  tolist<List extends readonly NestedList[] = UntypedList>(): List {
    // Row by row: a flat list of all numbers, to be cut into rows, would cost as much memory again.
    let end = 0;
    const nest = ([length = 1, ...inner]: readonly number[]): NestedList[] => {
      if (inner.length > 0) return Array.from({ length }, () => nest(inner));
      const start = end;
      end += length;
      return Array.from<number | bigint>(this.data.subarray(start, end));
    };
    const list: unknown = this.dims.length === 0 ? nest([])[0] : nest(this.dims);
    return list as List;
  }

  /** The same data (not copied) in other dims. One of them may be -1: it is computed from the others. */
  view(...dims: number[]): Tensor<Type> {
    const others = product(dims.filter(dim => dim !== -1));
    return new Tensor(
      this.type,
      this.data,
      dims.map(dim => (dim === -1 ? this.size / others : dim)),
    );
  }

  /** A copy, data included. */
  clone(): Tensor<Type> {
    return new Tensor(this.type, this.data.slice(), this.dims);
  }

  /** A copy of a part: `tensor.slice(0, [1, 3])` is elements 1 and 2 of row 0. An index drops its dimension. Throws InputError. */
  slice(...slices: Slice[]): Tensor<Type> {
    const block = this.dims.map((dim, axis) => range(slices[axis] ?? null, dim));
    const part = this.gather([...block.keys()], block);
    return part.view(...part.dims.filter((_, axis) => typeof slices[axis] !== 'number'));
  }

  /** A copy with the dimensions in another order. Throws InputError. */
  permute(...axes: number[]): Tensor<Type> {
    if (String([...axes].sort()) !== String([...this.dims.keys()].sort())) {
      throw wrong('the order of axes', axes, `each of 0 to ${this.dims.length - 1} once`);
    }
    return this.gather(
      axes,
      this.dims.map(dim => [0, dim]),
    );
  }

  /** The same as `permute`. */
  transpose(...axes: number[]): Tensor<Type> {
    return this.permute(...axes);
  }

  /** The number of elements from one index of an axis to the next, for every axis. */
  stride(): number[] {
    return strides(this.dims);
  }

  /** The same data in another type: bigints for int64 and uint64, towards which fractions are rounded down. */
  to<To extends TensorType>(type: To): Tensor<To> {
    if ((this.type as TensorType) === type) return this as unknown as Tensor<To>;
    if (!Object.hasOwn(ARRAYS, type)) throw wrong('the type of a tensor', type, Object.keys(ARRAYS).join(', '));
    return new Tensor(type, convert(type, this.data), this.dims);
  }

  /** The same data (not copied) without the axes of length 1: all of them, or those named by `dim`. */
  squeeze(dim: number | readonly number[] | null = null): Tensor<Type> {
    return new Tensor(this.type, this.data, squeezedDims(this.dims, dim));
  }

  squeeze_(dim: number | readonly number[] | null = null): this {
    this.dims = squeezedDims(this.dims, dim);
    return this;
  }

  /** The same data (not copied) with an axis of length 1 before axis `dim`. Throws InputError. */
  unsqueeze(dim: number): Tensor<Type> {
    return new Tensor(this.type, this.data, this.dims).unsqueeze_(dim);
  }

  unsqueeze_(dim: number): this {
    this.dims = this.dims.toSpliced(within(dim, this.dims.length + 1), 0, 1);
    return this;
  }

  /** A copy in which the axes from `start_dim` to `end_dim`, the latter included, are one. */
  flatten(start_dim = 0, end_dim = -1): Tensor<Type> {
    return this.clone().flatten_(start_dim, end_dim);
  }

  flatten_(start_dim = 0, end_dim = -1): this {
    this.dims = flattenedDims(this.dims, start_dim, end_dim);
    return this;
  }

  /** A copy with every element replaced by what `callback(element, index, data)` gives. Methods that end in `_` change the tensor. */
  map(callback: (element: number, index: number, data: Arrays[Type]) => Scalar): Tensor<Type> {
    return this.clone().map_(callback);
  }

  map_(callback: (element: number, index: number, data: Arrays[Type]) => Scalar): this {
    const elements = this.data as unknown as Elements;
    for (let i = 0; i < elements.length; i++) elements[i] = callback(elements[i]!, i, this.data) as number;
    return this;
  }

  /** Every element plus `value`. Of int64 and uint64 it must be a bigint, here and below. */
  add(value: Scalar): Tensor<Type> {
    return this.clone().add_(value);
  }
  add_(value: Scalar): this {
    return this.map_(element => element + (value as number));
  }
  sub(value: Scalar): Tensor<Type> {
    return this.clone().sub_(value);
  }
  sub_(value: Scalar): this {
    return this.map_(element => element - (value as number));
  }
  mul(value: Scalar): Tensor<Type> {
    return this.clone().mul_(value);
  }
  mul_(value: Scalar): this {
    return this.map_(element => element * (value as number));
  }
  div(value: Scalar): Tensor<Type> {
    return this.clone().div_(value);
  }
  div_(value: Scalar): this {
    return this.map_(element => element / (value as number));
  }
  neg(): Tensor<Type> {
    return this.clone().neg_();
  }
  neg_(): this {
    return this.map_(element => -element);
  }
  /** 1 / (1 + exp(-x)). */
  sigmoid(): Tensor<Type> {
    return this.clone().sigmoid_();
  }
  sigmoid_(): this {
    return this.map_(element => 1 / (1 + Math.exp(-element)));
  }
  /** To the nearest integer, halves upward. */
  round(): Tensor<Type> {
    return this.clone().round_();
  }
  round_(): this {
    return this.map_(Math.round);
  }
  /** No element below `min` or above `max`. */
  clamp(min: number, max: number): Tensor<Type> {
    return this.clone().clamp_(min, max);
  }
  clamp_(min: number, max: number): this {
    return this.map_(element => Math.min(Math.max(element, min), max));
  }
  /** 1 where an element is greater than `value`. */
  gt(value: Scalar): Tensor<'bool'> {
    return new Tensor(
      'bool',
      Uint8Array.from(this.data as ArrayLike<number>, element => Number(element > value)),
      this.dims,
    );
  }
  /** 1 where an element is less than `value`. */
  lt(value: Scalar): Tensor<'bool'> {
    return new Tensor(
      'bool',
      Uint8Array.from(this.data as ArrayLike<number>, element => Number(element < value)),
      this.dims,
    );
  }

  /**
   * Sums along the axis `dim`, or of all elements where it is null (dims []). `keepdim` keeps the axis, with length 1. Throws InputError
   * for an axis that is not there, here and below.
   */
  sum(dim: number | null = null, keepdim = false): Tensor<Type> {
    return this.reduce(dim, keepdim, row => row.reduce((sum, element) => sum + element));
  }

  /** Arithmetic means. Throws InputError for int64 and uint64. */
  mean(dim: number | null = null, keepdim = false): Tensor<Type> {
    this.mustBeNumbers('mean');
    return this.reduce(dim, keepdim, row => row.reduce((sum, element) => sum + element, 0) / row.length);
  }

  /** (sum of |x|^p)^(1/p); 'fro' is 2. As in transformers.js, p = 1 is the plain sum. Throws InputError for int64, unless p is 1. */
  norm(p: number | 'fro' = 'fro', dim: number | null = null, keepdim = false): Tensor<Type> {
    if (p === 1) return this.sum(dim, keepdim);
    if (p !== 'fro' && typeof p !== 'number') throw wrong('the p of norm', p, "a number or 'fro'");
    this.mustBeNumbers('norm');
    const power = p === 'fro' ? 2 : p;
    return this.reduce(
      dim,
      keepdim,
      row => row.reduce((sum, element) => sum + Math.abs(element) ** power, 0) ** (1 / power),
    );
  }

  /** Every row along the axis `dim` divided by its p-norm. */
  normalize(p: number | 'fro' = 2, dim = 1): Tensor<Type> {
    return this.clone().normalize_(p, dim);
  }

  normalize_(p: number | 'fro' = 2, dim = 1): this {
    const axis = axisOf(dim, this.dims);
    const norms = this.norm(p, axis, true).data as unknown as Elements;
    const inner = this.stride()[axis]!;
    const outer = inner * this.dims[axis]!;
    return this.map_((element, i) => element / norms[Math.floor(i / outer) * inner + (i % inner)]!);
  }

  min(dim: number | null = null, keepdim = false): Tensor<Type> {
    return this.reduce(dim, keepdim, row => row[best(row, (a, b) => a < b)]!);
  }

  max(dim: number | null = null, keepdim = false): Tensor<Type> {
    return this.reduce(dim, keepdim, row => row[best(row, (a, b) => a > b)]!);
  }

  /** The index of the least element along the axis, or of all where `dim` is null: the first of several. */
  argmin(dim: number | null = null, keepdim = false): Tensor<'int64'> {
    return this.reduce(dim, keepdim, row => BigInt(best(row, (a, b) => a < b)), 'int64');
  }

  /** The index of the greatest element along the axis, or of all where `dim` is null: the first of several. */
  argmax(dim: number | null = null, keepdim = false): Tensor<'int64'> {
    return this.reduce(dim, keepdim, row => BigInt(best(row, (a, b) => a > b)), 'int64');
  }

  /** The tensor `repeats[i]` times along each axis; repeats that come before the first axis add axes. Throws InputError. */
  repeat(...repeats: number[]): Tensor<Type> {
    if (repeats.length < this.dims.length) {
      throw wrong('the repeats', repeats, `one for each of ${this.dims.length} axes, or more`);
    }
    const from = [...Array<number>(repeats.length - this.dims.length).fill(1), ...this.dims];
    const dims = from.map((dim, axis) => dim * repeats[axis]!);
    const [stepsFrom, steps] = [strides(from), strides(dims)];
    const data = new ARRAYS[this.type](product(dims));
    for (let i = 0; i < data.length; i++) {
      data[i] =
        this.data[steps.reduce((at, step, axis) => at + (Math.floor(i / step) % from[axis]!) * stepsFrom[axis]!, 0)]!;
    }
    return new Tensor(this.type, data, dims);
  }

  /** As `repeat`; missing repeats before the first one are 1. */
  tile(...repeats: number[]): Tensor<Type> {
    return this.repeat(...Array<number>(Math.max(0, this.dims.length - repeats.length)).fill(1), ...repeats);
  }

  /** Nothing is held that would have to be given back: there for code that was written for transformers.js. */
  dispose(): void {}

  /** One element for every row along the axis `dim`, or for all elements; sums are made in float64 and rounded once. */
  reduce<To extends TensorType = Type>(
    dim: number | null,
    keepdim: boolean,
    reduce: (row: number[]) => number | bigint,
    type: To = this.type as unknown as To,
  ): Tensor<To> {
    const { data, dims } = reduceAxis(this.data as unknown as ArrayLike<number>, this.dims, dim, keepdim, reduce);
    return new Tensor(type, data, dims);
  }

  private mustBeNumbers(method: string): void {
    if (!(this.data instanceof BigInt64Array || this.data instanceof BigUint64Array)) return;
    throw new InputError({
      what: `${method} needs numbers`,
      actual: `a tensor of ${this.type}`,
      next: "Convert it first: tensor.to('float32').",
    });
  }

  /** A copy of a block, [start, end) of every axis, with the axes in the given order. */
  private gather(axes: readonly number[], block: readonly (readonly [number, number])[]): Tensor<Type> {
    const dims = axes.map(axis => block[axis]![1] - block[axis]![0]);
    const data = new ARRAYS[this.type](product(dims));
    const steps = axes.map(axis => product(this.dims.slice(axis + 1)));
    let written = 0;
    const walk = (from: number, depth: number) => {
      if (depth === axes.length) {
        data[written++] = this.data[from]!;
        return;
      }
      const [start, end] = block[axes[depth]!]!;
      for (let i = start; i < end; i++) walk(from + i * steps[depth]!, depth + 1);
    };
    walk(0, 0);
    return new Tensor(this.type, data, dims);
  }
}

function convert(type: TensorType, data: ArrayLike<number | bigint>): TensorData {
  if (type === 'int64' || type === 'uint64') return ARRAYS[type].from(Array.from(data, whole));
  return ARRAYS[type].from(Array.from(data, Number));
}

/** A bigint; fractions are rounded down. */
const whole = (value: Scalar) => BigInt(typeof value === 'number' ? Math.floor(value) : value);

/** The index of the element that none other is better than: the first of several. */
function best(row: readonly number[], isBetter: (a: number, b: number) => boolean): number {
  let index = 0;
  for (let i = 1; i < row.length; i++) if (isBetter(row[i]!, row[index]!)) index = i;
  return index;
}
