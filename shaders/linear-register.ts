import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { type Caps, declarations, each, type Kernel } from './kernel.ts';
import { LINEAR_PARAMS, type LinearVariant, linearBody } from './linear.ts';

/** A tile: one invocation computes `rows` x `columns` outputs; `lanes` invocations stand side by side along N. */
export interface RegisterTile {
  readonly rows: number;
  readonly columns: number;
  readonly lanes: number;
}

/**
 * The tiling for software adapters: one invocation computes a tile of outputs in registers, and nothing passes through workgroup
 * memory, so there is no barrier. There a load costs as much as 10 to 20 multiply-adds and a barrier far more: with a tile of
 * 16 x 16, 32 loads of vec4f feed 1,024 multiply-adds.
 *
 *   x [T, K]   weight [N, K]   bias [N]   residual, y [T, N]      grid: N / (columns * lanes), T / rows
 *
 * Where the lanes of a workgroup are one subgroup, each loads a part of the rows of x and broadcasts it: 20 loads instead of 32.
 * Rows and columns past the end are read at the last valid one and not stored.
 */
export function linearRegister(variant: LinearVariant, tile: RegisterTile, caps: Caps): Kernel {
  const body = linearBody(variant, caps);
  const { name, K4, N4, stride, bindings, sum, product, loadX, loadWeight } = body;
  const { rows: ROWS, columns: COLUMNS, lanes: LANES } = tile;
  const across = Math.ceil((N4 * 4) / (COLUMNS * LANES));
  const exact = N4 * 4 === across * COLUMNS * LANES;
  const shared = caps.subgroup === LANES && ROWS % LANES === 0;
  /** Rows of x that an invocation loads. */
  const own = shared ? ROWS / LANES : ROWS;
  const rowOf = (i: number) => (shared ? `row + ${i * LANES}u + lane` : `row + ${i}u`);
  return {
    name: `${name} register ${ROWS}x${COLUMNS}x${LANES}${shared ? ' subgroup' : ''}`,
    bindings,
    params: LINEAR_PARAMS,
    workgroups: ({ rows }) => [across, Math.ceil(rows! / ROWS), 1],
    code: wgsl`
#if ${shared}
enable subgroups;
#endif
${body.enables}
${declarations(bindings, LINEAR_PARAMS)}
const K4 = ${K4}u;
const STRIDE = ${stride}u;
const N = ${N4 * 4}u;
${body.epilogue}

@compute @workgroup_size(${LANES})
fn main(@builtin(global_invocation_id) id: vec3u${shared ? ', @builtin(subgroup_invocation_id) lane: u32' : ''}) {
  let row = id.y * ${ROWS}u;
  let column = id.x * ${COLUMNS}u;
  let last = params.rows - 1u;
${each(own, i => `  let x${i}_at = min(${rowOf(i)}, last) * STRIDE;`)}
${each(COLUMNS, j => `  let w${j}_at = ${exact ? `(column + ${j}u)` : `min(column + ${j}u, N - 1u)`} * STRIDE;`)}
${each(ROWS, i => each(COLUMNS / 4, j => `  var sum${i}_${j} = ${sum}();`))}
  for (var k = 0u; k < K4; k++) {
#if ${shared}
${each(own, i => `    let part${i} = ${loadX(`x${i}_at + k`)};`)}
${each(ROWS, i => `    let x${i} = subgroupBroadcast(part${Math.floor(i / LANES)}, ${i % LANES}u);`)}
#else
${each(ROWS, i => `    let x${i} = ${loadX(`x${i}_at + k`)};`)}
#endif
${each(
  COLUMNS / 4,
  j => `${each(4, q => `    let w${4 * j + q} = ${loadWeight(`w${4 * j + q}_at + k`)};`)}
${each(ROWS, i => `    sum${i}_${j} += ${sum}(${[0, 1, 2, 3].map(q => product(`x${i}`, `w${4 * j + q}`)).join(', ')});`)}`,
)}
  }
  // Through an array, so that the epilogue stands in the program once and not ${(ROWS * COLUMNS) / 4} times: compilers inline it.
  var sums = array<${sum}, ${(ROWS * COLUMNS) / 4}>(${Array.from({ length: (ROWS * COLUMNS) / 4 }, (_, i) => `sum${Math.floor(i / (COLUMNS / 4))}_${i % (COLUMNS / 4)}`).join(', ')});
  for (var i = 0u; i < ${ROWS}u && row + i < params.rows; i++) {
    for (var j = 0u; j < ${COLUMNS / 4}u && column + 4u * j < N; j++) {
      store(row + i, column / 4u + j, sums[i * ${COLUMNS / 4}u + j]);
    }
  }
}`,
  };
}
