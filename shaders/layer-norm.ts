import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { declarations, f32, type Kernel, read, u32, write } from './kernel.ts';
import { normalise, type RowShape, rowIndex } from './norm.ts';

export interface LayerNormVariant {
  /** C, unpadded. */
  readonly columns: number;
  readonly residual: boolean;
}

/**
 * y[T, C] = LayerNorm(x[T, C] + residual[T, C]) * gamma[C] + beta[C]
 *
 * One workgroup computes `rows` rows, or one row with `lanes` invocations: see RowShape. Each invocation first writes its part of
 * x + residual to y, then normalises that part in place. It reads nothing of y that another invocation has written.
 *
 *   x, residual, y [T, C]    gamma, beta [C]      grid: T / rows
 */
export function layerNorm({ columns, residual }: LayerNormVariant, shape: RowShape): Kernel {
  const C4 = Math.ceil(columns / 4);
  const { lanes, rows: height } = shape;
  const bindings = [read('x'), ...(residual ? [read('residual')] : []), read('gamma'), read('beta'), write('y')];
  const params = [u32('rows'), f32('eps')];
  return {
    name: `layer-norm ${columns}${residual ? ' residual' : ''}`,
    bindings,
    params,
    workgroups: ({ rows }) => [Math.ceil(rows! / height), 1, 1],
    code: wgsl`
${declarations(bindings, params)}
${normalise(columns, shape)}

@compute @workgroup_size(${lanes}, ${height})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let row = ${rowIndex(shape)};
  if (row >= params.rows) { return; }
  for (var i = local.x; i < ${C4}u; i += ${lanes}u) {
    let at = row * ${C4}u + i;
#if ${residual}
    y[at] = x[at] + residual[at];
#else
    y[at] = x[at];
#endif
  }
  normalise(row, local.x);
}`,
  };
}
