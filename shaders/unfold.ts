import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { declarations, type Kernel, padded, read, u32, write } from './kernel.ts';
import { ITEM_TOKENS, LANES, SEQUENCE_START, unrolled } from './snippets.ts';

export interface UnfoldVariant {
  /** C */
  readonly columns: number;
  /** An odd number. */
  readonly width: number;
  /** Whether the numbers of one column stand side by side, or whole rows, from the token after to the token before. */
  readonly order: 'columns' | 'rows';
}

/**
 * y[t, c width + o] = x[n, c], where n is the token of the same sequence whose place is o - (width - 1) / 2 after that of t; 0 where there
 * is none. In the order of rows y[t, o C + c] = x[n, c], with n at the place (width - 1) / 2 - o after that of t. One workgroup writes the rows of one attention work item.
 *
 *   tiles[i] = (first key, end, first token, ...)    sequences[B] = (first token, ...)    tokens[T] = (id, position, type, place)
 *   x [T, C]    y [T, C width]      grid: tiles
 *
 * Places are those before padding was removed. They grow from token to token, and from the last one to the first where tokens stand before
 * the others because none attends to them: so a token that is s places away is at most s tokens away, counted around the sequence. It is
 * read whether or not it is attended to.
 */
export function unfold({ columns, width, order }: UnfoldVariant): Kernel {
  const half = (width - 1) / 2;
  /** WGSL: the column of x that number i of a row is, and the distance of its token. */
  const [column, distance] =
    order === 'columns'
      ? [`i / ${width}u`, `i32(i % ${width}u) - ${half}`]
      : [`i % ${columns}u`, `${half} - i32(i / ${columns}u)`];
  const C4 = padded(columns) / 4;
  const Y4 = padded(columns * width) / 4;
  const bindings = [
    read('tiles', 'array<vec4u>'),
    read('sequences', 'array<vec4u>'),
    read('tokens', 'array<vec4u>'),
    read('x'),
    write('y'),
  ];
  const params = [u32('tiles'), u32('sequences')];
  return {
    name: `unfold ${columns}x${width}${order === 'rows' ? ' rows' : ''}`,
    bindings,
    params,
    workgroups: ({ tiles }) => [tiles!, 1, 1],
    code: wgsl`
${declarations(bindings, params)}
${SEQUENCE_START}
/** Number i of the row of token t. */
fn neighbour(t: u32, i: u32, start: u32, end: u32) -> f32 {
  if (i >= ${columns * width}u) { return 0.0; }
  let c = ${column};
  let offset = ${distance};
  let place = i32(tokens[t].w) + offset;
  let L = i32(end - start);
  for (var step = 0; step <= min(abs(offset), L - 1); step++) {
    let turned = i32(t - start) + step * sign(offset);
    let n = start + u32(select(select(turned, turned - L, turned >= L), turned + L, turned < 0));
    if (i32(tokens[n].w) == place) { return x[n * ${C4}u + c / 4u][c % 4u]; }
  }
  return 0.0;
}

@compute @workgroup_size(${LANES})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
  ${ITEM_TOKENS}
  let start = sequence_start(tile.z);
  for (var i = local.x; i < (end - tile.z) * ${Y4}u; i += ${LANES}u) {
    let t = tile.z + i / ${Y4}u;
    let first = 4u * (i % ${Y4}u);
    y[t * ${Y4}u + i % ${Y4}u] = vec4f(${unrolled(4, j => `neighbour(t, first + ${j}u, start, tile.y),`)});
  }
}`,
  };
}
