import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { declarations, type Kernel, padded, read, u32, write } from './kernel.ts';
import { FLAT_INDEX, FLAT_LANES, flatGrid } from './snippets.ts';

export interface JoinVariant {
  /** Columns of the left operand, a multiple of four. */
  readonly left: number;
  /** Columns of the right operand. */
  readonly right: number;
}

/**
 * y[R, A + B] = the rows of a[R, A] and of b[R, B] side by side.
 *
 *   a [R, A]    b [R, B]    y [R, A + B]      grid: flat, one invocation for four numbers
 */
export function join({ left, right }: JoinVariant): Kernel {
  const A4 = left / 4;
  const B4 = padded(right) / 4;
  const bindings = [read('a'), read('b'), write('y')];
  const params = [u32('rows')];
  return {
    name: `join ${left}+${right}`,
    bindings,
    params,
    workgroups: ({ rows }) => flatGrid(rows! * (A4 + B4)),
    code: wgsl`
${declarations(bindings, params)}
@compute @workgroup_size(${FLAT_LANES})
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = ${FLAT_INDEX};
  let row = i / ${A4 + B4}u;
  let column = i % ${A4 + B4}u;
  if (row >= params.rows) { return; }
  if (column < ${A4}u) {
    y[i] = a[row * ${A4}u + column];
  } else {
    y[i] = b[row * ${B4}u + column - ${A4}u];
  }
}`,
  };
}
