import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { declarations, f32, type Kernel, padded, read, u32, write } from './kernel.ts';
import { rowIndex } from './norm.ts';
import type { QueryKeyNormVariant } from './query-key-norm.ts';
import { ROWS_OF_PARTIAL, totals } from './row-norm-backward.ts';
import { columnsAt, FINITE_OR_NAN, LANES, type RowShape, unrolled } from './snippets.ts';

type Part = 'query' | 'key';

/** What follows from a variant: heads of a norm, norms of a token, vec4f of a gamma. */
function sizesOf({ heads, keyHeads, headSize, span }: QueryKeyNormVariant) {
  const D4 = padded(headSize) / 4;
  const byHead = span === 'head';
  const count: Record<Part, number> = byHead ? { query: 1, key: 1 } : { query: heads, key: keyHeads };
  const norms: Record<Part, number> = byHead ? { query: heads, key: keyHeads } : { query: 1, key: 1 };
  return { D4, count, norms, stride: (heads + 2 * keyHeads) * D4 };
}

const label = ({ heads, keyHeads, headSize, span, kind, beta, unitOffset }: QueryKeyNormVariant) =>
  `${heads}+${keyHeads}x${headSize} ${kind} ${span}${beta ? ' beta' : ''}${unitOffset ? ' offset' : ''}`;

/**
 * The way back through query-key-norm.ts: dx[T, (H + 2 G) D] from dy, by the formulas of row-norm-backward.ts for every norm of q and of k,
 * with a copy for v. It notes the mean and 1 / sqrt(variance + eps) of every norm, for the gradients of gamma and beta.
 *
 *   qkv, dy, dx [T, (H + 2 G) D]    query_gamma, key_gamma: [D], or [H D] and [G D]
 *   statistics [T, norms of q, norms of k] vec2f: H + G norms a token, or 2
 *   grid: as of the kernel forward: T / rows, and the parts of a token
 */
export function queryKeyNormBackward(variant: QueryKeyNormVariant, { lanes: most, rows: height }: RowShape): Kernel {
  const { keyHeads, headSize, span, kind, unitOffset } = variant;
  const { D4, count, norms, stride } = sizesOf(variant);
  const keyEnd = norms.query + norms.key;
  const parts = keyEnd + (span === 'head' ? keyHeads : 1);
  const lanes = Math.min(most, 2 ** Math.ceil(Math.log2(Math.max(count.query, count.key) * D4)));
  const bindings = [
    read('qkv'),
    read('query_gamma'),
    read('key_gamma'),
    read('dy'),
    write('dx'),
    write('statistics', 'array<vec2f>'),
  ];
  const params = [u32('rows'), f32('query_eps'), f32('key_eps')];
  const layer = kind === 'layer';
  const place = `(i % ${D4}u)`;
  const inHead = (text: string) =>
    headSize % 4 === 0 ? text : `select(vec4f(), ${text}, ${columnsAt(place)} < vec4u(${headSize}u))`;
  const deviation = layer ? '(qkv[at + i] - mean)' : 'qkv[at + i]';
  const each = (name: Part, text: string) =>
    `  for (var i = lane; i < ${count[name] * D4}u; i += ${lanes}u) { ${text} }`;
  const partBackward = (name: Part) => {
    const g = `dy[at + i] * ${unitOffset ? `(1.0 + ${name}_gamma[i])` : `${name}_gamma[i]`}`;
    const C = `f32(${count[name] * headSize})`;
    return `fn ${name}_backward(at: u32, norm: u32, lane: u32) {
${
  layer
    ? `  var sums = vec4f();
${each(name, 'sums += qkv[at + i];')}
  let mean = totals(vec2f(dot(sums, vec4f(1.0)), 0.0), lane).x / ${C};`
    : '  let mean = 0.0;'
}
  var squares = vec4f();
${each(name, `let deviation = ${inHead(deviation)}; squares += deviation * deviation;`)}
  let scale = 1.0 / sqrt(finite_or_nan(totals(vec2f(dot(squares, vec4f(1.0)), 0.0), lane).x) / ${C} + params.${name}_eps);
  var of_g = vec4f();
  var of_product = vec4f();
${each(name, `let g = ${g}; of_g += g; of_product += g * (${deviation} * scale);`)}
  let means = totals(vec2f(dot(of_g, vec4f(1.0)), dot(of_product, vec4f(1.0))), lane) / ${C};
${each(name, `dx[at + i] = ${inHead(`scale * (${g}${layer ? ' - means.x' : ''} - ${deviation} * scale * means.y)`)};`)}
  if (lane == 0u) { statistics[norm] = vec2f(mean, scale); }
}`;
  };
  return {
    name: `query key norm backward ${label(variant)}`,
    bindings,
    params,
    workgroups: ({ rows }) => [Math.ceil(rows! / height), parts, 1],
    code: wgsl`
${declarations(bindings, params)}
${totals(lanes)}
${FINITE_OR_NAN}
${partBackward('query')}
${partBackward('key')}

@compute @workgroup_size(${lanes}, ${height})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let row = ${rowIndex({ lanes, rows: height })};
  if (row >= params.rows) { return; }
  let part = group.y;
  let norm = row * ${keyEnd}u + part;
  if (part < ${norms.query}u) {
    query_backward(row * ${stride}u + part * ${count.query * D4}u, norm, local.x);
  } else if (part < ${keyEnd}u) {
    key_backward(row * ${stride}u + ${norms.query * count.query * D4}u + (part - ${norms.query}u) * ${count.key * D4}u, norm, local.x);
  } else {
    let at = row * ${stride}u + ${(norms.query * count.query + norms.key * count.key) * D4}u + (part - ${keyEnd}u) * ${count.key * D4}u;
    for (var i = local.x; i < ${count.key * D4}u; i += ${lanes}u) { dx[at + i] = dy[at + i]; }
  }
}`,
  };
}

/**
 * The partial sums for gamma and beta of q and k: partials[p] = (sum of dy n, sum of dy) of q, then of k, over tokens 128 p to 128 p + 127, where
 * n is what was multiplied by gamma. Heads that share a gamma are added up, the heads of a token before the next token.
 *
 *   qkv, dy [T, (H + 2 G) D]    statistics: see queryKeyNormBackward    partials [T / 128, 2 gammas of q + 2 gammas of k]
 *   grid: T / 128, and 2: q and k
 *
 * Where a gamma has fewer vec4f than the workgroup has invocations, the norms are divided among teams, whose sums are added in order.
 */
export function queryKeyNormPartials(variant: QueryKeyNormVariant): Kernel {
  const { D4, count, norms, stride } = sizesOf(variant);
  const keyEnd = norms.query + norms.key;
  const across = Math.min(LANES, 2 ** Math.ceil(Math.log2(Math.max(count.query, count.key) * D4)));
  const teams = LANES / across;
  const width = 2 * (count.query + count.key) * D4;
  const bindings = [read('qkv'), read('dy'), read('statistics', 'array<vec2f>'), write('partials')];
  const params = [u32('rows')];
  const sumsOf = (name: Part) => {
    const [first, firstNorm, to] =
      name === 'query' ? [0, 0, 0] : [norms.query * count.query * D4, norms.query, 2 * count.query * D4];
    const columns = count[name] * D4;
    return `fn ${name}_sums(group: u32, lane: u32) {
  let first = group * ${ROWS_OF_PARTIAL}u;
  let count = min(${ROWS_OF_PARTIAL}u, params.rows - first) * ${norms[name]}u;
  let part = (count + ${teams - 1}u) / ${teams}u;
  let begin = lane / ${across}u * part;
  for (var i = lane % ${across}u; i < ${columns}u; i += ${across}u) {
    var products = vec4f();
    var sums = vec4f();
    for (var r = begin; r < min(count, begin + part); r++) {
      let row = first + r / ${norms[name]}u;
      let norm = r % ${norms[name]}u;
      let at = row * ${stride}u + ${first}u + norm * ${columns}u + i;
      let statistic = statistics[row * ${keyEnd}u + ${firstNorm}u + norm];
      let d = dy[at];
      products += d * (qkv[at] - statistic.x) * statistic.y;
      sums += d;
    }
${
  teams > 1
    ? `    team_products[lane] = products;
    team_sums[lane] = sums;
  }
  workgroupBarrier();
  if (lane < ${columns}u) {
    var products = team_products[lane];
    var sums = team_sums[lane];
    for (var t = 1u; t < ${teams}u; t++) {
      products += team_products[t * ${across}u + lane];
      sums += team_sums[t * ${across}u + lane];
    }
    partials[group * ${width}u + ${to}u + lane] = products;
    partials[group * ${width}u + ${to + columns}u + lane] = sums;
  }`
    : `    partials[group * ${width}u + ${to}u + i] = products;
    partials[group * ${width}u + ${to + columns}u + i] = sums;
  }`
}
}`;
  };
  return {
    name: `query key norm partials ${label(variant)}`,
    bindings,
    params,
    workgroups: ({ rows }) => [Math.ceil(rows! / ROWS_OF_PARTIAL), 2, 1],
    code: wgsl`
${declarations(bindings, params)}
#if ${teams > 1}
var<workgroup> team_products: array<vec4f, ${LANES}>;
var<workgroup> team_sums: array<vec4f, ${LANES}>;
#endif
${sumsOf('query')}
${sumsOf('key')}

@compute @workgroup_size(${LANES})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
  if (group.y == 0u) { query_sums(group.x, local.x); } else { key_sums(group.x, local.x); }
}`,
  };
}

/**
 * Adds the partial sums of queryKeyNormPartials, in their order, to the gradients of gamma and beta of q and k.
 *
 *   partials [rows / 128, ..]    query_gamma_gradient, query_beta_gradient, key_gamma_gradient, key_beta_gradient: as the gammas
 *   params: rows, the tokens      grid: flat, one invocation for a vec4f of the gradients
 */
export function queryKeyNormWeights(variant: QueryKeyNormVariant): Kernel {
  const { D4, count } = sizesOf(variant);
  const width = 2 * (count.query + count.key) * D4;
  /** The gradients, with their first vec4f in a partial sum. */
  const sums = (['query', 'key'] as const).flatMap(name => {
    const first = name === 'query' ? 0 : 2 * count.query * D4;
    const columns = count[name] * D4;
    return [
      { name: `${name}_gamma_gradient`, first, columns },
      ...(variant.beta ? [{ name: `${name}_beta_gradient`, first: first + columns, columns }] : []),
    ];
  });
  const bindings = [read('partials'), ...sums.map(({ name }) => write(name))];
  const params = [u32('rows')];
  return {
    name: `query key norm weights ${label(variant)}`,
    bindings,
    params,
    workgroups: () => [Math.ceil(width / LANES), 1, 1],
    code: `
${declarations(bindings, params)}
@compute @workgroup_size(${LANES})
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x;
  if (i >= ${width}u) { return; }
  var sum = vec4f();
  for (var p = 0u; p < (params.rows + ${ROWS_OF_PARTIAL - 1}u) / ${ROWS_OF_PARTIAL}u; p++) { sum += partials[p * ${width}u + i]; }
${unrolled(sums.length, k => `  if (i >= ${sums[k]!.first}u && i < ${sums[k]!.first + sums[k]!.columns}u) { ${sums[k]!.name}[i - ${sums[k]!.first}u] += sum; }`)}
}`,
  };
}
