import { InputError, wrong } from '../errors.ts';
import { Tensor, type TensorType } from './tensor.ts';
import { axisOf, product, strides, within } from './tensor-axes.ts';

/**
 * The functions on tensors that transformers.js 4 exports for texts, each as it defines it (src/utils/tensor.js there). They compute on
 * the CPU and are for the few numbers that an answer has.
 */

/** A tensor's elements as numbers. Throws InputError for int64 and uint64. */
function numbers(name: string, { data, type }: Tensor): ArrayLike<number> {
  if (!(data instanceof BigInt64Array || data instanceof BigUint64Array)) return data;
  throw wrong(`the type of the tensor given to ${name}`, type, "one of numbers: tensor.to('float32')");
}

/** The dims of a tensor, as many as there should be. Throws InputError. */
function shapeOf(name: string, tensor: Tensor, axes: number): readonly number[] {
  if (tensor.dims.length === axes) return tensor.dims;
  throw wrong(`the dims of the tensor given to ${name}`, tensor.dims, `${axes} of them`);
}

/** The tensor with its axes in another order. */
export const permute = <Type extends TensorType>(tensor: Tensor<Type>, axes: readonly number[]): Tensor<Type> =>
  tensor.permute(...axes);

/** Tensors that agree in all other dims, one behind the other along `dim`. Throws InputError. */
export function cat<Type extends TensorType>(tensors: readonly Tensor<Type>[], dim = 0): Tensor<Type> {
  if (tensors.length === 0) throw wrong('the tensors of cat', tensors, 'one or more');
  const first = tensors[0]!;
  const axis = axisOf(dim, first.dims);
  for (const { type, dims } of tensors) {
    const fits = dims.length === first.dims.length && dims.every((length, i) => i === axis || length === first.dims[i]);
    if (!fits || type !== first.type) {
      throw new InputError({
        what: 'the tensors of cat do not fit together',
        actual: `${type} [${dims.join(', ')}]`,
        expected: `${first.type} [${first.dims.map((length, i) => (i === axis ? 'any' : length)).join(', ')}]`,
      });
    }
  }
  const dims = first.dims.with(
    axis,
    tensors.reduce((sum, tensor) => sum + tensor.dims[axis]!, 0),
  );
  const outer = product(dims.slice(0, axis));
  const data = new (first.data.constructor as new (size: number) => typeof first.data)(product(dims));
  let written = 0;
  for (let block = 0; block < outer; block++) {
    for (const tensor of tensors) {
      const size = tensor.size / outer;
      data.set(tensor.data.subarray(block * size, (block + 1) * size) as never, written);
      written += size;
    }
  }
  return new Tensor(first.type, data, dims);
}

/** Tensors of equal dims along a new axis `dim`. Throws InputError. */
export const stack = <Type extends TensorType>(tensors: readonly Tensor<Type>[], dim = 0): Tensor<Type> =>
  cat(
    tensors.map(tensor => tensor.unsqueeze(dim)),
    dim,
  );

/** The mean of the tokens whose mask is not 0, [B, C] of [B, L, C] and [B, L]. NaN for a row without any. */
export function mean_pooling(last_hidden_state: Tensor, attention_mask: Tensor): Tensor<'float32'> {
  const [batch = 0, length = 0, columns = 0] = shapeOf('mean_pooling', last_hidden_state, 3);
  if (String(attention_mask.dims) !== String([batch, length])) {
    throw wrong('the dims of attention_mask', attention_mask.dims, `[${batch}, ${length}]`);
  }
  const hidden = numbers('mean_pooling', last_hidden_state);
  const sums = new Float64Array(batch * columns);
  for (let row = 0; row < batch; row++) {
    let count = 0;
    const sum = sums.subarray(row * columns, (row + 1) * columns);
    for (let token = row * length; token < (row + 1) * length; token++) {
      const weight = Number(attention_mask.data[token]);
      count += weight;
      for (let i = 0; i < columns; i++) sum[i]! += weight * hidden[token * columns + i]!;
    }
    for (let i = 0; i < columns; i++) sum[i]! /= count;
  }
  return new Tensor('float32', Float32Array.from(sums), [batch, columns]);
}

/** (x - mean) / (standard deviation + eps) of every row of [rows, columns], as transformers.js defines it. */
export function layer_norm(
  input: Tensor,
  normalized_shape: readonly number[],
  { eps = 1e-5 }: { eps?: number } = {},
): Tensor<'float32'> {
  const [, columns = 0] = shapeOf('layer_norm', input, 2);
  if (normalized_shape.length !== 1 || normalized_shape[0] !== columns) {
    throw wrong('normalized_shape', normalized_shape, `[${columns}]`);
  }
  const rows = numbers('layer_norm', input);
  const data = new Float32Array(input.size);
  for (let first = 0; first < data.length; first += columns) {
    const row = Array.from({ length: columns }, (_, i) => rows[first + i]!);
    const { std, average } = deviation(row, 0);
    row.forEach((value, i) => {
      data[first + i] = (value - average) / (std + eps);
    });
  }
  return new Tensor('float32', data, input.dims);
}

/** The standard deviation and the mean of a row. */
function deviation(row: readonly number[], correction: number): { std: number; average: number } {
  const average = row.reduce((sum, value) => sum + value, 0) / row.length;
  const squares = row.reduce((sum, value) => sum + (value - average) ** 2, 0);
  return { std: Math.sqrt(squares / (row.length - correction)), average };
}

/** [standard deviation, mean] along the axis `dim`, or of all elements. `correction` is subtracted from their number. */
export function std_mean(
  input: Tensor,
  dim: number | null = null,
  correction = 1,
  keepdim = false,
): [std: Tensor, mean: Tensor] {
  numbers('std_mean', input);
  return [input.reduce(dim, keepdim, row => deviation(row, correction).std), input.mean(dim, keepdim)];
}

/** Arithmetic means along the axis `dim`, or of all elements. */
export const mean = (input: Tensor, dim: number | null = null, keepdim = false): Tensor => input.mean(dim, keepdim);

/** A tensor of one value: float32 of a number, int64 of a bigint, bool of a boolean. */
export function full(size: readonly number[], fill_value: number | bigint | boolean): Tensor {
  const type = { number: 'float32', bigint: 'int64', boolean: 'bool' }[typeof fill_value as string];
  if (type === undefined) throw wrong('fill_value', fill_value, 'a number, a bigint or a boolean');
  const value = typeof fill_value === 'boolean' ? Number(fill_value) : fill_value;
  return new Tensor(type as TensorType, Array<number | bigint>(product(size)).fill(value), size);
}

export const full_like = (tensor: Tensor, fill_value: number | bigint | boolean): Tensor =>
  full(tensor.dims, fill_value);
/** Ones, as int64. */
export const ones = (size: readonly number[]): Tensor => full(size, 1n);
export const ones_like = (tensor: Tensor): Tensor => ones(tensor.dims);
/** Zeros, as int64. */
export const zeros = (size: readonly number[]): Tensor => full(size, 0n);
export const zeros_like = (tensor: Tensor): Tensor => zeros(tensor.dims);

const drawn = (size: readonly number[], draw: () => number): Tensor<'float32'> =>
  new Tensor('float32', Float32Array.from({ length: product(size) }, draw), size);

/** Random numbers from 0 up to 1, which is never reached: multiples of 2^-24, for a finer one might be rounded to 1 in float32. */
export const rand = (size: readonly number[]): Tensor<'float32'> =>
  drawn(size, () => Math.floor(Math.random() * 2 ** 24) / 2 ** 24);

/** Random numbers of the normal distribution with mean 0 and variance 1, by the transform of Box and Muller. */
export const randn = (size: readonly number[]): Tensor<'float32'> =>
  drawn(size, () => {
    // 1 - x, because the logarithm of 0 is infinite.
    const radius = Math.sqrt(-2 * Math.log(1 - Math.random()));
    return radius * Math.cos(2 * Math.PI * Math.random());
  });

/**
 * The matrix product, as numpy's matmul: [..., n, k] x [..., k, m] -> [..., n, m]. Axes before the last two are repeated to fit; a
 * vector counts as one row on the left, as one column on the right. Sums are made in float64. Throws InputError.
 */
export async function matmul(a: Tensor, b: Tensor): Promise<Tensor<'float32'>> {
  const left = a.dims.length === 1 ? a.unsqueeze(0) : a;
  const right = b.dims.length === 1 ? b.unsqueeze(1) : b;
  const [n = 0, k = 0] = left.dims.slice(-2);
  const [inner = 0, m = 0] = right.dims.slice(-2);
  const outer = broadcast(left.dims.slice(0, -2), right.dims.slice(0, -2));
  if (left.dims.length < 2 || right.dims.length < 2 || k !== inner || !outer) {
    throw new InputError({
      what: 'the operands of matmul do not fit',
      actual: `[${a.dims.join(', ')}] and [${b.dims.join(', ')}]`,
      expected: '[..., n, k] and [..., k, m]',
    });
  }
  const [x, y] = [numbers('matmul', left), numbers('matmul', right)];
  const data = new Float32Array(product(outer) * n * m);
  const matrices = product(outer);
  for (let matrix = 0; matrix < matrices; matrix++) {
    const xFirst = matrixOf(matrix, outer, left.dims.slice(0, -2)) * n * k;
    const yFirst = matrixOf(matrix, outer, right.dims.slice(0, -2)) * k * m;
    for (let row = 0; row < n; row++) {
      const sums = new Float64Array(m);
      for (let i = 0; i < k; i++) {
        const factor = x[xFirst + row * k + i]!;
        for (let column = 0; column < m; column++) sums[column]! += factor * y[yFirst + i * m + column]!;
      }
      data.set(sums, (matrix * n + row) * m);
    }
  }
  const dims = [...outer, ...(a.dims.length === 1 ? [] : [n]), ...(b.dims.length === 1 ? [] : [m])];
  return new Tensor('float32', data, dims);
}

/** The dims to which both are repeated, or undefined where they do not fit. */
function broadcast(a: readonly number[], b: readonly number[]): number[] | undefined {
  const dims = Array.from({ length: Math.max(a.length, b.length) }, (_, i, axes = Math.max(a.length, b.length)) => {
    const [one, other] = [a[a.length - axes + i] ?? 1, b[b.length - axes + i] ?? 1];
    return one === other || other === 1 ? one : one === 1 ? other : -1;
  });
  return dims.includes(-1) ? undefined : dims;
}

/** Which matrix of an operand with the outer dims `dims` belongs to the result's matrix at `index`. */
function matrixOf(index: number, outer: readonly number[], dims: readonly number[]): number {
  const [steps, ownSteps] = [strides(outer), strides(dims)];
  const missing = outer.length - dims.length;
  return dims.reduce((at, length, axis) => {
    const place = Math.floor(index / steps[axis + missing]!) % outer[axis + missing]!;
    return at + (length === 1 ? 0 : place) * ownSteps[axis]!;
  }, 0);
}

/** The `k` greatest elements along the last axis, the greatest first, and their indices as int64. Of equal ones the first counts first. */
export async function topk(x: Tensor, k?: number | null): Promise<[values: Tensor, indices: Tensor<'int64'>]> {
  const length = x.dims.at(-1) ?? 0;
  const count = Math.min(k ?? length, length);
  if (!Number.isInteger(count) || count < 0 || x.dims.length === 0) throw wrong('the k of topk', k, 'a whole number');
  const values: (number | bigint)[] = [];
  const indices: number[] = [];
  for (let first = 0; first < x.size; first += length) {
    const row = x.data.subarray(first, first + length);
    const order = [...row.keys()].sort((i, j) => (row[i]! === row[j]! ? i - j : row[i]! > row[j]! ? -1 : 1));
    for (const i of order.slice(0, count)) {
      values.push(row[i]!);
      indices.push(i);
    }
  }
  const dims = x.dims.with(-1, count);
  return [new Tensor(x.type, values, dims), new Tensor('int64', indices, dims)];
}

/** A copy of a part: [starts, ends) of the named axes, every `steps`-th element; a negative step walks backward. As ONNX's Slice. */
export async function slice<Type extends TensorType>(
  data: Tensor<Type>,
  starts: readonly number[],
  ends: readonly number[],
  axes: readonly number[],
  steps: readonly number[] = axes.map(() => 1),
): Promise<Tensor<Type>> {
  const picked = data.dims.map(length => [...Array(length).keys()]);
  axes.forEach((dim, i) => {
    const axis = axisOf(dim, data.dims);
    const length = data.dims[axis]!;
    const step = steps[i] ?? 1;
    if (!Number.isInteger(step) || step === 0) throw wrong('a step of slice', step, 'a whole number other than 0');
    const place = (value: number, least: number, most: number) =>
      Math.min(Math.max(value < 0 ? value + length : value, least), most);
    const [start, end] =
      step > 0
        ? [place(starts[i]!, 0, length), place(ends[i]!, 0, length)]
        : [place(starts[i]!, 0, length - 1), place(ends[i]!, -1, length - 1)];
    const count = Math.max(0, Math.ceil((end - start) / step));
    picked[axis] = Array.from({ length: count }, (_, index) => start + index * step);
  });
  const dims = picked.map(indices => indices.length);
  const [from, to] = [data.stride(), strides(dims)];
  const elements = Array.from({ length: product(dims) }, (_, i) => {
    const at = picked.reduce(
      (sum, indices, axis) => sum + indices[Math.floor(i / to[axis]!) % dims[axis]!]! * from[axis]!,
      0,
    );
    return data.data[within(at, data.size)]!;
  });
  return new Tensor(data.type, elements, dims);
}

/**
 * Embeddings [rows, columns] with one bit for a value, 1 above 0, eight to a byte, the first highest: uint8 for 'ubinary', and 128 less,
 * int8, for 'binary'. Throws InputError where the columns are no multiple of 8.
 */
export function quantize_embeddings(tensor: Tensor, precision: 'binary' | 'ubinary'): Tensor<'int8' | 'uint8'> {
  const [rows = 0, columns = 0] = shapeOf('quantize_embeddings', tensor, 2);
  if (columns % 8 !== 0) throw wrong('the columns of the embeddings', columns, 'a multiple of 8');
  if (precision !== 'binary' && precision !== 'ubinary') throw wrong('precision', precision, "'binary' or 'ubinary'");
  const bytes = new Uint8Array(tensor.size / 8);
  tensor.data.forEach((value, i) => {
    if (value > 0) bytes[i >> 3]! |= 128 >> (i & 7);
  });
  const dims = [rows, columns / 8];
  if (precision === 'ubinary') return new Tensor('uint8', bytes, dims);
  return new Tensor(
    'int8',
    Int8Array.from(bytes, byte => byte - 128),
    dims,
  );
}
