import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import {
  declarations,
  FIRST_GROUP,
  type Kernel,
  type Param,
  padded,
  read,
  type Target,
  u32,
  WHOLE_GRID,
  write,
} from './kernel.ts';
import { enables, type Format, load, matrix, matrixFunctions } from './matrix.ts';
import { unrolled } from './snippets.ts';
import { type RegisterTiling, type Tiling, tileRows, tilingLabel, type WorkgroupTiling } from './tiling.ts';

export interface LinearInputVariant {
  /** N and K of the linear, unpadded, as constants of the text. Undefined: they are params, and one text serves all shapes. */
  readonly inner?: number | undefined;
  readonly outputs?: number | undefined;
  /** Whether another gradient of the same input is added. */
  readonly residual: boolean;
  /** The format of the weight. Default: 'f32'. */
  readonly format?: Exclude<Format, 'i8'> | undefined;
  /** dy has the columns of a range of the outputs, which begins at the param `from4`; the weight is whole. Default: false. */
  readonly sliced?: boolean | undefined;
}

const PARAMS: readonly Param[] = [...['rows', 'n4', 'k4'].map(u32), ...FIRST_GROUP];
const SLICE_PARAMS: readonly Param[] = [...PARAMS, u32('from4')];

/** The values of all params but `rows` and `from4`, for the whole grid. */
export const linearInputParams = (inner: number, outputs: number) => ({
  n4: padded(inner) / 4,
  k4: padded(outputs) / 4,
  ...WHOLE_GRID,
});

/** The components of a vec4f. */
const COMPONENTS = ['x', 'y', 'z', 'w'] as const;

/** What both kinds of tiling write the kernel with. Strings are WGSL. */
interface Body {
  readonly code: { readonly head: string; readonly sizes: string };
  readonly loadDy: (index: string) => string;
  readonly loadWeight: (index: string) => string;
  readonly residual: boolean;
  /** The row of the weight for column `n` of dy. */
  readonly weightRow: (n: string) => string;
}

/**
 * The gradient of the input of a linear (linear.ts), from that of its output (the first operand of torch's linear_backward):
 *
 *   y[R, K] = dy[R, N] weight[N, K] + residual[R, K]       or of a range of rows: weight[4 from4 .. 4 from4 + N, K]
 *
 *   dy [R, N]   weight [N, K], with a row of zeros for every number of dy's padding   residual, y [R, K]
 *   grid: K / (columns * lanes), R / (rows, with `down` times as many of a workgroup tiling)
 *
 * The weight is the one of the linear, as it lies: what was the inner dimension is now that of the outputs. So a step takes four
 * numbers of dy, and of four rows of the weight four neighbouring numbers each: the same loads for as many multiply-adds as in the linear,
 * and the tilings are the same. In both, the products of an output are added four by four, in the order of N, which depends neither on R
 * nor on the place of the row.
 */
export function linearInput(variant: LinearInputVariant, tiling: Tiling, target: Target): Kernel {
  const { inner, outputs, residual, format = 'f32', sliced = false } = variant;
  const params = sliced ? SLICE_PARAMS : PARAMS;
  const weight = matrix('weight', format, target);
  const dy = matrix('dy', 'f32', target);
  const bindings = [dy, weight, ...(residual ? [read('residual')] : []), write('y')];
  const body: Body = {
    code: {
      head: `${enables(bindings)}
${declarations(bindings, params)}
${matrixFunctions(format, bindings)}`,
      sizes: `let N4 = ${inner === undefined ? 'params.n4' : `${padded(inner) / 4}u`};
  let K4 = ${outputs === undefined ? 'params.k4' : `${padded(outputs) / 4}u`};`,
    },
    loadDy: index => load(dy, index),
    loadWeight: index => load(weight, index),
    residual,
    weightRow: n => (sliced ? `(4u * params.from4 + ${n})` : n),
  };
  const isShared = tiling.kind === 'register' && sharesRows(tiling, target);
  return {
    name: `linear input${inner && outputs ? ` ${inner}>${outputs}` : ''}${format === 'f32' ? '' : ` ${format}`}${residual ? ' residual' : ''}${sliced ? ' sliced' : ''} ${tilingLabel(tiling)}${isShared ? ' subgroup' : ''}`,
    bindings,
    params,
    workgroups: ({ rows, k4 }) => [
      Math.ceil((4 * k4!) / (tiling.columns * tiling.lanes)),
      Math.ceil(rows! / tileRows(tiling)),
      1,
    ],
    code: tiling.kind === 'register' ? registerCode(body, tiling, isShared) : workgroupCode(body, tiling),
  };
}

/** Whether the lanes of a workgroup are one subgroup, so that each loads a part of the rows and broadcasts it. */
const sharesRows = ({ rows, lanes }: RegisterTiling, target: Target) => target.subgroup === lanes && rows % lanes === 0;

/** `sum` + the products of four numbers of dy with a vec4f of four rows of the weight. */
const products = (dy: string, weight: (q: number) => string) =>
  COMPONENTS.map((c, q) => `${dy}.${c} * ${weight(q)}`).join(' + ');

/** See linear-register.ts for why. */
function registerCode(
  { code, loadDy, loadWeight, residual, weightRow }: Body,
  tiling: RegisterTiling,
  isShared: boolean,
): string {
  const { rows: ROWS, columns, lanes: LANES } = tiling;
  const FOURS = columns / 4;
  /** Rows of dy that one invocation loads. */
  const loaded = isShared ? ROWS / LANES : ROWS;
  const perSum = (text: (i: number, j: number) => string) => unrolled(ROWS, i => unrolled(FOURS, j => text(i, j)));
  return wgsl`
#if ${isShared}
enable subgroups;
#endif
${code.head}

@compute @workgroup_size(${LANES})
fn main(@builtin(global_invocation_id) id: vec3u${isShared ? ', @builtin(subgroup_invocation_id) lane: u32' : ''}) {
  ${code.sizes}
  let row = (id.y + params.first_y) * ${ROWS}u;
  let column4 = (id.x + params.first_x * ${LANES}u) * ${FOURS}u;
  let last = params.rows - 1u;
${unrolled(loaded, i => `  let dy${i}_at = min(row + ${isShared ? `${i * LANES}u + lane` : `${i}u`}, last) * N4;`)}
${unrolled(FOURS, j => `  let column4_${j} = min(column4 + ${j}u, K4 - 1u);`)}
${perSum((i, j) => `  var sum${i}_${j} = vec4f();`)}
  for (var n4 = 0u; n4 < N4; n4++) {
${
  isShared
    ? `${unrolled(loaded, i => `    let part${i} = ${loadDy(`dy${i}_at + n4`)};`)}
${unrolled(ROWS, i => `    let dy${i} = subgroupBroadcast(part${Math.floor(i / LANES)}, ${i % LANES}u);`)}`
    : unrolled(ROWS, i => `    let dy${i} = ${loadDy(`dy${i}_at + n4`)};`)
}
    let w_at = ${weightRow('4u * n4')} * K4;
${unrolled(
  FOURS,
  j => `${unrolled(4, q => `    let w${j}_${q} = ${loadWeight(`w_at + ${q}u * K4 + column4_${j}`)};`)}
${unrolled(ROWS, i => `    sum${i}_${j} += ${products(`dy${i}`, q => `w${j}_${q}`)};`)}`,
)}
  }
${unrolled(
  ROWS,
  i => `  if (row + ${i}u < params.rows) {
${unrolled(FOURS, j => `    if (column4 + ${j}u < K4) { y[(row + ${i}u) * K4 + column4 + ${j}u] = sum${i}_${j}; }`)}
  }`,
)}
#if ${residual}
  // In a loop over what was stored: a program with one copy of it compiles faster.
  let count = min(${ROWS}u, params.rows - row) * ${FOURS}u;
  for (var i = 0u; i < count; i++) {
    let at = (row + i / ${FOURS}u) * K4 + column4 + i % ${FOURS}u;
    if (column4 + i % ${FOURS}u < K4) { y[at] += residual[at]; }
  }
#endif
}`;
}

/** See linear-workgroup.ts for why. The tile of dy is [n4][row], that of the weight [n][column4]. */
function workgroupCode({ code, loadDy, loadWeight, residual, weightRow }: Body, tiling: WorkgroupTiling): string {
  const { rows, columns, lanes, down } = tiling;
  /** Fours of N in one step. */
  const STEP = 4;
  const ROWS = rows * down;
  const FOURS = columns / 4;
  const ACROSS = FOURS * lanes;
  const invocations = lanes * down;
  const perSum = (text: (i: number, j: number) => string) => unrolled(FOURS, j => unrolled(rows, i => text(i, j)));
  return wgsl`
${code.head}
var<workgroup> dy_tile: array<vec4f, ${ROWS * STEP}>;
var<workgroup> w_tile: array<vec4f, ${ACROSS * STEP * 4}>;

@compute @workgroup_size(${lanes}, ${down})
fn main(@builtin(workgroup_id) at: vec3u, @builtin(local_invocation_id) local: vec3u, @builtin(local_invocation_index) index: u32) {
  ${code.sizes}
  let first_row = (at.y + params.first_y) * ${ROWS}u;
  let first_column4 = (at.x + params.first_x) * ${ACROSS}u;
${perSum((i, j) => `  var sum${i}_${j} = vec4f();`)}
  for (var n4 = 0u; n4 < N4; n4 += ${STEP}u) {
    for (var i = index; i < ${ROWS * STEP}u; i += ${invocations}u) {
      let line = i / ${STEP}u;
      let column4 = n4 + i % ${STEP}u;
      let loaded = ${loadDy('min(first_row + line, params.rows - 1u) * N4 + min(column4, N4 - 1u)')};
      dy_tile[(i % ${STEP}u) * ${ROWS}u + line] = select(vec4f(), loaded, column4 < N4);
    }
    for (var i = index; i < ${ACROSS * STEP * 4}u; i += ${invocations}u) {
      // Beyond the last row dy counts as 0.
      let n = min(4u * n4 + i / ${ACROSS}u, 4u * N4 - 1u);
      w_tile[i] = ${loadWeight(`${weightRow('n')} * K4 + min(first_column4 + i % ${ACROSS}u, K4 - 1u)`)};
    }
    workgroupBarrier();
    for (var s = 0u; s < ${STEP}u; s++) {
${unrolled(rows, i => `      let dy${i} = dy_tile[s * ${ROWS}u + local.y * ${rows}u + ${i}u];`)}
${unrolled(
  FOURS,
  j => `${unrolled(4, q => `      let w${j}_${q} = w_tile[(4u * s + ${q}u) * ${ACROSS}u + ${j * lanes}u + local.x];`)}
${unrolled(rows, i => `      sum${i}_${j} += ${products(`dy${i}`, q => `w${j}_${q}`)};`)}`,
)}
    }
    workgroupBarrier();
  }
  let row = first_row + local.y * ${rows}u;
${unrolled(
  FOURS,
  j => `  let column4_${j} = first_column4 + ${j * lanes}u + local.x;
  if (column4_${j} < K4) {
${unrolled(
  rows,
  i =>
    `    if (row + ${i}u < params.rows) { let to = (row + ${i}u) * K4 + column4_${j}; y[to] = sum${i}_${j}${residual ? ' + residual[to]' : ''}; }`,
)}
  }`,
)}
}`;
}
