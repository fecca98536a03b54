import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { declarations, each, type Kernel } from './kernel.ts';
import { LINEAR_PARAMS, type LinearVariant, linearBody } from './linear.ts';

/** A tile: one invocation computes `rows` x `columns` outputs; `lanes` invocations stand side by side along N. */
export interface RegisterTile {
  readonly rows: number;
  readonly columns: number;
  readonly lanes: number;
}

/**
 * The tiling for software adapters: one invocation computes a tile of outputs in registers, and nothing is shared, so there is
 * no barrier. There a load costs as much as 10 to 20 multiply-adds and a barrier far more: with a tile of 16 x 16, 32 loads of
 * vec4f feed 1,024 multiply-adds.
 *
 *   x [T, K]   weight [N, K]   bias [N]   residual, y [T, N]      grid: N / (columns * lanes), T / rows
 *
 * Rows and columns past the end are read at the last valid one and not stored.
 */
export function linearRegister(variant: LinearVariant, tile: RegisterTile): Kernel {
  const { name, K4, N4, bindings, epilogue } = linearBody(variant);
  const { rows: ROWS, columns: COLUMNS, lanes: LANES } = tile;
  const across = Math.ceil((N4 * 4) / (COLUMNS * LANES));
  const exact = N4 * 4 === across * COLUMNS * LANES;
  return {
    name: `${name} register ${ROWS}x${COLUMNS}x${LANES}`,
    bindings,
    params: LINEAR_PARAMS,
    workgroups: ({ rows }) => [across, Math.ceil(rows! / ROWS), 1],
    code: wgsl`
${declarations(bindings, LINEAR_PARAMS)}
const K4 = ${K4}u;
const N = ${N4 * 4}u;
${epilogue}

@compute @workgroup_size(${LANES})
fn main(@builtin(global_invocation_id) id: vec3u) {
  let row = id.y * ${ROWS}u;
  let column = id.x * ${COLUMNS}u;
  let last = params.rows - 1u;
${each(ROWS, i => `  let x${i}_at = min(row + ${i}u, last) * K4;`)}
${each(COLUMNS, j => `  let w${j}_at = ${exact ? `(column + ${j}u)` : `min(column + ${j}u, N - 1u)`} * K4;`)}
${each(ROWS, i => each(COLUMNS / 4, j => `  var sum${i}_${j} = vec4f();`))}
  for (var k = 0u; k < K4; k++) {
${each(ROWS, i => `    let x${i} = x[x${i}_at + k];`)}
${each(
  COLUMNS / 4,
  j => `${each(4, q => `    let w${4 * j + q} = weight[w${4 * j + q}_at + k];`)}
${each(ROWS, i => `    sum${i}_${j} += vec4f(${[0, 1, 2, 3].map(q => `dot(x${i}, w${4 * j + q})`).join(', ')});`)}`,
)}
  }
  // Through an array, so that the epilogue stands in the program once and not ${(ROWS * COLUMNS) / 4} times: compilers inline it.
  var sums = array<vec4f, ${(ROWS * COLUMNS) / 4}>(${Array.from({ length: (ROWS * COLUMNS) / 4 }, (_, i) => `sum${Math.floor(i / (COLUMNS / 4))}_${i % (COLUMNS / 4)}`).join(', ')});
  for (var i = 0u; i < ${ROWS}u && row + i < params.rows; i++) {
    for (var j = 0u; j < ${COLUMNS / 4}u && column + 4u * j < N; j++) {
      store(row + i, column / 4u + j, sums[i * ${COLUMNS / 4}u + j]);
    }
  }
}`,
  };
}
