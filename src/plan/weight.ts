import { padded, textureBytes } from '../../shaders/kernel.ts';
import { elementBytes, type Format, rowElements, TEXEL_FORMATS } from '../../shaders/matrix.ts';

/** One tensor of the checkpoint inside a weight. */
export interface WeightPart {
  /** Its canonical name; the checkpoint may know it under another (see checkpoint/names). */
  readonly tensor: string;
  /** The shape that the checkpoint must have: [rows, columns], or [rows] for a vector. */
  readonly shape: readonly number[];
  /** Where its first row goes. */
  readonly rowOffset: number;
}

/**
 * One buffer or texture of weights as the kernels read it: rows of `stride` numbers, made of one or more tensors one below the
 * other. A vector is a matrix of one column with stride 1. Rows, and columns, come in groups of `size` that are padded with
 * zeros to `padded`: heads, whose size may be no multiple of four.
 */
export interface Weight {
  readonly name: string;
  readonly parts: readonly WeightPart[];
  /** The rows of the tensors that it takes: all, or a slice of a table that is too large for one binding. */
  readonly first: number;
  readonly count: number;
  readonly columns: number;
  readonly rowGroup: Group;
  readonly columnGroup: Group;
  /** Destination: `height` rows of `stride` numbers. */
  readonly stride: number;
  readonly height: number;
  readonly storage: Storage;
}

/** How a weight is kept. */
export interface Storage {
  readonly format: Format;
  /** In a texture. */
  readonly texels: boolean;
}

const PLAIN: Storage = { format: 'f32', texels: false };

export interface Group {
  readonly size: number;
  readonly padded: number;
}

/** What tells one weight from another: equal weights are one buffer, whichever plan they come from. */
export const weightKey = (weight: Weight): string => JSON.stringify(weight);

/** The elements of a weight, as its kernels load them. */
export const weightElements = ({ stride, height, storage }: Weight): number =>
  storage.format === 'f32' ? padded(stride * height) / 4 : height * rowElements(storage.format, stride);

/** The bytes that a weight takes on the GPU: what it is made of, and for a texture the rest of its last line. */
export function weightBytes(weight: Weight): number {
  const { format, texels } = weight.storage;
  const elements = weightElements(weight);
  return texels ? textureBytes(TEXEL_FORMATS[format], elements) : elements * elementBytes(format);
}

/** Whether a float32 tensor lies in the file as it will lie in the buffer, so that its bytes can be written as they are. */
export const isVerbatim = ({ columns, stride, rowGroup, columnGroup }: Weight): boolean =>
  columns === stride && rowGroup.size === rowGroup.padded && columnGroup.size === columnGroup.padded;

/** The rows of a tensor, and the rows of a weight that they become; both whole groups. */
export interface Band {
  readonly first: number;
  readonly count: number;
  readonly to: number;
  readonly height: number;
}

/** Rows of a tensor whose float32 rows, padded, take at most so many bytes: whole groups, one at least. */
export function bandRows({ stride, rowGroup }: Weight, bytes: number): number {
  const { size, padded } = rowGroup;
  // Where groups are not padded a row stands for itself.
  if (size === padded) return Math.max(1, Math.floor(bytes / (4 * stride)));
  return size * Math.max(1, Math.floor(bytes / (4 * stride * padded)));
}

/** Band `index` of a part, of `rows` rows each but for the last; counted from the first row that the weight takes. */
export function bandOf({ rowGroup, count }: Weight, { rowOffset }: WeightPart, rows: number, index: number): Band {
  const first = index * rows;
  const here = Math.min(rows, count - first);
  const group = rowGroup.size === rowGroup.padded ? SINGLE : rowGroup;
  return { first, count: here, to: rowOffset + extent(first, group), height: extent(here, group) };
}

/** Where in the checkpoint number `at` of a weight's rows comes from: its tensor, and the index there. Undefined for padding. */
export function originOf(
  { parts, first, count, columns, rowGroup, columnGroup, stride }: Weight,
  at: number,
): { tensor: string; index: number[] } | undefined {
  const from = (x: number, { size, padded }: Group) =>
    x % padded < size ? Math.floor(x / padded) * size + (x % padded) : -1;
  const row = Math.floor(at / stride);
  const column = from(at % stride, columnGroup);
  for (const { tensor, shape, rowOffset } of parts) {
    const own = from(row - rowOffset, rowGroup);
    if (row < rowOffset || own < 0 || own >= count || column < 0 || column >= columns) continue;
    return { tensor, index: shape.length === 1 ? [first + own] : [first + own, column] };
  }
  return undefined;
}

/** Each stands for itself. */
const SINGLE: Group = { size: 1, padded: 1 };
const groupOf = (size: number | undefined): Group => (size ? { size, padded: padded(size) } : SINGLE);
/** The extent of `n` things that stand in groups. */
const extent = (n: number, group: Group): number => (n / group.size) * group.padded;

/** Tensors of one shape, or the same rows of each, joined by rows. */
function joined(
  tensors: readonly string[],
  shape: readonly [rows: number, ...columns: number[]],
  layout: Partial<Pick<Weight, 'first' | 'count' | 'rowGroup' | 'columnGroup' | 'storage'>>,
): Weight {
  const [rows, columns = 1] = shape;
  const { first = 0, count = rows, rowGroup = SINGLE, columnGroup = SINGLE, storage = PLAIN } = layout;
  const height = extent(count, rowGroup);
  return {
    name: tensors.join('+') + (count === rows ? '' : `[${first}..${first + count}]`),
    parts: tensors.map((tensor, i) => ({ tensor, shape, rowOffset: i * height })),
    first,
    count,
    columns,
    rowGroup,
    columnGroup,
    stride: extent(columns, columnGroup),
    // A matrix has a row for every float of its padded output, so that no kernel looks past the end.
    height: padded(tensors.length * height),
    storage,
  };
}

/** [rows, columns] matrices of the same shape, joined by rows; heads padded where a head size is given. */
export const matrix = (
  tensors: readonly string[],
  rows: number,
  columns: number,
  { rowHead, columnHead, storage }: { rowHead?: number; columnHead?: number; storage?: Storage } = {},
): Weight =>
  joined(tensors, [rows, columns], {
    rowGroup: groupOf(rowHead),
    columnGroup: groupOf(columnHead ?? columns),
    storage,
  });

/** Vectors of the same length, joined. */
export const vector = (tensors: readonly string[], length: number, head?: number): Weight =>
  joined(tensors, [length], { rowGroup: groupOf(head) });

/** The same weight, kept in another storage. */
export const keptAs = (weight: Weight, storage: Storage): Weight => ({ ...weight, storage });

/** Rows `first` to `first + count` of a whole weight of one tensor, whose rows are not padded. */
export function rowSlice({ parts, columnGroup, storage }: Weight, first: number, count: number): Weight {
  const [{ tensor, shape }] = parts as [WeightPart];
  return joined([tensor], shape as [number, ...number[]], { first, count, columnGroup, storage });
}

/** The same in slices of at most `maxRows` rows, four at least: what one binding, or one texture, holds. */
export function rowSlices(weight: Weight, maxRows: number): Weight[] {
  if (weight.count <= maxRows) return [weight];
  // A multiple of four, so that every slice but the last is free of padding.
  const rows = Math.max(4, 4 * Math.floor(maxRows / 4));
  return Array.from({ length: Math.ceil(weight.count / rows) }, (_, i) => {
    const first = i * rows;
    return rowSlice(weight, first, Math.min(rows, weight.count - first));
  });
}
