import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { declarations, type Kernel, read, u32, write } from './kernel.ts';
import { rowIndex } from './norm.ts';
import type { RowShape } from './snippets.ts';

export interface WeighVariant {
  /** C, unpadded. */
  readonly columns: number;
  /** How many factors there are. */
  readonly count: number;
  /** Whether there is a sum to add to. */
  readonly sum: boolean;
}

/**
 * y[R, C] = sum[R, C] + x[R, C] factors[index] / (the sum of all factors): one term of a weighted mean, whose terms come one after the
 * other, so that a mean of any number of values needs no more bindings than one of two. Factors that add up to 0 give no finite number.
 *
 *   x, sum, y [R, C]    factors [count]      grid: R / rows
 */
export function weigh({ columns, count, sum }: WeighVariant, shape: RowShape): Kernel {
  const C4 = Math.ceil(columns / 4);
  const { lanes, rows: height } = shape;
  const bindings = [read('x'), ...(sum ? [read('sum')] : []), read('factors'), write('y')];
  const params = [u32('rows'), u32('index')];
  return {
    name: `weigh ${columns}, ${count}${sum ? ', sum' : ''}`,
    bindings,
    params,
    workgroups: ({ rows }) => [Math.ceil(rows! / height), 1, 1],
    code: wgsl`
${declarations(bindings, params)}

@compute @workgroup_size(${lanes}, ${height})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let row = ${rowIndex(shape)};
  if (row >= params.rows) { return; }
  var total = 0.0;
  for (var i = 0u; i < ${count}u; i++) { total += factors[i / 4u][i % 4u]; }
  let factor = factors[params.index / 4u][params.index % 4u] / total;
  let at = row * ${C4}u;
  for (var i = local.x; i < ${C4}u; i += ${lanes}u) { y[at + i] = ${sum ? 'sum[at + i] + ' : ''}x[at + i] * factor; }
}`,
  };
}
