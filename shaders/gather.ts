import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { declarations, type Kernel, read, u32, write } from './kernel.ts';
import { LANES } from './snippets.ts';

/**
 * y[i] = x[masked[i].x]: the rows of the tokens that a head is computed for. One workgroup copies one row.
 *
 *   masked [rows] = (token of the pass, 0, 0, 0)    x [T, C]    y [rows, C]      grid: rows
 */
export function gather({ columns }: { readonly columns: number }): Kernel {
  const C4 = Math.ceil(columns / 4);
  const bindings = [read('masked', 'array<vec4u>'), read('x'), write('y')];
  const params = [u32('rows')];
  return {
    name: `gather ${columns}`,
    bindings,
    params,
    workgroups: ({ rows }) => [rows!, 1, 1],
    code: wgsl`
${declarations(bindings, params)}
@compute @workgroup_size(${LANES})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
  if (group.x >= params.rows) { return; }
  let token = masked[group.x].x;
  for (var i = local.x; i < ${C4}u; i += ${LANES}u) { y[group.x * ${C4}u + i] = x[token * ${C4}u + i]; }
}`,
  };
}
