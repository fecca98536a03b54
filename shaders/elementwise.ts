import { declarations, f32, type Kernel, padded, read, u32, write } from './kernel.ts';
import { columnsAt, flatGrid, flatMain, flatRowsMain, unrolled } from './snippets.ts';

/**
 * y = a + b: the gradient of a value that two ops read.
 *
 *   a, b, y of any shape      params: count, the vec4f of y      grid: flat, one invocation for each
 */
export function add(): Kernel {
  const bindings = [read('a'), read('b'), write('y')];
  const params = [u32('count')];
  return {
    name: 'add',
    bindings,
    params,
    workgroups: ({ count }) => flatGrid(count!),
    code: `
${declarations(bindings, params)}
${flatMain('params.count')}
  y[i] = a[i] + b[i];
}`,
  };
}

/**
 * y = factor x
 *
 *   x, y of any shape      params: count, the vec4f of y; factor      grid: flat, one invocation for each
 */
export function scale(): Kernel {
  const bindings = [read('x'), write('y')];
  const params = [u32('count'), f32('factor')];
  return {
    name: 'scale',
    bindings,
    params,
    workgroups: ({ count }) => flatGrid(count!),
    code: `
${declarations(bindings, params)}
${flatMain('params.count')}
  y[i] = params.factor * x[i];
}`,
  };
}

export interface ColumnsOfVariant {
  /** C, the columns of x. */
  readonly columns: number;
  readonly first: number;
  /** N, the columns of y. */
  readonly count: number;
}

/**
 * y[R, N] = x[R, first .. first + N]: the way back through join.ts, once for each operand. Vec4f where `first` is a multiple of four, as
 * there, else number by number.
 *
 *   x [R, C]    y [R, N]      params: rows      grid: flat, one invocation for four numbers of y
 */
export function columnsOf({ columns, first, count }: ColumnsOfVariant): Kernel {
  if (first + count > columns) throw new Error(`columns ${first} to ${first + count} of ${columns}`);
  const C4 = padded(columns) / 4;
  const N4 = padded(count) / 4;
  const bindings = [read('x'), write('y')];
  const params = [u32('rows')];
  const inRow = (text: string) =>
    count % 4 === 0 ? text : `select(vec4f(), ${text}, ${columnsAt('column')} < vec4u(${count}u))`;
  return {
    name: `columns ${first} to ${first + count} of ${columns}`,
    bindings,
    params,
    workgroups: ({ rows }) => flatGrid(rows! * N4),
    code: `
${declarations(bindings, params)}
${flatRowsMain(N4)}
  let at = row * ${4 * C4}u + ${first}u + 4u * column;
${
  first % 4 === 0
    ? '  let four = x[at / 4u];'
    : `  // Beyond the row is what the mask below takes off.
  var four = vec4f();
${unrolled(4, q => `  if (4u * column + ${q}u < ${count}u) { four[${q}] = x[(at + ${q}u) / 4u][(at + ${q}u) % 4u]; }`)}`
}
  y[i] = ${inRow('four')};
}`,
  };
}

export interface ColumnsBackwardVariant extends ColumnsOfVariant {
  /** Whether a residual is added. */
  readonly residual: boolean;
}

/**
 * The way back through columnsOf: dx[R, C] = dy[R, N] in the columns first .. first + N, 0 in the others, + residual. `first` is a multiple of
 * four.
 *
 *   dy [R, N]    residual, dx [R, C]      params: rows      grid: flat, one invocation for four numbers of dx
 */
export function columnsBackward({ columns, first, count, residual }: ColumnsBackwardVariant): Kernel {
  if (first % 4 !== 0 || first + count > columns) throw new Error(`columns ${first} to ${first + count} of ${columns}`);
  const C4 = padded(columns) / 4;
  const N4 = padded(count) / 4;
  const bindings = [read('dy'), ...(residual ? [read('residual')] : []), write('dx')];
  const params = [u32('rows')];
  return {
    name: `columns ${first} to ${first + count} of ${columns} backward${residual ? ' + residual' : ''}`,
    bindings,
    params,
    workgroups: ({ rows }) => flatGrid(rows! * C4),
    code: `
${declarations(bindings, params)}
${flatRowsMain(C4)}
  var four = ${residual ? 'residual[i]' : 'vec4f()'};
  if (column >= ${first / 4}u && column < ${first / 4 + N4}u) { four += dy[row * ${N4}u + column - ${first / 4}u]; }
  dx[i] = four;
}`,
  };
}
