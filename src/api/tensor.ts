import { InputError, wrong } from '../errors.ts';

const arrays = {
  float32: Float32Array,
  int64: BigInt64Array,
  int32: Int32Array,
  int8: Int8Array,
  uint8: Uint8Array,
  bool: Uint8Array,
};

export type TensorType = keyof typeof arrays;
export type TensorData = InstanceType<(typeof arrays)[TensorType]>;
/** A number, a bigint (int64), or lists of them, nested as deep as the tensor has dimensions. */
export type NestedList = number | bigint | NestedList[];

/** For one dimension: an index, [start, end) with null for open ends, or null for all of it. Negatives count from the end. */
export type Slice = number | readonly [start: number | null, end: number | null] | null;

const product = (dims: readonly number[]) => dims.reduce((sum, dim) => sum * dim, 1);

/**
 * An array of numbers with a shape, as transformers.js's Tensor: row-major, int64 as bigint, bool as 0 and 1.
 * `tensor[i]` is the i-th subtensor along the first axis.
 */
export class Tensor implements Iterable<Tensor | number | bigint> {
  readonly [index: number]: Tensor;
  readonly type: TensorType;
  readonly data: TensorData;
  readonly dims: readonly number[];

  /** @throws InputError where the data has not as many elements as the dims say. */
  constructor(type: TensorType, data: TensorData | readonly (number | bigint)[], dims: readonly number[]) {
    const size = product(dims);
    if (!Object.hasOwn(arrays, type)) {
      throw wrong('the type of a tensor', type, Object.keys(arrays).join(', '));
    }
    if (data.length !== size || !dims.every(Number.isSafeInteger)) {
      const expected = `${size} for dims [${dims.join(', ')}]`;
      throw new InputError({ what: 'the data does not fit the dims', actual: `${data.length} elements`, expected });
    }
    this.type = type;
    this.data = data instanceof arrays[type] ? data : convert(type, data);
    this.dims = [...dims];
  }

  get size(): number {
    return this.data.length;
  }

  /** Subtensors along the first axis (views of the same data), or the numbers of a vector. */
  *[Symbol.iterator](): Iterator<Tensor | number | bigint> {
    if (this.dims.length < 2) yield* this.data;
    else for (let i = 0; i < this.dims[0]!; i++) yield this._getitem(i);
  }

  /** The subtensor at `index` of the first axis, a view of the same data; negative from the end. */
  _getitem(index: number): Tensor {
    const [length = 0, ...dims] = this.dims;
    const at = within(index, length);
    const size = product(dims);
    return new Tensor(this.type, this.data.subarray(at * size, (at + 1) * size), dims);
  }

  /** The only number of a tensor of one element. */
  item(): number | bigint {
    if (this.size === 1) return this.data[0]!;
    throw wrong('item()', this.dims, 'a tensor of one element');
  }

  /** Nested arrays, one level for each dimension; a tensor without dimensions is its number. */
  tolist(): NestedList[] {
    // Row by row: one list of all the numbers in between would cost as much again.
    let at = 0;
    const nest = ([length = 1, ...inner]: readonly number[]): NestedList[] => {
      if (inner.length > 0) return Array.from({ length }, () => nest(inner));
      const start = at;
      at += length;
      return Array.from<number | bigint>(this.data.subarray(start, at));
    };
    const list = nest(this.dims);
    return this.dims.length === 0 ? (list[0] as unknown as NestedList[]) : list;
  }

  /** The same data (not copied) in other dims, of which one may be -1: what is left. */
  view(...dims: number[]): Tensor {
    const known = product(dims.filter(dim => dim !== -1));
    return new Tensor(
      this.type,
      this.data,
      dims.map(dim => (dim === -1 ? this.size / known : dim)),
    );
  }

  clone(): Tensor {
    return new Tensor(this.type, this.data.slice(), this.dims);
  }

  /** A copy of a part: `tensor.slice(0, [1, 3])` is elements 1 and 2 of row 0; an index drops its dimension. */
  slice(...slices: Slice[]): Tensor {
    const block = this.dims.map((dim, axis) => range(slices[axis] ?? null, dim));
    const part = this.gather([...block.keys()], block);
    return part.view(...part.dims.filter((_, axis) => typeof slices[axis] !== 'number'));
  }

  /** A copy with the dimensions in another order. */
  permute(...axes: number[]): Tensor {
    if (String([...axes].sort()) !== String([...this.dims.keys()].sort())) {
      throw wrong('the order of axes', axes, `each of 0 to ${this.dims.length - 1} once`);
    }
    return this.gather(
      axes,
      this.dims.map(dim => [0, dim]),
    );
  }

  transpose(...axes: number[]): Tensor {
    return this.permute(...axes);
  }

  /** A copy of a block, [start, end) of every axis, with the axes in the given order. */
  private gather(axes: readonly number[], block: readonly (readonly [number, number])[]): Tensor {
    const dims = axes.map(axis => block[axis]![1] - block[axis]![0]);
    const data = new arrays[this.type](product(dims));
    const strides = axes.map(axis => product(this.dims.slice(axis + 1)));
    let at = 0;
    const walk = (from: number, depth: number) => {
      if (depth === axes.length) {
        data[at++] = this.data[from]!;
        return;
      }
      const [start, end] = block[axes[depth]!]!;
      for (let i = start; i < end; i++) walk(from + i * strides[depth]!, depth + 1);
    };
    walk(0, 0);
    return new Tensor(this.type, data, dims);
  }
}

// `tensor[i]`: only what the instance and the class lack is looked for here, so all else is as fast as ever.
Object.setPrototypeOf(
  Tensor.prototype,
  new Proxy(Object.prototype, {
    get(target, key, receiver) {
      const isIndex = typeof key === 'string' && /^-?\d+$/.test(key);
      return isIndex ? (receiver as Tensor)._getitem(Number(key)) : Reflect.get(target, key, receiver);
    },
  }),
);

function convert(type: TensorType, data: ArrayLike<number | bigint>): TensorData {
  if (type === 'int64') return BigInt64Array.from(Array.from(data, BigInt));
  return arrays[type].from(Array.from(data, Number));
}

function within(index: number, length: number): number {
  const at = index < 0 ? index + length : index;
  if (Number.isInteger(at) && at >= 0 && at < length) return at;
  throw wrong('the index', index, `below ${length}`);
}

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
