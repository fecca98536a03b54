import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { declarations, type Kernel, type Target } from './kernel.ts';
import { LINEAR_PARAMS, type LinearVariant, linearBody } from './linear.ts';
import { GROUP, scaleAt } from './matrix.ts';
import { unrolled } from './snippets.ts';
import { tilingLabel, type WorkgroupTiling } from './tiling.ts';

/**
 * A linear (see linear.ts) whose operands pass through workgroup memory. One workgroup computes rows * down by columns * lanes outputs:
 * each invocation a tile of rows x columns, whose sums are in registers.
 *
 *   x [T, K]   weight [N, K]   bias [N]   gate, residual, y [T, N]      grid: N / (columns * lanes), T / (rows * down)
 *
 * Why this tiling: on a GPU a barrier is cheap, and every number that is loaded serves all rows or columns of the tile. A step along K
 * takes 16 numbers of every row and column (of i8, a group of 64): 64 bytes each, 8 KiB for 64 x 64 outputs.
 *
 * In workgroup memory a tile is [k4][row or column]. The columns are permuted so that neighbouring invocations read neighbouring elements
 * and no memory bank is read twice at once. The products of an output are added as in linear-register.ts: one dot product for each four
 * k, in their order.
 */
export function linearWorkgroup(variant: LinearVariant, tiling: WorkgroupTiling, target: Target): Kernel {
  const body = linearBody(variant, target);
  const { name, K4, N4, stride, bindings, whole, sum, operand, product, loadX, loadWeight } = body;
  const { rows, columns, lanes, down } = tiling;
  const step = whole ? 'u32' : 'vec4f';
  /** Elements of a row in one step along K: 64 bytes. */
  const STEP = whole ? GROUP : 4;
  const zero = whole ? '0u' : 'vec4f()';
  const ROWS = rows * down;
  const COLUMNS = columns * lanes;
  const invocations = lanes * down;
  /** The place in the tile of column q of the j-th four of an invocation. */
  const columnAt = (j: number, q: number) => `${(q * COLUMNS) / 4 + j * lanes}u + local.x`;
  const rowAt = (i: number) => `local.y * ${rows}u + ${i}u`;
  const perFour = (text: (j: number) => string) => unrolled(columns / 4, text);
  const perSum = (text: (i: number, j: number) => string) => perFour(j => unrolled(rows, i => text(i, j)));
  const four = (text: (q: number) => string) => [0, 1, 2, 3].map(text).join(', ');
  const rowOf = (i: string) => `min(first_row + ${i}, params.rows - 1u) * STRIDE`;
  const columnOf = (i: string) => `min(first_column + ${i}, N4 * 4u - 1u) * STRIDE`;
  /** The place in the tile of a column. */
  const place = (column: string) => `(${column} % 4u) * ${COLUMNS / 4}u + ${column} / 4u`;
  /** Fills a tile of `lines` rows or columns; every invocation loads some of the elements. */
  const fill = (tile: string, lines: number, from: (line: string) => string, at: string) => `
    for (var i = index; i < ${lines * STEP}u; i += ${invocations}u) {
      let line = i / ${STEP}u;
      let k4 = k + i % ${STEP}u;
      ${tile}[(i % ${STEP}u) * ${lines}u + ${at}] = select(${zero}, ${from('line')}, k4 < K4);
    }`;
  const element = `min(k4, K4 - 1u)${whole ? ' + group' : ''}`;
  const scale = (loaded: string) => `bitcast<f32>(${loaded})`;
  return {
    name: `${name} ${tilingLabel(tiling)}`,
    bindings,
    params: LINEAR_PARAMS,
    workgroups: ({ rows, n4 }) => [Math.ceil((n4! * 4) / COLUMNS), Math.ceil(rows! / ROWS), 1],
    code: wgsl`
${body.enables}
${declarations(bindings, LINEAR_PARAMS)}
const K4 = ${K4};
const STRIDE = ${stride};
const N4 = ${N4};
var<workgroup> x_tile: array<${step}, ${ROWS * STEP}>;
var<workgroup> w_tile: array<${step}, ${COLUMNS * STEP}>;
#if ${whole}
var<workgroup> x_scales: array<f32, ${ROWS}>;
var<workgroup> w_scales: array<f32, ${COLUMNS}>;
#endif
${body.epilogue}

@compute @workgroup_size(${lanes}, ${down})
fn main(@builtin(workgroup_id) at: vec3u, @builtin(local_invocation_id) local: vec3u, @builtin(local_invocation_index) index: u32) {
  let first_row = (at.y + params.first_y) * ${ROWS}u;
  let first_column = (at.x + params.first_x) * ${COLUMNS}u;
${perSum((i, j) => `  var sum${i}_${j} = vec4f();`)}
  for (var k = 0u; k < K4; k += ${STEP}u) {
#if ${whole}
    let group = k / ${GROUP}u;
    let scale_at = ${scaleAt(K4, 'group')};
    for (var i = index; i < ${ROWS}u; i += ${invocations}u) { x_scales[i] = ${scale(loadX(`${rowOf('i')} + scale_at`))}; }
    for (var i = index; i < ${COLUMNS}u; i += ${invocations}u) {
      w_scales[${place('i')}] = ${scale(loadWeight(`${columnOf('i')} + scale_at`))};
    }
${perSum((i, j) => `    var whole${i}_${j} = ${sum}();`)}
#endif
${fill('x_tile', ROWS, line => loadX(`${rowOf(line)} + ${element}`), 'line')}
${fill('w_tile', COLUMNS, line => loadWeight(`${columnOf(line)} + ${element}`), place('line'))}
    workgroupBarrier();
    for (var s = 0u; s < ${STEP}u; s++) {
${unrolled(rows, i => `      let x${i} = ${operand(`x_tile[s * ${ROWS}u + ${rowAt(i)}]`)};`)}
${perFour(
  j => `${unrolled(4, q => `      let w${j}_${q} = ${operand(`w_tile[s * ${COLUMNS}u + ${columnAt(j, q)}]`)};`)}
${unrolled(rows, i => `      ${whole ? 'whole' : 'sum'}${i}_${j} += ${sum}(${four(q => product(`x${i}`, `w${j}_${q}`))});`)}`,
)}
    }
#if ${whole}
${perFour(j => `    let scales${j} = vec4f(${four(q => `w_scales[${columnAt(j, q)}]`)});`)}
${perSum((i, j) => `    sum${i}_${j} += vec4f(whole${i}_${j}) * (x_scales[${rowAt(i)}] * scales${j});`)}
#endif
    workgroupBarrier();
  }
  let row = first_row + local.y * ${rows}u;
${perFour(
  j => `  let column${j} = first_column / 4u + ${j * lanes}u + local.x;
  if (column${j} < N4) {
${unrolled(rows, i => `    if (row + ${i}u < params.rows) { store(row + ${i}u, column${j}, sum${i}_${j}); }`)}
  }`,
)}
}`,
  };
}
