import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { type Caps, declarations, each, type Kernel } from './kernel.ts';
import { LINEAR_PARAMS, type LinearVariant, linearBody } from './linear.ts';
import { GROUP, scaleAt } from './matrix.ts';

/**
 * The tiling for real GPUs: a workgroup of 16 x Y invocations computes a tile of 4Y rows by 64 columns, each invocation
 * 4 x 4 outputs; steps of 16 along K pass through workgroup memory (8 KiB with Y = 16).
 *
 *   x [T, K]   weight [N, K]   bias [N]   residual, y [T, N]      grid: N / 64, T / (4Y)
 *
 * In workgroup memory the tiles stand [k4][line], and the four columns of one invocation stand 16 apart, so that
 * neighbouring invocations read neighbouring elements and no bank is hit twice.
 */
const WIDE = 16;
const COLUMNS = 4 * WIDE;

export function linearWorkgroup(variant: LinearVariant, caps: Caps): Kernel {
  const body = linearBody(variant, caps);
  const { name, K4, N4, stride, bindings, whole, sum, operand, product, loadX, loadWeight } = body;
  const step = whole ? 'u32' : 'vec4f';
  // 64 bytes of every line: of i8 a group.
  const STEP = whole ? GROUP : 4;
  const zero = whole ? '0u' : 'vec4f()';
  const high = caps.maxInvocations >= 256 ? 16 : 8;
  const ROWS = 4 * high;
  const invocations = WIDE * high;
  const rowOf = (i: string) => `min(first_row + ${i}, params.rows - 1u) * STRIDE`;
  const columnOf = (i: string) => `min(first_column + ${i}, N4 * 4u - 1u) * STRIDE`;
  /** Where in its tile a column stands. */
  const place = (column: string) => `(${column} % 4u) * ${WIDE}u + ${column} / 4u`;
  /** Fills a tile: every invocation some elements. */
  const fill = (tile: string, lines: number, from: (line: string) => string, at: string) => `
    for (var i = index; i < ${lines * STEP}u; i += ${invocations}u) {
      let line = i / ${STEP}u;
      let k4 = k + i % ${STEP}u;
      ${tile}[(i % ${STEP}u) * ${lines}u + ${at}] = select(${zero}, ${from('line')}, k4 < K4);
    }`;
  const element = `min(k4, K4 - 1u)${whole ? ' + group' : ''}`;
  const scale = (loaded: string) => `bitcast<f32>(${loaded})`;
  return {
    name: `${name} workgroup`,
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

@compute @workgroup_size(${WIDE}, ${high})
fn main(@builtin(workgroup_id) at: vec3u, @builtin(local_invocation_id) local: vec3u, @builtin(local_invocation_index) index: u32) {
  let first_row = at.y * ${ROWS}u;
  let first_column = at.x * ${COLUMNS}u;
${each(4, i => `  var sum${i} = vec4f();`)}
  for (var k = 0u; k < K4; k += ${STEP}u) {
#if ${whole}
    let group = k / ${GROUP}u;
    let scale_at = ${scaleAt(K4, 'group')};
    for (var i = index; i < ${ROWS}u; i += ${invocations}u) { x_scales[i] = ${scale(loadX(`${rowOf('i')} + scale_at`))}; }
    for (var i = index; i < ${COLUMNS}u; i += ${invocations}u) {
      w_scales[${place('i')}] = ${scale(loadWeight(`${columnOf('i')} + scale_at`))};
    }
${each(4, i => `    var whole${i} = ${sum}();`)}
#endif
${fill('x_tile', ROWS, line => loadX(`${rowOf(line)} + ${element}`), 'line')}
${fill('w_tile', COLUMNS, line => loadWeight(`${columnOf(line)} + ${element}`), place('line'))}
    workgroupBarrier();
    for (var s = 0u; s < ${STEP}u; s++) {
${each(4, i => `      let x${i} = ${operand(`x_tile[s * ${ROWS}u + local.y * 4u + ${i}u]`)};`)}
${each(4, j => `      let w${j} = ${operand(`w_tile[s * ${COLUMNS}u + ${j * WIDE}u + local.x]`)};`)}
${each(4, i => `      ${whole ? 'whole' : 'sum'}${i} += ${sum}(${[0, 1, 2, 3].map(j => product(`x${i}`, `w${j}`)).join(', ')});`)}
    }
#if ${whole}
    let scales = vec4f(${[0, 1, 2, 3].map(j => `w_scales[${j * WIDE}u + local.x]`).join(', ')});
${each(4, i => `    sum${i} += vec4f(whole${i}) * (x_scales[local.y * 4u + ${i}u] * scales);`)}
#endif
    workgroupBarrier();
  }
  let row = first_row + local.y * 4u;
  let column4 = first_column / 4u + local.x;
  if (column4 < N4) {
${each(4, i => `    if (row + ${i}u < params.rows) { store(row + ${i}u, column4, sum${i}); }`)}
  }
}`,
  };
}
