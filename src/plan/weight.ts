import { MOST_TEXELS, padded, textureBytes } from '../../shaders/kernel.ts';
import { elementBytes, type Format, rowElements, TEXEL_FORMATS } from '../../shaders/matrix.ts';
import { indexOf, isJoined, type WeightPart } from './part-layout.ts';

/**
 * One buffer or texture of weights as the kernels read it: rows of `stride` numbers, made of one or more tensors one below the other. A
 * vector is a matrix of one column with stride 1. Rows, and columns, come in groups of `size`, each padded with zeros to `padded`: these
 * are heads, whose size may be no multiple of four.
 */
export interface Weight {
  readonly name: string;
  readonly parts: readonly WeightPart[];
  /** The first row that it takes of each tensor: 0, but for a slice of a table that no binding holds (lower.ts). */
  readonly first: number;
  /** The rows of all parts. */
  readonly count: number;
  readonly columns: number;
  readonly rowGroup: Group;
  readonly columnGroup: Group;
  /** On the GPU: `height` rows of `stride` numbers. */
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

/** Weights with equal keys are one buffer, whichever plan they come from. */
export const weightKey = (weight: Weight): string => JSON.stringify(weight);

/** The elements of a weight: what its kernels load at once (shaders/matrix.ts). */
export const weightElements = ({ stride, height, storage }: Weight): number =>
  storage.format === 'f32' ? padded(stride * height) / 4 : height * rowElements(storage.format, stride);

/** The bytes that a weight takes on the GPU; a texture is rounded up to whole lines. */
export function weightBytes(weight: Weight): number {
  const { format, texels } = weight.storage;
  const elements = weightElements(weight);
  return texels ? textureBytes(TEXEL_FORMATS[format], elements) : elements * elementBytes(format);
}

/** How many rows of such a weight one binding or texture holds, and of a joined one a binding of float32 rows, too (gpu/upload.ts). */
export function bindableRows(weight: Weight, maxBindingBytes: number): number {
  const { stride, storage } = weight;
  const { format, texels } = storage;
  const most = Math.min(maxBindingBytes / elementBytes(format), texels ? MOST_TEXELS : Number.POSITIVE_INFINITY);
  const rows = Math.floor(most / rowElements(format, stride));
  return isJoined(weight) ? Math.min(rows, Math.floor(maxBindingBytes / (4 * stride))) : rows;
}

/** Whether a float32 tensor is the same bytes in the file and in the buffer, so that it can be written without a kernel. */
export const isVerbatim = ({ parts, columns, stride, rowGroup, columnGroup }: Weight): boolean =>
  columns === stride &&
  rowGroup.size === rowGroup.padded &&
  columnGroup.size === columnGroup.padded &&
  parts.every(({ layout }) => !layout);

/** Some rows of a tensor, and the rows of the weight that they become; both are whole groups. */
export interface Band {
  /** The first row, counted from the first one that the weight takes of the tensor. */
  readonly first: number;
  readonly count: number;
  /** The first row in the weight, and how many there are with their padding. */
  readonly to: number;
  readonly height: number;
}

/** How many rows of a tensor take at most so many bytes as padded float32: whole groups, at least one. */
export function bandRows({ stride, rowGroup }: Weight, bytes: number): number {
  const { size, padded } = rowGroup;
  // Groups that are not padded may be cut.
  if (size === padded) return Math.max(1, Math.floor(bytes / (4 * stride)));
  return size * Math.max(1, Math.floor(bytes / (4 * stride * padded)));
}

/** Band `index` of a part that is cut into bands of `rows` rows; the last may have fewer. */
export function bandOf({ rowGroup }: Weight, { rowOffset, count }: WeightPart, rows: number, index: number): Band {
  const first = index * rows;
  const bandCount = Math.min(rows, count - first);
  const group = rowGroup.size === rowGroup.padded ? SINGLE : rowGroup;
  return { first, count: bandCount, to: rowOffset + extent(first, group), height: extent(bandCount, group) };
}

/** The tensor that number `at` of a weight comes from, and its index there: [row, column], or [row] of a vector. Undefined for padding. */
export function originOf(
  { parts, first, columns, rowGroup, columnGroup, stride }: Weight,
  at: number,
): { tensor: string; index: number[] } | undefined {
  /** The index without padding; -1 inside of padding. */
  const unpadded = (i: number, { size, padded }: Group) =>
    i % padded < size ? Math.floor(i / padded) * size + (i % padded) : -1;
  const row = Math.floor(at / stride);
  const column = unpadded(at % stride, columnGroup);
  for (const part of parts) {
    const { tensor, count, rowOffset } = part;
    const partRow = unpadded(row - rowOffset, rowGroup);
    if (row < rowOffset || partRow < 0 || partRow >= count || column < 0 || column >= columns) continue;
    const index = indexOf(part, { row: first + partRow, column, columns });
    if (index) return { tensor, index };
  }
  return undefined;
}

/** No groups. */
const SINGLE: Group = { size: 1, padded: 1 };
const groupOf = (size: number | undefined): Group => (size ? { size, padded: padded(size) } : SINGLE);
/** The length of `n` rows or columns with the padding of their groups. */
const extent = (n: number, { size, padded }: Group): number => (n / size) * padded;

/** A tensor of a weight: its name and rows. Undefined: the rows are zeros. */
type Rows = readonly [tensor: string | undefined, rows: number];

/** Each tensor with its rows: the same number for all of them, or a list. */
const rowsOf = (tensors: readonly (string | undefined)[], rows: number | readonly number[]): Rows[] =>
  tensors.map((tensor, i) => [tensor, typeof rows === 'number' ? rows : rows[i]!]);

/** Tensors of so many columns, or vectors, one below the other; or some rows of one tensor. */
function stacked(
  tensors: readonly Rows[],
  columns: number | undefined,
  layout: Partial<Pick<Weight, 'first' | 'count' | 'rowGroup' | 'columnGroup' | 'storage'>> & {
    innerShape?: readonly number[] | undefined;
    groups?: number | readonly number[] | undefined;
  },
): Weight {
  const { first = 0, count: slice, rowGroup = SINGLE, columnGroup = SINGLE, storage = PLAIN } = layout;
  const { innerShape, groups } = layout;
  const name = tensors.flatMap(([tensor]) => tensor ?? []).join('+');
  let height = 0;
  const parts = tensors.flatMap(([tensor, rows], i): WeightPart[] => {
    const blocks = typeof groups === 'object' ? groups[i] : groups;
    const inner = blocks === undefined ? (innerShape ?? [columns!]) : [columns! / blocks, 1];
    const shape = columns === undefined ? [rows, ...(innerShape ?? [])] : [rows, ...inner];
    const layout = blocks !== undefined && blocks > 1 && ({ kind: 'blocks', blocks } as const);
    const part = { shape, count: slice ?? rows, rowOffset: height, ...(layout && { layout }) };
    height += extent(part.count, rowGroup);
    return tensor === undefined ? [] : [{ tensor, ...part }];
  });
  const isSlice = parts.some(({ count, shape }) => count !== shape[0]);
  return {
    name: name + (isSlice ? `[${first}..${first + slice!}]` : ''),
    parts,
    first,
    count: parts.reduce((sum, { count }) => sum + count, 0),
    columns: columns ?? 1,
    rowGroup,
    columnGroup,
    stride: extent(columns ?? 1, columnGroup),
    // A matrix has a row for every float of its padded output, so that no kernel looks past the end.
    height: padded(height),
    storage,
  };
}

interface MatrixLayout {
  readonly rowHead?: number | undefined;
  readonly columnHead?: number | undefined;
  readonly innerShape?: readonly number[] | undefined;
  readonly groups?: number | readonly number[] | undefined;
}

/**
 * Matrices [rows, columns], one below the other, in plain float32.
 * @param rows The rows of each, or of every one.
 * @param rowHead The size of a head, where rows come in heads; `columnHead` where columns do. Heads are padded.
 * @param innerShape The dimensions that the columns are in the file, where these are several.
 * @param groups The groups of a convolution over single tokens, of each matrix or of every one: see PartLayout.
 */
export const matrix = (
  tensors: readonly string[],
  rows: number | readonly number[],
  columns: number,
  { rowHead, columnHead, innerShape, groups }: MatrixLayout = {},
): Weight =>
  stacked(rowsOf(tensors, rows), columns, {
    innerShape,
    groups,
    rowGroup: groupOf(rowHead),
    columnGroup: groupOf(columnHead ?? columns),
  });

/**
 * Vectors, one behind the other, of one length or of a length each; heads are padded where their size is given. In the place of one that
 * is undefined are zeros. `innerShape`: further dimensions of each in the file, all of them 1.
 */
export const vector = (
  tensors: readonly (string | undefined)[],
  length: number | readonly number[],
  head?: number,
  innerShape?: readonly number[],
): Weight => stacked(rowsOf(tensors, length), undefined, { rowGroup: groupOf(head), innerShape });

/** A tensor [rows, columns] of a joined matrix, or [columns, rows] where it is transposed. */
export interface ColumnPart {
  readonly tensor: string;
  readonly columns: number;
  readonly transposed?: boolean | undefined;
}

/** A matrix of so many rows, in which the columns of several tensors stand side by side. */
export function joined(tensors: readonly ColumnPart[], rows: number): Weight {
  const columns = tensors.reduce((sum, part) => sum + part.columns, 0);
  const whole = matrix([tensors.map(({ tensor }) => tensor).join('|')], rows, columns);
  let first = 0;
  const parts = tensors.map(({ tensor, columns: count, transposed = false }): WeightPart => {
    const layout = { kind: 'columns', first, count, transposed } as const;
    first += count;
    return { tensor, shape: transposed ? [count, rows] : [rows, count], count: rows, rowOffset: 0, layout };
  });
  return { ...whole, parts };
}

/**
 * A matrix [rows, columns] that the file has as one matrix for each group of rows and columns, transposed; it is zero between the groups:
 * see PartLayout.
 */
export function grouped(tensor: string, rows: number, columns: number, groups: number): Weight {
  const shape = [groups, columns / groups, rows / groups];
  const layout = { kind: 'matrices', groups } as const;
  return { ...matrix([tensor], rows, columns), parts: [{ tensor, shape, count: rows, rowOffset: 0, layout }] };
}

/** The same weight, kept in another storage. */
export const keptAs = (weight: Weight, storage: Storage): Weight => ({ ...weight, storage });

/** Rows `first` to `first + count` of a whole weight whose tensors all begin in its first row, and whose rows are not padded. */
export function rowSlice(weight: Weight, first: number, count: number): Weight {
  const { parts, columnGroup, storage, name } = weight;
  const [{ tensor, shape, layout }] = parts as [WeightPart];
  if (layout) {
    const slices = parts.map(part => ({ ...part, count }));
    const named = `${name}[${first}..${first + count}]`;
    return { ...weight, name: named, parts: slices, first, count, height: padded(count) };
  }
  const [rows, columns] = shape as [number, number | undefined];
  return stacked([[tensor, rows]], columns, { first, count, columnGroup, storage });
}

/** Such a weight in slices of at most `maxRows` rows, but four at least. */
export function rowSlices(weight: Weight, maxRows: number): Weight[] {
  if (weight.count <= maxRows) return [weight];
  // A multiple of four, so that every slice but the last is free of padding.
  const rows = Math.max(4, 4 * Math.floor(maxRows / 4));
  return Array.from({ length: Math.ceil(weight.count / rows) }, (_, i) => {
    const first = i * rows;
    return rowSlice(weight, first, Math.min(rows, weight.count - first));
  });
}
