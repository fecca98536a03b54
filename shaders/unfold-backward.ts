import { NEIGHBOUR } from './convolution-backward.ts';
import { declarations, type Kernel, padded, read, u32, write } from './kernel.ts';
import { ITEM_TOKENS, LANES, SEQUENCE_START, unrolled } from './snippets.ts';
import type { UnfoldVariant } from './unfold.ts';

/**
 * The way back through unfold.ts: dx[n, c] = the sum over o of dy[t, c width + o], where t is the token of the same sequence whose place is
 * o - (width - 1) / 2 before that of n; none where there is none. In the order of rows, dy[t, o C + c], with t at the place (width - 1) / 2 - o
 * before that of n. One workgroup writes the rows of one attention work item; the sum over o ascends.
 *
 *   tiles, sequences, tokens: as of unfold.ts    dy [T, C width]    dx [T, C]      grid: tiles
 */
export function unfoldBackward({ columns, width, order }: UnfoldVariant): Kernel {
  const half = (width - 1) / 2;
  const C4 = padded(columns) / 4;
  const Y4 = padded(columns * width) / 4;
  const bindings = [
    read('tiles', 'array<vec4u>'),
    read('sequences', 'array<vec4u>'),
    read('tokens', 'array<vec4u>'),
    read('dy'),
    write('dx'),
  ];
  const params = [u32('tiles'), u32('sequences')];
  const number = order === 'columns' ? `c * ${width}u + o` : `o * ${columns}u + c`;
  return {
    name: `unfold backward ${columns}x${width}${order === 'rows' ? ' rows' : ''}`,
    bindings,
    params,
    workgroups: ({ tiles }) => [tiles!, 1, 1],
    code: `
${declarations(bindings, params)}
${SEQUENCE_START}
${NEIGHBOUR}

/** Column c of dy of token t, from its part \`o\`. */
fn part(t: u32, c: u32, o: u32) -> f32 {
  if (c >= ${columns}u) { return 0.0; }
  let i = ${number};
  return dy[t * ${Y4}u + i / 4u][i % 4u];
}

@compute @workgroup_size(${LANES})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
  ${ITEM_TOKENS}
  let start = sequence_start(tile.z);
  for (var i = local.x; i < (end - tile.z) * ${C4}u; i += ${LANES}u) {
    let n = tile.z + i / ${C4}u;
    let first = 4u * (i % ${C4}u);
    var sum = vec4f();
    for (var o = 0u; o < ${width}u; o++) {
      let t = neighbour(n, ${order === 'columns' ? `${half} - i32(o)` : `i32(o) - ${half}`}, start, tile.y);
      if (t < tile.y) { sum += vec4f(${unrolled(4, j => `part(t, first + ${j}u, o),`)}); }
    }
    dx[n * ${C4}u + i % ${C4}u] = sum;
  }
}`,
  };
}
