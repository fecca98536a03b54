import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { declarations, f32, type Kernel, read, u32, write } from './kernel.ts';
import { rowIndex } from './norm.ts';
import { FINITE_OR_NAN, type RowShape, total } from './snippets.ts';

export interface L2NormVariant {
  /** C, unpadded. */
  readonly columns: number;
}

/**
 * y[R, C] = x[R, C] / max(|x|, floor), where |x| is the length of each row: torch.nn.functional.normalize with floor 1e-12.
 *
 * One workgroup computes `rows` rows, or one row with `lanes` invocations: see RowShape. The padding of x is zero, so it adds nothing to
 * the length and stays zero. A length that overflows gives NaN, not a row of zeros.
 *
 *   x, y [R, C]      grid: R / rows
 */
export function l2Norm({ columns }: L2NormVariant, shape: RowShape): Kernel {
  const C4 = Math.ceil(columns / 4);
  const { lanes, rows: height } = shape;
  const bindings = [read('x'), write('y')];
  const params = [u32('rows'), f32('floor')];
  return {
    name: `l2-norm ${columns}`,
    bindings,
    params,
    workgroups: ({ rows }) => [Math.ceil(rows! / height), 1, 1],
    code: wgsl`
${declarations(bindings, params)}
${total(lanes)}
${FINITE_OR_NAN}

@compute @workgroup_size(${lanes}, ${height})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let row = ${rowIndex(shape)};
  if (row >= params.rows) { return; }
  let at = row * ${C4}u;
  var squares = 0.0;
  for (var i = local.x; i < ${C4}u; i += ${lanes}u) { squares += dot(x[at + i], x[at + i]); }
  let scale = 1.0 / finite_or_nan(max(sqrt(total(squares, local.x)), params.floor));
  for (var i = local.x; i < ${C4}u; i += ${lanes}u) { y[at + i] = x[at + i] * scale; }
}`,
  };
}
