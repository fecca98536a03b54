import { declarations, type Kernel, padded, read, u32, write } from './kernel.ts';
import { type RowShape, rowGrid, rowMain, total } from './snippets.ts';

export interface RowDotVariant {
  /** C, unpadded. */
  readonly columns: number;
}

/**
 * y[r] = x[r] . x[R + r]: the cosine of two rows of length 1. CosineSimilarityLoss of sentence-transformers is `squaredError` of it.
 *
 *   x [2 R, C]    y [R, 1], padded      params: rows = R      grid: R / rows
 */
export function rowDot({ columns }: RowDotVariant, shape: RowShape): Kernel {
  const { lanes } = shape;
  const C4 = padded(columns) / 4;
  const bindings = [read('x'), write('y')];
  const params = [u32('rows')];
  return {
    name: `row dot ${columns}`,
    bindings,
    params,
    workgroups: ({ rows }) => rowGrid(rows!, shape),
    code: `
${declarations(bindings, params)}
${total(lanes)}

${rowMain(shape)}
  var sums = vec4f();
  for (var i = local.x; i < ${C4}u; i += ${lanes}u) { sums += x[row * ${C4}u + i] * x[(params.rows + row) * ${C4}u + i]; }
  let sum = total(dot(sums, vec4f(1.0)), local.x);
  if (local.x == 0u) { y[row] = vec4f(sum, 0.0, 0.0, 0.0); }
}`,
  };
}

/**
 * The way back through rowDot: dx[r] = dy[r] x[R + r], dx[R + r] = dy[r] x[r].
 *
 *   x, dx [2 R, C]    dy [R, 1], padded      params: rows = R      grid: R / rows
 */
export function rowDotBackward({ columns }: RowDotVariant, shape: RowShape): Kernel {
  const { lanes } = shape;
  const C4 = padded(columns) / 4;
  const bindings = [read('x'), read('dy'), write('dx')];
  const params = [u32('rows')];
  return {
    name: `row dot backward ${columns}`,
    bindings,
    params,
    workgroups: ({ rows }) => rowGrid(rows!, shape),
    code: `
${declarations(bindings, params)}
${rowMain(shape)}
  let d = dy[row].x;
  for (var i = local.x; i < ${C4}u; i += ${lanes}u) {
    let first = row * ${C4}u + i;
    let second = first + params.rows * ${C4}u;
    dx[first] = d * x[second];
    dx[second] = d * x[first];
  }
}`,
  };
}
