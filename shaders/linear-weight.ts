import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import {
  declarations,
  FIRST_GROUP,
  type Kernel,
  type Param,
  padded,
  type Target,
  u32,
  WHOLE_GRID,
  write,
} from './kernel.ts';
import { load, matrix } from './matrix.ts';
import { unrolled } from './snippets.ts';
import { type RegisterTiling, type Tiling, tileRows, tilingLabel, type WorkgroupTiling } from './tiling.ts';

export interface LinearWeightVariant {
  /** K and N of the linear, unpadded, as constants of the text. Undefined: they are params, and one text serves all shapes. */
  readonly inner?: number | undefined;
  readonly outputs?: number | undefined;
  /** Whether the gradient of the bias is computed. */
  readonly bias: boolean;
  /** Whether the gradient of the weight is computed. */
  readonly weight: boolean;
  /** dy has the columns of a range of the outputs, which begins at the param `from4`; the gradients are whole. Default: false. */
  readonly sliced?: boolean | undefined;
}

const PARAMS: readonly Param[] = [...['rows', 'k4', 'n4', 'adds'].map(u32), ...FIRST_GROUP];
const SLICE_PARAMS: readonly Param[] = [...PARAMS, u32('from4')];

/** The values of all params but `rows` and `from4`, for the whole grid. */
export const linearWeightParams = (inner: number, outputs: number) => ({
  k4: padded(inner) / 4,
  n4: padded(outputs) / 4,
  adds: 1,
  ...WHOLE_GRID,
});

/** The components of a vec4f. */
const COMPONENTS = ['x', 'y', 'z', 'w'] as const;

/** WGSL: what adds to gradient and bias_gradient, or writes over them. */
const results = ({ bias, weight }: LinearWeightVariant): string =>
  [...(weight ? ['gradient'] : []), ...(bias ? ['bias_gradient'] : [])]
    .map(
      name => `fn give_${name}(at: u32, sum: vec4f) {
  var before = vec4f();
  if (params.adds != 0u) { before = ${name}[at]; }
  ${name}[at] = before + sum;
}`,
    )
    .join('\n');

/** What both kinds of tiling write the kernel with. Strings are WGSL. */
interface Body {
  readonly variant: LinearWeightVariant;
  readonly head: string;
  readonly sizes: string;
  readonly loadDy: (index: string) => string;
  readonly loadX: (index: string) => string;
  /** The four rows of the gradient, or the vec4f of the bias's, for column `n4` of dy. */
  readonly to: (n4: string) => string;
}

/**
 * The gradients of the weight and of the bias of a linear (linear.ts), from that of its output (torch's linear_backward), added to what is
 * there; or in its place, where the param `adds` is 0, which spares the reading of it:
 *
 *   gradient[N, K] += dy[R, N]^T x[R, K]      bias_gradient[N] += the sum of the rows of dy
 *
 *   dy [R, N]   x [R, K], where there is weight   gradient [N, K], with a row for every number of dy's padding   bias_gradient [N]
 *   grid: K / (columns * lanes), where there is weight, and one more where there is bias; N / (rows, a multiple of four, with `down` times as
 *   many of a workgroup tiling); of a range of the outputs the gradients' rows from 4 from4 on, and their numbers
 *
 * Both operands are read along their rows, as they lie: of a row, a step takes `rows` numbers of dy and `columns` of x. That is as many loads
 * for as many multiply-adds as in the linear, and the tilings are the same. The sums over R are computed in its order, in a register of one
 * invocation, and then added to the gradient: the same numbers give the same bits.
 *
 * The bias has workgroups of its own, the last of each row of the grid: in the loop of the product its sums would cost every invocation.
 */
export function linearWeight(variant: LinearWeightVariant, tiling: Tiling, target: Target): Kernel {
  const { inner, outputs, bias, weight, sliced = false } = variant;
  if (!bias && !weight) throw new Error('a linear has a gradient of its weight, of its bias, or of both');
  const fitting = { ...tiling, rows: padded(tiling.rows) };
  const dy = matrix('dy', 'f32', target);
  const x = matrix('x', 'f32', target);
  const bindings = [dy, ...(weight ? [x, write('gradient')] : []), ...(bias ? [write('bias_gradient')] : [])];
  const params = sliced ? SLICE_PARAMS : PARAMS;
  const body: Body = {
    variant,
    head: `${declarations(bindings, params)}\n${results(variant)}`,
    sizes: `let K4 = ${inner === undefined ? 'params.k4' : `${padded(inner) / 4}u`};
  let N4 = ${outputs === undefined ? 'params.n4' : `${padded(outputs) / 4}u`};`,
    loadDy: index => load(dy, index),
    loadX: index => load(x, index),
    to: n4 => (sliced ? `(params.from4 + ${n4})` : n4),
  };
  const tiles = (k4: number) => (weight ? Math.ceil((4 * k4) / (tiling.columns * tiling.lanes)) : 0);
  const isShared = fitting.kind === 'register' && weight && target.subgroup === fitting.lanes && fitting.lanes === STEP;
  return {
    name: `linear weight${inner && outputs ? ` ${inner}>${outputs}` : ''}${weight ? '' : ' none'}${bias ? ' bias' : ''}${sliced ? ' sliced' : ''} ${tilingLabel(fitting)}${isShared ? ' subgroup' : ''}`,
    bindings,
    params,
    workgroups: ({ k4, n4 }) => [tiles(k4!) + Number(bias), Math.ceil((4 * n4!) / tileRows(fitting)), 1],
    code: fitting.kind === 'register' ? registerCode(body, fitting, isShared) : workgroupCode(body, fitting),
  };
}

/** Rows of dy and x in one turn of the loop in registers: a turn stores every sum again on a software adapter. */
const STEP = 4;

/** See linear-register.ts for why. */
function registerCode(
  { variant, head, sizes, loadDy, loadX, to }: Body,
  tiling: RegisterTiling,
  isShared: boolean,
): string {
  const { bias, weight } = variant;
  const { rows: ROWS, columns, lanes: LANES } = tiling;
  const DOWN = ROWS / 4;
  const FOURS = columns / 4;
  const perSum = (text: (i: number, j: number) => string) => unrolled(ROWS, i => unrolled(FOURS, j => text(i, j)));
  const perRow = (count: number, text: (q: number, i: number) => string) =>
    unrolled(STEP, q => unrolled(count, i => text(q, i)));
  return wgsl`
#if ${isShared}
enable subgroups;
#endif
${head}

#if ${bias}
fn add_bias(n4: u32, lane: u32) {
  ${sizes}
  for (var i = n4 + lane; i < min(n4 + ${DOWN}u, N4); i += ${LANES}u) {
    var sum = vec4f();
    for (var r = 0u; r < params.rows; r++) { sum += ${loadDy('r * N4 + i')}; }
    give_bias_gradient(${to('i')}, sum);
  }
}
#endif

#if ${weight}
fn add_weight(n4: u32, k4: u32${isShared ? ', lane: u32' : ''}) {
  ${sizes}
  let last = params.rows - 1u;
${unrolled(DOWN, i => `  let n4_${i} = min(n4 + ${i}u, N4 - 1u);`)}
${unrolled(FOURS, j => `  let k4_${j} = min(k4 + ${j}u, K4 - 1u);`)}
${perSum((i, j) => `  var sum${i}_${j} = vec4f();`)}
  for (var r = 0u; r < params.rows; r += ${STEP}u) {
    // Beyond the last row dy counts as 0.
${
  isShared
    ? `    let dy_row = min(r + lane, last) * N4;
${unrolled(DOWN, i => `    let part${i} = select(vec4f(), ${loadDy(`dy_row + n4_${i}`)}, r + lane <= last);`)}
${perRow(DOWN, (q, i) => `    let dy${q}_${i} = subgroupBroadcast(part${i}, ${q}u);`)}`
    : `${unrolled(STEP, q => `    let dy${q}_at = min(r + ${q}u, last) * N4;`)}
${perRow(DOWN, (q, i) => `    let dy${q}_${i} = ${q === 0 ? loadDy(`dy${q}_at + n4_${i}`) : `select(vec4f(), ${loadDy(`dy${q}_at + n4_${i}`)}, r + ${q}u <= last)`};`)}`
}
${unrolled(STEP, q => `    let x${q}_at = min(r + ${q}u, last) * K4;`)}
${unrolled(
  FOURS,
  j => `${unrolled(STEP, q => `    let x${q}_${j} = ${loadX(`x${q}_at + k4_${j}`)};`)}
${unrolled(ROWS, i => `    sum${i}_${j} += ${Array.from({ length: STEP }, (_, q) => `dy${q}_${Math.floor(i / 4)}.${COMPONENTS[i % 4]} * x${q}_${j}`).join(' + ')};`)}`,
)}
  }
${unrolled(
  DOWN,
  i => `  if (n4 + ${i}u < N4) {
${unrolled(
  FOURS,
  j => `    if (k4 + ${j}u < K4) {
      let to = (4u * ${to('n4')} + ${4 * i}u) * K4 + k4 + ${j}u;
${unrolled(4, c => `      give_gradient(to + ${c}u * K4, sum${4 * i + c}_${j});`)}
    }`,
)}
  }`,
)}
}
#endif

@compute @workgroup_size(${LANES})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) index: u32${isShared ? ', @builtin(subgroup_invocation_id) lane: u32' : ''}) {
  let n4 = (group.y + params.first_y) * ${DOWN}u;
  let tile = group.x + params.first_x;
#if ${weight && bias}
  ${sizes}
  if (tile < (K4 + ${FOURS * LANES - 1}u) / ${FOURS * LANES}u) {
    add_weight(n4, (tile * ${LANES}u + index) * ${FOURS}u${isShared ? ', lane' : ''});
  } else {
    add_bias(n4, index);
  }
#elif ${weight}
  add_weight(n4, (tile * ${LANES}u + index) * ${FOURS}u${isShared ? ', lane' : ''});
#else
  add_bias(n4, index);
#endif
}`;
}

/**
 * See linear-workgroup.ts for why. The tiles are [row][n4] and [row][k4]. For the bias, each invocation along y sums a part of the rows, and
 * the first adds up the parts, in the order of the rows.
 */
function workgroupCode({ variant, head, sizes, loadDy, loadX, to }: Body, tiling: WorkgroupTiling): string {
  const { bias, weight } = variant;
  const { rows, columns, lanes, down } = tiling;
  /** Rows of dy and x in one step. */
  const ROWS = 16;
  const DOWN4 = rows / 4;
  const FOURS = columns / 4;
  const HEIGHT = DOWN4 * down;
  const ACROSS = FOURS * lanes;
  const invocations = lanes * down;
  const perSum = (text: (i: number, j: number) => string) => unrolled(rows, i => unrolled(FOURS, j => text(i, j)));
  const fill = (tile: string, width: number, from: string) => `
    for (var i = index; i < ${width * ROWS}u; i += ${invocations}u) {
      let row = r + i / ${width}u;
      let column4 = i % ${width}u;
      ${tile}[i] = select(vec4f(), ${from}, row < params.rows);
    }`;
  return wgsl`
${head}
#if ${bias}
var<workgroup> parts: array<vec4f, ${invocations}>;
fn add_bias(first_n4: u32, local: vec2u) {
  ${sizes}
  let height = (params.rows + ${down - 1}u) / ${down}u;
  let end = min(params.rows, (local.y + 1u) * height);
  for (var i = 0u; i < ${HEIGHT}u; i += ${lanes}u) {
    let n4 = min(first_n4 + i + local.x, N4 - 1u);
    var sum = vec4f();
    for (var r = local.y * height; r < end; r++) { sum += ${loadDy('r * N4 + n4')}; }
    parts[local.y * ${lanes}u + local.x] = sum;
    workgroupBarrier();
    if (local.y == 0u && i + local.x < ${HEIGHT}u && first_n4 + i + local.x < N4) {
      for (var p = 1u; p < ${down}u; p++) { sum += parts[p * ${lanes}u + local.x]; }
      give_bias_gradient(${to('n4')}, sum);
    }
    workgroupBarrier();
  }
}
#endif

#if ${weight}
var<workgroup> dy_tile: array<vec4f, ${HEIGHT * ROWS}>;
var<workgroup> x_tile: array<vec4f, ${ACROSS * ROWS}>;
fn add_weight(first_n4: u32, first_k4: u32, local: vec2u, index: u32) {
  ${sizes}
${perSum((i, j) => `  var sum${i}_${j} = vec4f();`)}
  for (var r = 0u; r < params.rows; r += ${ROWS}u) {
${fill('dy_tile', HEIGHT, loadDy('min(row, params.rows - 1u) * N4 + min(first_n4 + column4, N4 - 1u)'))}
${fill('x_tile', ACROSS, loadX('min(row, params.rows - 1u) * K4 + min(first_k4 + column4, K4 - 1u)'))}
    workgroupBarrier();
    for (var s = 0u; s < ${ROWS}u; s++) {
${unrolled(DOWN4, i => `      let dy${i} = dy_tile[s * ${HEIGHT}u + ${i * down}u + local.y];`)}
${unrolled(FOURS, j => `      let x${j} = x_tile[s * ${ACROSS}u + ${j * lanes}u + local.x];`)}
${perSum((i, j) => `      sum${i}_${j} += dy${Math.floor(i / 4)}.${COMPONENTS[i % 4]} * x${j};`)}
    }
    workgroupBarrier();
  }
${unrolled(
  DOWN4,
  i => `  let n4_${i} = first_n4 + ${i * down}u + local.y;
  if (n4_${i} < N4) {
${unrolled(
  FOURS,
  j => `    let k4_${i}_${j} = first_k4 + ${j * lanes}u + local.x;
    if (k4_${i}_${j} < K4) {
${unrolled(4, c => `      give_gradient((4u * ${to(`n4_${i}`)} + ${c}u) * K4 + k4_${i}_${j}, sum${4 * i + c}_${j});`)}
    }`,
)}
  }`,
)}
}
#endif

@compute @workgroup_size(${lanes}, ${down})
fn main(@builtin(workgroup_id) at: vec3u, @builtin(local_invocation_id) local: vec3u, @builtin(local_invocation_index) index: u32) {
  let first_n4 = (at.y + params.first_y) * ${HEIGHT}u;
  let tile = at.x + params.first_x;
#if ${weight && bias}
  ${sizes}
  if (tile < (K4 + ${ACROSS - 1}u) / ${ACROSS}u) {
    add_weight(first_n4, tile * ${ACROSS}u, local.xy, index);
  } else {
    add_bias(first_n4, local.xy);
  }
#elif ${weight}
  add_weight(first_n4, tile * ${ACROSS}u, local.xy, index);
#else
  add_bias(first_n4, local.xy);
#endif
}`;
}
