import { InputError, wrong } from '../errors.ts';

const ARRAYS = {
  float32: Float32Array,
  int64: BigInt64Array,
  int32: Int32Array,
  int8: Int8Array,
  uint8: Uint8Array,
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

/** For one dimension: an index, [start, end) with null for an open end, or null for all of it. Negative ones count from the end. */
export type Slice = number | readonly [start: number | null, end: number | null] | null;

const product = (dims: readonly number[]) => dims.reduce((sum, dim) => sum * dim, 1);

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
  /** The length of every axis; [] for a single number. */
  readonly dims: readonly number[];

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

  /** A copy, data included. */ clone(): Tensor<Type> {
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

  /** A copy of a block, [start, end) of every axis, with the axes in the given order. */
  private gather(axes: readonly number[], block: readonly (readonly [number, number])[]): Tensor<Type> {
    const dims = axes.map(axis => block[axis]![1] - block[axis]![0]);
    const data = new ARRAYS[this.type](product(dims));
    const strides = axes.map(axis => product(this.dims.slice(axis + 1)));
    let written = 0;
    const walk = (from: number, depth: number) => {
      if (depth === axes.length) {
        data[written++] = this.data[from]!;
        return;
      }
      const [start, end] = block[axes[depth]!]!;
      for (let i = start; i < end; i++) walk(from + i * strides[depth]!, depth + 1);
    };
    walk(0, 0);
    return new Tensor(this.type, data, dims);
  }
}

function convert(type: TensorType, data: ArrayLike<number | bigint>): TensorData {
  if (type === 'int64') return BigInt64Array.from(Array.from(data, BigInt));
  return ARRAYS[type].from(Array.from(data, Number));
}

/** An index from 0 for one that may count from the end. Throws InputError. */
function within(index: number, length: number): number {
  const at = index < 0 ? index + length : index;
  if (Number.isInteger(at) && at >= 0 && at < length) return at;
  throw wrong('the index', index, `below ${length}`);
}

/** The [start, end) of a slice of an axis of length `dim`. Throws InputError. */
function range(slice: Slice, dim: number): [number, number] {
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
