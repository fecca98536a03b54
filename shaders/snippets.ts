import type { Workgroups } from './kernel.ts';

/** Pieces of WGSL that several kernels are written with. */

/** Invocations of a workgroup, unless a kernel has a reason for another number. */
export const LANES = 64;

/** `text` for 0 to n - 1, one below the other: an unrolled loop. */
export const unrolled = (n: number, text: (i: number) => string): string =>
  Array.from({ length: n }, (_, i) => text(i)).join('\n');

/**
 * Invocations of a workgroup of a flat grid. They share nothing, so there may be more: a software adapter then has half as many workgroups to
 * begin, and AdamW, which moves seven numbers for each, takes a fifth less time.
 */
export const FLAT_LANES = 128;

/** Vec4f of a table that share a mark in `seen`: see segment-sum.ts. A power of two, so that finding a mark is no division. */
export const MARKED_VECTORS = 128;

/**
 * Invocations side by side that walk over what shares a mark. Eight is what a software adapter computes at once: without a mark all eight have
 * nothing to walk over, and it passes over them in one go. On a GPU eight vec4f are the 128 bytes that memory is read by.
 */
export const MARK_LANES = 8;

/** Workgroups of a flat grid side by side; WebGPU allows 65,535 in each dimension. */
const FLAT_WIDTH = 32768;

/** The grid of a kernel that has one invocation for each of `count` elements. Rows of workgroups in x, as many as it takes in y. */
export function flatGrid(count: number): Workgroups {
  const groups = Math.ceil(count / FLAT_LANES);
  return [Math.min(groups, FLAT_WIDTH), Math.ceil(groups / FLAT_WIDTH), 1];
}

/** The element of an invocation of a flat grid, where `id` is its `global_invocation_id`. */
export const FLAT_INDEX = `id.y * ${FLAT_WIDTH * FLAT_LANES}u + id.x`;

/** The same of a grid that may be dispatched in parts: see FIRST_GROUP. */
export const FLAT_INDEX_OF_PART = `(id.y + params.first_y) * ${FLAT_WIDTH * FLAT_LANES}u + id.x + params.first_x * ${FLAT_LANES}u`;

/**
 * WGSL: the head of a kernel on a flat grid of `count` elements, an expression: its entry point up to the element `i`, which is one of them.
 * The brace that closes it is the kernel's.
 */
export const flatMain = (count: string, index = FLAT_INDEX): string => `@compute @workgroup_size(${FLAT_LANES})
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = ${index};
  if (i >= ${count}) { return; }`;

/** As flatMain, where the elements are rows of `width`: `i` is in `row`, which is below params.rows, and in `column`. */
export const flatRowsMain = (width: number, column = 'column'): string => `@compute @workgroup_size(${FLAT_LANES})
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = ${FLAT_INDEX};
  let row = i / ${width}u;
  let ${column} = i % ${width}u;
  if (row >= params.rows) { return; }`;

/** WGSL: the columns of the four numbers that vec4f number `i` of a row has. */
export const columnsAt = (i: string): string => `vec4u(4u * ${i}) + vec4u(0u, 1u, 2u, 3u)`;

/** The grid of a kernel whose workgroups are numbered: rows of workgroups in x, as many as it takes in y. */
export const groupGrid = (groups: number): Workgroups => [
  Math.min(groups, FLAT_WIDTH),
  Math.ceil(groups / FLAT_WIDTH),
  1,
];

/** The number of a workgroup of such a grid, where `group` is its `workgroup_id`. */
export const GROUP_INDEX = `group.y * ${FLAT_WIDTH}u + group.x`;

/** The same of a grid that may be dispatched in parts: see FIRST_GROUP. */
export const GROUP_INDEX_OF_PART = `(group.y + params.first_y) * ${FLAT_WIDTH}u + group.x + params.first_x`;

/** How a kernel divides rows: a workgroup has one row with several invocations, or several rows with one each. */
export interface RowShape {
  /** Invocations that share a row. With one, the kernel needs no workgroup memory and no barrier. */
  readonly lanes: number;
  /** Rows of a workgroup. */
  readonly rows: number;
}

/** The grid of a kernel that has `rows` rows, divided as `shape` says. */
export const rowGrid = (rows: number, shape: RowShape): Workgroups => groupGrid(Math.ceil(rows / shape.rows));

/**
 * WGSL: the head of a kernel on such a grid: its entry point up to `row`, which is one of `rows`, an expression. The invocation is lane
 * `local.x` of it. The brace that closes it is the kernel's.
 */
export const rowMain = ({ lanes, rows: height }: RowShape, rows = 'params.rows', row = 'row'): string =>
  `@compute @workgroup_size(${lanes}, ${height})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let ${row} = ${lanes > 1 ? GROUP_INDEX : `(${GROUP_INDEX}) * ${height}u + local.y`};
  if (${row} >= ${rows}) { return; }`;

/**
 * A tree reduction over the lanes of a workgroup in log2(lanes) steps. `combine` merges what lane `other` has in workgroup memory into
 * what `lane` has; the result is that of lane 0.
 */
export const reduce = (lanes: number, combine: string): string => `
  for (var half = ${lanes / 2}u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (lane < half) { let other = lane + half; ${combine} }
  }
  workgroupBarrier();`;

/** `fn total(value: f32, lane: u32) -> f32`: the sum of `value` over the lanes of a workgroup. With one lane it needs no barrier. */
export const total = (lanes: number): string =>
  lanes === 1
    ? 'fn total(value: f32, lane: u32) -> f32 { return value; }'
    : `
var<workgroup> partial: array<f32, ${lanes}>;
fn total(value: f32, lane: u32) -> f32 {
  partial[lane] = value;${reduce(lanes, 'partial[lane] += partial[other];')}
  let sum = partial[0];
  workgroupBarrier();
  return sum;
}`;

/** `fn is_nan(x: vec4f) -> vec4<bool>`, by the bits: WGSL lets a compiler assume that no float is NaN. */
export const IS_NAN =
  'fn is_nan(x: vec4f) -> vec4<bool> { return (bitcast<vec4u>(x) & vec4u(0x7fffffffu)) > vec4u(0x7f800000u); }';

/**
 * `fn finite_or_nan(x: f32) -> f32`: NaN for an infinity, else x. A row divided by a sum of squares that overflowed would be zero, which
 * is finite and wrong.
 */
export const FINITE_OR_NAN = `fn finite_or_nan(x: f32) -> f32 {
  let bits = bitcast<u32>(x);
  return bitcast<f32>(select(bits, bits | 0x400000u, (bits & 0x7f800000u) == 0x7f800000u));
}`;

/**
 * The tokens of an attention work item, one of `tiles[i] = (first key, end, first token, ...)`: `tile.z` to `end`, of a sequence that goes
 * to `tile.y`. For a kernel whose workgroups are the work items.
 */
export const ITEM_TOKENS = `if (group.x >= params.tiles) { return; }
  let tile = tiles[group.x];
  var end = tile.y;
  // The next work item of the sequence begins where this one ends.
  if (group.x + 1u < params.tiles) {
    let next = tiles[group.x + 1u];
    if (next.x == tile.x) { end = next.z; }
  }`;

/**
 * `fn sequence_start(t: u32) -> u32`: the first token of the sequence that has token t, also where no token attends to it. For a kernel
 * with `sequences[B] = (first token, ...)`, and B as a param.
 */
export const SEQUENCE_START = `fn sequence_start(t: u32) -> u32 {
  var low = 0u;
  var high = params.sequences;
  while (high - low > 1u) {
    let middle = (low + high) / 2u;
    if (sequences[middle].x <= t) { low = middle; } else { high = middle; }
  }
  return sequences[low].x;
}`;
