import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { declarations, type Kernel, padded, read, u32, write } from './kernel.ts';
import { flatGrid, flatRowsMain } from './snippets.ts';

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
${flatRowsMain(A4 + B4)}
  if (column < ${A4}u) {
    y[i] = a[row * ${A4}u + column];
  } else {
    y[i] = b[row * ${B4}u + column - ${A4}u];
  }
}`,
  };
}
