import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { declarations, type Kernel, read, u32, write } from './kernel.ts';
import { epsParams, type NormVariant, normalise, normLabel, rowIndex } from './norm.ts';
import type { RowShape } from './snippets.ts';

export interface RowNormVariant {
  /** C, unpadded. */
  readonly columns: number;
  readonly norm: NormVariant;
  readonly residual: boolean;
  readonly addend: boolean;
}

/**
 * y[R, C] = norm(x[R, C] + residual[R, C]) + addend[R, C], where norm multiplies by gamma[C] and adds beta[C]: see NormKind.
 *
 * One workgroup computes `rows` rows, or one row with `lanes` invocations: see RowShape. Where there is a residual, each invocation first
 * writes its part of x + residual to y, then normalises that part in place. It reads nothing of y that another invocation has written.
 *
 *   x, residual, addend, y [R, C]    gamma, beta [C]      grid: R / rows
 */
export function rowNorm({ columns, norm, residual, addend }: RowNormVariant, shape: RowShape): Kernel {
  const C4 = Math.ceil(columns / 4);
  const { lanes, rows: height } = shape;
  const bindings = [
    read('x'),
    ...(residual ? [read('residual')] : []),
    read('gamma'),
    ...(norm.beta ? [read('beta')] : []),
    ...(addend ? [read('addend')] : []),
    write('y'),
  ];
  const params = [u32('rows'), ...epsParams(norm)];
  return {
    name: `row-norm ${columns} ${normLabel(norm)}${residual ? ' residual' : ''}${addend ? ' addend' : ''}`,
    bindings,
    params,
    workgroups: ({ rows }) => [Math.ceil(rows! / height), 1, 1],
    code: wgsl`
${declarations(bindings, params)}
${normalise(norm, columns, shape, { addend, from: residual ? 'y' : 'x' })}

@compute @workgroup_size(${lanes}, ${height})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let row = ${rowIndex(shape)};
  if (row >= params.rows) { return; }
#if ${residual}
  for (var i = local.x; i < ${C4}u; i += ${lanes}u) {
    let at = row * ${C4}u + i;
    y[at] = x[at] + residual[at];
  }
#endif
  normalise(row, local.x);
}`,
  };
}
