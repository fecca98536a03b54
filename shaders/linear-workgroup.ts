import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { type Caps, declarations, each, type Kernel } from './kernel.ts';
import { LINEAR_PARAMS, type LinearVariant, linearBody } from './linear.ts';

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
const STEP4 = 4;

export function linearWorkgroup(variant: LinearVariant, caps: Caps): Kernel {
  const body = linearBody(variant, caps);
  const { name, K4, N4, stride, bindings, step, sum, product, loadX, loadWeight } = body;
  const zero = step === 'u32' ? '0u' : 'vec4f()';
  const high = caps.maxInvocations >= 256 ? 16 : 8;
  const ROWS = 4 * high;
  const invocations = WIDE * high;
  return {
    name: `${name} workgroup`,
    bindings,
    params: LINEAR_PARAMS,
    workgroups: ({ rows }) => [Math.ceil((N4 * 4) / COLUMNS), Math.ceil(rows! / ROWS), 1],
    code: wgsl`
${body.enables}
${declarations(bindings, LINEAR_PARAMS)}
const K4 = ${K4}u;
const STRIDE = ${stride}u;
const N4 = ${N4}u;
var<workgroup> x_tile: array<${step}, ${ROWS * STEP4}>;
var<workgroup> w_tile: array<${step}, ${COLUMNS * STEP4}>;
${body.epilogue}

@compute @workgroup_size(${WIDE}, ${high})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u, @builtin(local_invocation_index) index: u32) {
  let first_row = group.y * ${ROWS}u;
  let first_column = group.x * ${COLUMNS}u;
${each(4, i => `  var sum${i} = ${sum}();`)}
  for (var k = 0u; k < K4; k += ${STEP4}u) {
    for (var i = index; i < ${ROWS * STEP4}u; i += ${invocations}u) {
      let row = min(first_row + i / ${STEP4}u, params.rows - 1u);
      let at = k + i % ${STEP4}u;
      x_tile[(i % ${STEP4}u) * ${ROWS}u + i / ${STEP4}u] = select(${zero}, ${loadX('row * STRIDE + min(at, K4 - 1u)')}, at < K4);
    }
    for (var i = index; i < ${COLUMNS * STEP4}u; i += ${invocations}u) {
      let column = i / ${STEP4}u;
      let line = min(first_column + column, N4 * 4u - 1u);
      let at = k + i % ${STEP4}u;
      w_tile[(i % ${STEP4}u) * ${COLUMNS}u + (column % 4u) * ${WIDE}u + column / 4u] =
        select(${zero}, ${loadWeight('line * STRIDE + min(at, K4 - 1u)')}, at < K4);
    }
    workgroupBarrier();
    for (var s = 0u; s < ${STEP4}u; s++) {
${each(4, i => `      let x${i} = x_tile[s * ${ROWS}u + local.y * 4u + ${i}u];`)}
${each(4, j => `      let w${j} = w_tile[s * ${COLUMNS}u + ${j * WIDE}u + local.x];`)}
${each(4, i => `      sum${i} += ${sum}(${[0, 1, 2, 3].map(j => product(`x${i}`, `w${j}`)).join(', ')});`)}
    }
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
