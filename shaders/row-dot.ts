import { declarations, type Kernel, padded, read, u32, write } from './kernel.ts';
import type { RowShape } from './norm.ts';
import { GROUP_INDEX, groupGrid, total } from './snippets.ts';

export interface RowDotVariant {
  /** C, unpadded. */
  readonly columns: number;
}

/**
 * y[R, 1] = a[r] . b[r]: the cosine of two rows of length 1. CosineSimilarityLoss of sentence-transformers is `squaredError` of it.
 *
 *   a, b [R, C]    y [R, 1], padded      grid: R / rows
 */
export function rowDot({ columns }: RowDotVariant, { lanes, rows: height }: RowShape): Kernel {
  const C4 = padded(columns) / 4;
  const bindings = [read('a'), read('b'), write('y')];
  const params = [u32('rows')];
  return {
    name: `row dot ${columns}`,
    bindings,
    params,
    workgroups: ({ rows }) => groupGrid(Math.ceil(rows! / height)),
    code: `
${declarations(bindings, params)}
${total(lanes)}

@compute @workgroup_size(${lanes}, ${height})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let row = ${lanes > 1 ? `${GROUP_INDEX}` : `(${GROUP_INDEX}) * ${height}u + local.y`};
  if (row >= params.rows) { return; }
  var sums = vec4f();
  for (var i = local.x; i < ${C4}u; i += ${lanes}u) { sums += a[row * ${C4}u + i] * b[row * ${C4}u + i]; }
  let sum = total(dot(sums, vec4f(1.0)), local.x);
  if (local.x == 0u) { y[row] = vec4f(sum, 0.0, 0.0, 0.0); }
}`,
  };
}

/**
 * The way back through rowDot: da[r] = dy[r] b[r], db[r] = dy[r] a[r].
 *
 *   a, b, da, db [R, C]    dy [R, 1], padded      params: rows      grid: R / rows
 */
export function rowDotBackward({ columns }: RowDotVariant, { lanes, rows: height }: RowShape): Kernel {
  const C4 = padded(columns) / 4;
  const bindings = [read('a'), read('b'), read('dy'), write('da'), write('db')];
  const params = [u32('rows')];
  return {
    name: `row dot backward ${columns}`,
    bindings,
    params,
    workgroups: ({ rows }) => groupGrid(Math.ceil(rows! / height)),
    code: `
${declarations(bindings, params)}
@compute @workgroup_size(${lanes}, ${height})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let row = (${GROUP_INDEX}) * ${height}u + local.y;
  if (row >= params.rows) { return; }
  let d = dy[row].x;
  for (var i = local.x; i < ${C4}u; i += ${lanes}u) {
    let at = row * ${C4}u + i;
    da[at] = d * b[at];
    db[at] = d * a[at];
  }
}`,
  };
}
