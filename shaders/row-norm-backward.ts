import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { declarations, type Kernel, padded, read, u32, write } from './kernel.ts';
import { epsParams, type NormVariant, normLabel } from './norm.ts';
import { FINITE_OR_NAN, GROUP_INDEX, groupGrid, LANES, type RowShape, reduce, unrolled } from './snippets.ts';

/** Rows whose part of the gradients of gamma and beta is summed by one workgroup. */
export const ROWS_OF_PARTIAL = 128;

export interface RowNormBackwardVariant {
  /** C, unpadded. */
  readonly columns: number;
  readonly norm: NormVariant;
  readonly residual: boolean;
  /** Whether dx is computed. It is the gradient of x and of the residual. */
  readonly input: boolean;
  /** Whether the partial sums for gamma and beta are computed. */
  readonly weights: boolean;
}

/** `fn totals(value: vec2f, lane: u32) -> vec2f`: the sums of both over the lanes of a workgroup. */
export const totals = (lanes: number): string =>
  lanes === 1
    ? 'fn totals(value: vec2f, lane: u32) -> vec2f { return value; }'
    : `
var<workgroup> both: array<vec2f, ${lanes}>;
fn totals(value: vec2f, lane: u32) -> vec2f {
  both[lane] = value;${reduce(lanes, 'both[lane] += both[other];')}
  let sum = both[0];
  workgroupBarrier();
  return sum;
}`;

/**
 * The way back through y = norm(x + residual) gamma + beta (row-norm.ts), with the normalised row n and r = 1 / sqrt(variance + eps),
 * both computed again:
 *
 *   layer    dx = r (g - mean(g) - n mean(g n))        g = dy gamma (dy (1 + gamma) where the weight holds gamma - 1)
 *   rms      dx = r (g - n mean(g n))
 *   affine   dx = g
 *
 *   partials[p] = (sum of dy n, sum of dy) over rows 128 p to 128 p + 127: what dgamma and dbeta are sums of, see rowNormWeights
 *
 *   x, residual, dy, dx [R, C]    gamma [C], where there is dx (then affine alone reads no x)    partials [R / 128, 2 C]      grid: partials, then R / rows
 *
 * The first workgroups of the grid compute the partial sums, because each takes longer; all others compute dx as row-norm.ts computes y:
 * `rows` rows, or one row with `lanes` invocations. So one dispatch does both, and they run side by side.
 *
 * For its 128 rows, a workgroup first computes the means and the scales: where lanes share rows, four of them share one. Then each
 * invocation adds up a vec4f of the columns, row by row. Where a row has fewer vec4f than the workgroup has invocations, the rows are
 * divided among teams, whose sums are added in order.
 */
export function rowNormBackward(variant: RowNormBackwardVariant, shape: RowShape): Kernel {
  const { columns: C, norm, residual, input, weights } = variant;
  if (!input && !weights) throw new Error('a norm goes backward to its input, to its weights, or to both');
  const { kind, unitOffset } = norm;
  const { lanes, rows: height } = shape;
  const C4 = padded(C) / 4;
  const size = lanes * height;
  /** Invocations that share a row when means and scales are computed. */
  const sharers = lanes > 1 ? 4 : 1;
  /** Invocations side by side along the columns, and how often the workgroup has as many. */
  const across = Math.min(size, 2 ** Math.ceil(Math.log2(C4)));
  const teams = size / across;
  /** Workgroups along the columns. Without shared rows each has all columns, so that means and scales are computed once. */
  const tiles = lanes > 1 ? Math.ceil(C4 / across) : 1;
  // What dx of an affine norm does not depend on is not bound.
  const readsRow = weights || kind !== 'affine';
  const bindings = [
    ...(readsRow ? [read('x'), ...(residual ? [read('residual')] : [])] : []),
    ...(input ? [read('gamma')] : []),
    read('dy'),
    ...(input ? [write('dx')] : []),
    ...(weights ? [write('partials')] : []),
  ];
  const params = [u32('rows'), ...epsParams(norm)];
  const partialGroups = (rows: number) => (weights ? Math.ceil(rows / ROWS_OF_PARTIAL) * tiles : 0);
  const value = residual ? '(x[at] + residual[at])' : 'x[at]';
  const deviation = { layer: `(${value} - mean)`, rms: value, affine: value }[kind];
  const inRow = (text: string) =>
    C % 4 === 0 ? text : `select(vec4f(), ${text}, vec4u(4u * i) + vec4u(0u, 1u, 2u, 3u) < vec4u(${C}u))`;
  const sharedSum = (name: string) =>
    Array.from({ length: sharers }, (_, s) => `${name}[r * ${sharers}u + ${s}u]`).join(' + ');
  return {
    name: `row-norm backward ${C} ${normLabel(norm)}${residual ? ' residual' : ''}${input ? ' input' : ''}${weights ? ' weights' : ''}`,
    bindings,
    params,
    workgroups: ({ rows }) => groupGrid(partialGroups(rows!) + (input ? Math.ceil(rows! / height) : 0)),
    code: wgsl`
${declarations(bindings, params)}
#if ${kind !== 'affine'}
${FINITE_OR_NAN}
#endif

#if ${input}
#if ${kind !== 'affine'}
${totals(lanes)}
#endif
fn input_row(row: u32, lane: u32) {
  let first = row * ${C4}u;
#if ${kind === 'affine'}
  for (var i = lane; i < ${C4}u; i += ${lanes}u) {
    let at = first + i;
    dx[at] = dy[at] * ${unitOffset ? '(1.0 + gamma[i])' : 'gamma[i]'};
  }
#else
#if ${kind === 'layer'}
  var sums = vec4f();
  for (var i = lane; i < ${C4}u; i += ${lanes}u) { let at = first + i; sums += ${value}; }
  let mean = totals(vec2f(dot(sums, vec4f(1.0)), 0.0), lane).x / f32(${C});
#endif
  // In one walk, because a load is what takes long. What lies beyond C adds nothing: gamma is 0 there, and so is dy.
  var squares = vec4f();
  var of_g = vec4f();
  var of_product = vec4f();
  for (var i = lane; i < ${C4}u; i += ${lanes}u) {
    let at = first + i;
    let deviation = ${inRow(deviation)};
    let g = dy[at] * ${unitOffset ? '(1.0 + gamma[i])' : 'gamma[i]'};
    squares += deviation * deviation;
    of_g += g;
    of_product += g * deviation;
  }
  let scale = 1.0 / sqrt(finite_or_nan(totals(vec2f(dot(squares, vec4f(1.0)), 0.0), lane).x) / f32(${C}) + params.eps);
  let sums_of_g = totals(vec2f(dot(of_g, vec4f(1.0)), dot(of_product, vec4f(1.0))), lane);
  let means = vec2f(sums_of_g.x, sums_of_g.y * scale) / f32(${C});
  for (var i = lane; i < ${C4}u; i += ${lanes}u) {
    let at = first + i;
    let g = dy[at] * ${unitOffset ? '(1.0 + gamma[i])' : 'gamma[i]'};
    let turned = scale * (g${kind === 'layer' ? ' - means.x' : ''} - ${deviation} * scale * means.y);
    dx[at] = ${inRow('turned')};
  }
#endif
}
#endif

#if ${weights}
#if ${kind !== 'affine'}
#if ${kind === 'layer'}
var<workgroup> row_sums: array<f32, ${ROWS_OF_PARTIAL * sharers}>;
var<workgroup> row_means: array<f32, ${ROWS_OF_PARTIAL}>;
#endif
var<workgroup> row_squares: array<f32, ${ROWS_OF_PARTIAL * sharers}>;
var<workgroup> row_scales: array<f32, ${ROWS_OF_PARTIAL}>;
#endif
#if ${teams > 1}
var<workgroup> team_products: array<vec4f, ${size}>;
var<workgroup> team_sums: array<vec4f, ${size}>;
#endif
fn partial_sums(group: u32, index: u32) {
  let first = group / ${tiles}u * ${ROWS_OF_PARTIAL}u;
  let count = min(${ROWS_OF_PARTIAL}u, params.rows - first);
#if ${kind !== 'affine'}
  let sharer = index % ${sharers}u;
#if ${kind === 'layer'}
  for (var r = index / ${sharers}u; r < count; r += ${size / sharers}u) {
    var sums = vec4f();
    for (var i = sharer; i < ${C4}u; i += ${sharers}u) { let at = (first + r) * ${C4}u + i; sums += ${value}; }
    row_sums[r * ${sharers}u + sharer] = dot(sums, vec4f(1.0));
  }
  workgroupBarrier();
#endif
  for (var r = index / ${sharers}u; r < count; r += ${size / sharers}u) {
#if ${kind === 'layer'}
    let mean = (${sharedSum('row_sums')}) / f32(${C});
    row_means[r] = mean;
#endif
    var squares = vec4f();
    for (var i = sharer; i < ${C4}u; i += ${sharers}u) {
      let at = (first + r) * ${C4}u + i;
      let deviation = ${inRow(deviation)};
      squares += deviation * deviation;
    }
    row_squares[r * ${sharers}u + sharer] = dot(squares, vec4f(1.0));
  }
  workgroupBarrier();
  for (var r = index; r < count; r += ${size}u) {
    row_scales[r] = 1.0 / sqrt(finite_or_nan(${sharedSum('row_squares')}) / f32(${C}) + params.eps);
  }
  workgroupBarrier();
#endif
  let team = index / ${across}u;
  let end = min(count, (team + 1u) * ${ROWS_OF_PARTIAL / teams}u);
  for (var i = group % ${tiles}u * ${across}u + index % ${across}u; i < ${C4}u; i += ${tiles * across}u) {
    var products = vec4f();
    var sums = vec4f();
    for (var r = team * ${ROWS_OF_PARTIAL / teams}u; r < end; r++) {
      let at = (first + r) * ${C4}u + i;
      let d = dy[at];
#if ${kind === 'layer'}
      let mean = row_means[r];
#endif
      products += d * (${deviation}${kind === 'affine' ? '' : ' * row_scales[r]'});
      sums += d;
    }
#if ${teams > 1}
    team_products[index] = products;
    team_sums[index] = sums;
#else
    let to = group / ${tiles}u * ${2 * C4}u + i;
    partials[to] = products;
    partials[to + ${C4}u] = sums;
#endif
  }
#if ${teams > 1}
  workgroupBarrier();
  if (index < ${C4}u) {
    var products = team_products[index];
    var sums = team_sums[index];
    for (var t = 1u; t < ${teams}u; t++) {
      products += team_products[t * ${across}u + index];
      sums += team_sums[t * ${across}u + index];
    }
    partials[group * ${2 * C4}u + index] = products;
    partials[group * ${2 * C4}u + ${C4}u + index] = sums;
  }
#endif
}
#endif

@compute @workgroup_size(${lanes}, ${height})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let number = ${GROUP_INDEX};
#if ${weights}
  let partial_groups = (params.rows + ${ROWS_OF_PARTIAL - 1}u) / ${ROWS_OF_PARTIAL}u * ${tiles}u;
  if (number < partial_groups) {
    partial_sums(number, local.y * ${lanes}u + local.x);
    return;
  }
#else
  let partial_groups = 0u;
#endif
#if ${input}
  let row = (number - partial_groups) * ${height}u${lanes > 1 ? '' : ' + local.y'};
  if (row < params.rows) { input_row(row, local.x); }
#endif
}`,
  };
}

export interface RowNormWeightsVariant {
  /** C, unpadded. */
  readonly columns: number;
  /** Which of them have gradients. Default of gamma: true. */
  readonly gamma?: boolean | undefined;
  readonly beta: boolean;
}

/** Vec4f of the columns side by side in a workgroup of rowNormWeights; the partial sums are divided among the rest of it. */
const ACROSS = 16;

/**
 * dgamma[C] += the sum over p of partials[p, 0 .. C], dbeta[C] += that of partials[p, C .. 2 C], for the partial sums of rowNormBackward.
 * Four invocations share a column: each adds up a quarter of the partial sums in their order, and the quarters are added in order.
 *
 *   partials [rows / 128, 2 C]    gamma_gradient, beta_gradient [C]      params: rows, those of the norm      grid: C / 64
 */
export function rowNormWeights({ columns, gamma = true, beta }: RowNormWeightsVariant): Kernel {
  if (!gamma && !beta) throw new Error('neither gamma nor beta has a gradient');
  const C4 = padded(columns) / 4;
  const quarters = LANES / ACROSS;
  /** What is summed, with its first vec4f in a partial sum. */
  const sums = [...(gamma ? [{ name: 'gamma', first: 0 }] : []), ...(beta ? [{ name: 'beta', first: C4 }] : [])];
  const bindings = [read('partials'), ...sums.map(({ name }) => write(`${name}_gradient`))];
  const params = [u32('rows')];
  const each = (text: (name: string, first: number) => string) =>
    unrolled(sums.length, k => text(sums[k]!.name, sums[k]!.first));
  return {
    name: `row-norm weights ${columns}${gamma ? '' : ' without gamma'}${beta ? '' : ' without beta'}`,
    bindings,
    params,
    workgroups: () => [Math.ceil(C4 / ACROSS), 1, 1],
    code: wgsl`
${declarations(bindings, params)}
${each(name => `var<workgroup> ${name}_quarters: array<vec4f, ${LANES}>;`)}

@compute @workgroup_size(${LANES})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let column = group.x * ${ACROSS}u + local.x % ${ACROSS}u;
  let count = (params.rows + ${ROWS_OF_PARTIAL - 1}u) / ${ROWS_OF_PARTIAL}u;
  let quarter = (count + ${quarters - 1}u) / ${quarters}u;
  let first = local.x / ${ACROSS}u * quarter;
${each(name => `  var ${name} = vec4f();`)}
  if (column < ${C4}u) {
    for (var p = first; p < min(count, first + quarter); p++) {
${each((name, first) => `      ${name} += partials[p * ${2 * C4}u + ${first}u + column];`)}
    }
  }
${each(name => `  ${name}_quarters[local.x] = ${name};`)}
  workgroupBarrier();
  if (local.x >= ${ACROSS}u || column >= ${C4}u) { return; }
${each(
  name =>
    `  ${name}_gradient[column] += ${Array.from({ length: quarters }, (_, q) => `${name}_quarters[local.x + ${q * ACROSS}u]`).join(' + ')};`,
)}
}`,
  };
}
