import { declarations, type Kernel, padded, read, u32, write } from './kernel.ts';
import { type RowShape, rowGrid, rowMain } from './snippets.ts';

/**
 * The way back through gather.ts: dx[masked[i].x] = dy[i], and 0 in all other rows.
 *
 *   masked [masked] = (token of the pass, 0, 0, 0)    dy [masked, C]    dx [T, C]      params: rows = T, masked      grid: T / rows
 *
 * The tokens of `masked` ascend, each once, as packBatch lists them where the picks of every sequence ascend: a row of dx looks for its
 * token by halves, so dx is written whole and once, and nothing must be cleared before.
 */
export function gatherBackward({ columns }: { readonly columns: number }, shape: RowShape): Kernel {
  const { lanes } = shape;
  const C4 = padded(columns) / 4;
  const bindings = [read('masked', 'array<vec4u>'), read('dy'), write('dx')];
  const params = [u32('rows'), u32('masked')];
  return {
    name: `gather backward ${columns}`,
    bindings,
    params,
    workgroups: ({ rows }) => rowGrid(rows!, shape),
    code: `
${declarations(bindings, params)}
${rowMain(shape)}
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
