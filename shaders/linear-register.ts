import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { declarations, type Kernel, type Target } from './kernel.ts';
import { type LinearVariant, linearBody } from './linear.ts';
import { GROUP, scaleAt } from './matrix.ts';
import { unrolled } from './snippets.ts';
import { type RegisterTiling, tilingLabel } from './tiling.ts';

/**
 * A linear (see linear.ts) without workgroup memory. One workgroup computes `rows` rows by columns * lanes outputs: each invocation a tile
 * of rows x columns, in registers.
 *
 *   x [T, K]   weight [N, K]   bias [N]   gate, residual, y [T, N]      grid: N / (columns * lanes), T / rows
 *
 * Why this tiling: on a software adapter a load costs as much as 10 to 20 multiply-adds and a barrier far more. With a tile of 16 x 16
 * one step along K has 32 loads of vec4f for 1,024 multiply-adds, and no barrier. Where the lanes of a workgroup are one subgroup, each
 * loads a part of the rows of x and broadcasts it: 20 loads instead of 32.
 *
 * Rows and columns beyond the matrix are read at its last one and not stored.
 */
export function linearRegister(variant: LinearVariant, tiling: RegisterTiling, target: Target): Kernel {
  const body = linearBody(variant, target);
  const { name, K4, N4, from4, end4, yAt, stride, bindings, params, whole, sum, operand, product, loadX, loadWeight } =
    body;
  const { rows: ROWS, columns: COLUMNS, lanes: LANES } = tiling;
  const shared = target.subgroup === LANES && ROWS % LANES === 0;
  /** Rows of x that one invocation loads. */
  const loaded = shared ? ROWS / LANES : ROWS;
  /** Row i of those. */
  const rowOf = (i: number) => (shared ? `row + ${i * LANES}u + lane` : `row + ${i}u`);
  const perSum = (text: (i: number, j: number) => string) =>
    unrolled(ROWS, i => unrolled(COLUMNS / 4, j => text(i, j)));
  /** Declares x0, x1, …: element `at` of every row of the tile. */
  const loadRows = (name: string, at: string, as = (element: string) => element) =>
    shared
      ? `${unrolled(loaded, i => `let ${name}_part${i} = ${as(loadX(`x${i}_at + ${at}`))};`)}
${unrolled(ROWS, i => `let ${name}${i} = subgroupBroadcast(${name}_part${Math.floor(i / LANES)}, ${i % LANES}u);`)}`
      : unrolled(ROWS, i => `let ${name}${i} = ${as(loadX(`x${i}_at + ${at}`))};`);
  const scale = (element: string) => `bitcast<f32>(${element})`;
  /** One step along K: adds the products of element k of every row and column to `into`{row}_{column / 4}. */
  const step = (into: string) => `${loadRows('x', 'k', operand)}
${unrolled(
  COLUMNS / 4,
  j => `${unrolled(4, q => `let w${4 * j + q} = ${operand(loadWeight(`w${4 * j + q}_at + k`))};`)}
${unrolled(ROWS, i => `${into}${i}_${j} += ${sum}(${[0, 1, 2, 3].map(q => product(`x${i}`, `w${4 * j + q}`)).join(', ')});`)}`,
)}`;
  return {
    name: `${name} ${tilingLabel(tiling)}${shared ? ' subgroup' : ''}`,
    bindings,
    params,
    workgroups: values => [Math.ceil((body.width4(values) * 4) / (COLUMNS * LANES)), Math.ceil(values.rows! / ROWS), 1],
    // It stores the raw sums, then applies the epilogue in a loop over them: a program with one copy of it instead of one for each vec4f compiles
    // faster.
    code: wgsl`
#if ${shared}
enable subgroups;
#endif
${body.enables}
${declarations(bindings, params)}
${body.epilogue}

@compute @workgroup_size(${LANES})
fn main(@builtin(global_invocation_id) id: vec3u${shared ? ', @builtin(subgroup_invocation_id) lane: u32' : ''}) {
  let K4 = ${K4};
  let N4 = ${N4};
  let stride = ${stride};
  let row = (id.y + params.first_y) * ${ROWS}u;
  let column = (id.x + params.first_x * ${LANES}u) * ${COLUMNS}u${from4 && ` + 4u * ${from4}`};
  let last = params.rows - 1u;
${unrolled(loaded, i => `  let x${i}_at = min(${rowOf(i)}, last) * stride;`)}
${unrolled(COLUMNS, j => `  let w${j}_at = min(column + ${j}u, N4 * 4u - 1u) * stride;`)}
${perSum((i, j) => `  var sum${i}_${j} = vec4f();`)}
#if ${whole}
  for (var group = 0u; group < (K4 + ${GROUP - 1}u) / ${GROUP}u; group++) {
    let scale_at = ${scaleAt('K4', 'group')};
${perSum((i, j) => `    var whole${i}_${j} = ${sum}();`)}
    for (var k = group * ${GROUP + 1}u; k < scale_at; k++) {
${step('whole')}
    }
${loadRows('scale', 'scale_at', scale)}
${unrolled(COLUMNS / 4, j => `    let scales${j} = vec4f(${[0, 1, 2, 3].map(q => scale(loadWeight(`w${4 * j + q}_at + scale_at`))).join(', ')});`)}
${perSum((i, j) => `    sum${i}_${j} += vec4f(whole${i}_${j}) * (scale${i} * scales${j});`)}
  }
#else
  for (var k = 0u; k < K4; k++) {
${step('sum')}
  }
#endif
${unrolled(
  ROWS,
  i => `  if (row + ${i}u < params.rows) {
${unrolled(COLUMNS / 4, j => `    if (column + ${4 * j}u < ${end4} * 4u) { y[${yAt(`(row + ${i}u)`, `column / 4u + ${j}u`, 'N4')}] = sum${i}_${j}; }`)}
  }`,
)}
  let count = min(${ROWS}u, params.rows - row) * ${COLUMNS / 4}u;
  for (var i = 0u; i < count; i++) {
    let column4 = column / 4u + i % ${COLUMNS / 4}u;
    let at = row + i / ${COLUMNS / 4}u;
    if (column4 < ${end4}) { store(at, column4, y[${yAt('at', 'column4', 'N4')}]); }
  }
}`,
  };
}
