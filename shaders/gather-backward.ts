import { declarations, type Kernel, padded, read, u32, write } from './kernel.ts';
import type { RowShape } from './norm.ts';
import { GROUP_INDEX, groupGrid } from './snippets.ts';

/**
 * The way back through gather.ts: dx[masked[i].x] = dy[i], and 0 in all other rows.
 *
 *   masked [masked] = (token of the pass, 0, 0, 0)    dy [masked, C]    dx [T, C]      params: rows = T, masked      grid: T / rows
 *
 * The tokens of `masked` ascend, each once, as packBatch lists them where the picks of every sequence ascend: a row of dx looks for its
 * token by halves, so dx is written whole and once, and nothing must be cleared before.
 */
export function gatherBackward({ columns }: { readonly columns: number }, { lanes, rows: height }: RowShape): Kernel {
  const C4 = padded(columns) / 4;
  const bindings = [read('masked', 'array<vec4u>'), read('dy'), write('dx')];
  const params = [u32('rows'), u32('masked')];
  return {
    name: `gather backward ${columns}`,
    bindings,
    params,
    workgroups: ({ rows }) => groupGrid(Math.ceil(rows! / height)),
    code: `
${declarations(bindings, params)}
@compute @workgroup_size(${lanes}, ${height})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let row = (${GROUP_INDEX}) * ${height}u + local.y;
  if (row >= params.rows) { return; }
  // The first of the list that is not below the row.
  var low = 0u;
  var high = params.masked;
  while (low < high) {
    let middle = (low + high) / 2u;
    if (masked[middle].x < row) { low = middle + 1u; } else { high = middle; }
  }
  var picked = false;
  if (low < params.masked) { picked = masked[low].x == row; }
  for (var i = local.x; i < ${C4}u; i += ${lanes}u) {
    var four = vec4f();
    if (picked) { four = dy[low * ${C4}u + i]; }
    dx[row * ${C4}u + i] = four;
  }
}`,
  };
}
