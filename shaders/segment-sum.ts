import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { declarations, f32, type Kernel, padded, read, u32, write } from './kernel.ts';
import {
  FLAT_INDEX,
  FLAT_LANES,
  flatGrid,
  GROUP_INDEX,
  groupGrid,
  LANES,
  MARKED_VECTORS,
  type RowShape,
} from './snippets.ts';

/** Where a workgroup has one segment: its vec4f of the columns side by side, and the teams that divide the tokens among them. */
const ACROSS = 4;
const TEAMS = LANES / ACROSS;

export interface SegmentSumVariant {
  readonly columns: number;
  /** Whether every row of dx is multiplied by the word factor of its token (see embed.ts). */
  readonly wordFactors: boolean;
  /** The gradient has `count` rows of the table from row `first` on: segments of other rows add nothing. Default: false. */
  readonly sliced?: boolean | undefined;
  /**
   * Whether what gets a gradient is marked, for square-sum.ts and adamw.ts, which pass over the rest: the mark of every 128 vec4f, whichever
   * rows they are of. Default: false.
   */
  readonly marked?: boolean | undefined;
}

/**
 * gradient[id] += factor (sum of dx[order[i]] for first <= i < end), for segments[S] = (id, first, end, 0): the gradient of a table whose
 * rows were picked by ids, without atomics, in one order.
 *
 *   segments [S] vec4u    order [T] u32    dx [T, C]    tokens [T], where there are word factors    gradient [.., C]    seen [.. C / 512] u32
 *   params: segments = S, factor, of a slice first, count
 *
 * The host lists the tokens of a pass sorted by id, those of one id in their order (a counting sort), and a segment for each id that occurs.
 * An id has one segment at most: two would be written at once. An id whose row gets no gradient (torch's padding_idx) has none. A segment
 * may be of any length, so token types, which are two segments of thousands of tokens, are two segments here as well.
 *
 * Where lanes share a row (GPUs), a workgroup has one segment and 16 columns: 16 teams each add up a sixteenth of the tokens, one after the
 * other, and their sums are added in order. Of 16 tokens or fewer every team has one, and the order is that of the tokens. Grid:
 * S C / 16. Elsewhere an invocation adds up a vec4f of a segment alone, in the order of the tokens. Grid: flat, S C / 4.
 */
export function segmentSum(
  { columns, wordFactors, sliced = false, marked = false }: SegmentSumVariant,
  { lanes }: RowShape,
): Kernel {
  const C4 = padded(columns) / 4;
  const tiles = Math.ceil(C4 / ACROSS);
  const shared = lanes > 1;
  const bindings = [
    read('segments', 'array<vec4u>'),
    read('order', 'array<u32>'),
    read('dx'),
    ...(wordFactors ? [read('tokens', 'array<vec4u>')] : []),
    write('gradient'),
    ...(marked ? [write('seen', 'array<atomic<u32>>')] : []),
  ];
  /** WGSL: the row of number i in the order. */
  const row = `${wordFactors ? 'bitcast<f32>(tokens[order[i]].z) * ' : ''}dx[order[i] * ${C4}u + column]`;
  const params = [u32('segments'), f32('factor'), ...(sliced ? [u32('first'), u32('count')] : [])];
  /** WGSL: the row of the gradient. */
  const to = sliced ? '(segment.x - params.first)' : 'segment.x';
  const mark = marked ? `\n  atomicStore(&seen[(${to} * ${C4}u + column) / ${MARKED_VECTORS}u], 1u);` : '';
  const isOther = 'segment.x < params.first || segment.x - params.first >= params.count';
  return {
    name: `segment sum ${columns}${wordFactors ? ' word factors' : ''}${sliced ? ' sliced' : ''}${marked ? ' marked' : ''}${shared ? ' in teams' : ''}`,
    bindings,
    params,
    workgroups: ({ segments }) => (shared ? groupGrid(segments! * tiles) : flatGrid(segments! * C4)),
    code: wgsl`
${declarations(bindings, params)}
#if ${shared}
var<workgroup> sums: array<vec4f, ${LANES}>;

@compute @workgroup_size(${LANES})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let number = ${GROUP_INDEX};
  if (number >= params.segments * ${tiles}u) { return; }
  let segment = segments[number / ${tiles}u];
#if ${sliced}
  if (${isOther}) { return; }
#endif
  let column = number % ${tiles}u * ${ACROSS}u + local.x % ${ACROSS}u;
  let part = (segment.z - segment.y + ${TEAMS - 1}u) / ${TEAMS}u;
  let first = segment.y + local.x / ${ACROSS}u * part;
  var sum = vec4f();
  if (column < ${C4}u) {
    for (var i = first; i < min(segment.z, first + part); i++) { sum += ${row}; }
  }
  sums[local.x] = sum;
  workgroupBarrier();
  if (local.x >= ${ACROSS}u || column >= ${C4}u) { return; }
  for (var t = 1u; t < ${TEAMS}u; t++) { sum += sums[t * ${ACROSS}u + local.x]; }
  gradient[${to} * ${C4}u + column] += params.factor * sum;${mark}
}
#else
@compute @workgroup_size(${FLAT_LANES})
fn main(@builtin(global_invocation_id) id: vec3u) {
  let index = ${FLAT_INDEX};
  if (index >= params.segments * ${C4}u) { return; }
  let segment = segments[index / ${C4}u];
#if ${sliced}
  if (${isOther}) { return; }
#endif
  let column = index % ${C4}u;
  var sum = vec4f();
  for (var i = segment.y; i < segment.z; i++) { sum += ${row}; }
  gradient[${to} * ${C4}u + column] += params.factor * sum;${mark}
}
#endif`,
  };
}
