import { declarations, f32, type Kernel, padded, read, u32, write } from './kernel.ts';
import { FLAT_INDEX, FLAT_LANES, flatGrid, unrolled } from './snippets.ts';

export interface PairScoresVariant {
  /** C, unpadded. */
  readonly columns: number;
}

/**
 * scores[M, P] = factor a[M, C] b[P, C]^T, where a are the first M rows of x and b the P behind them: of which in-batch losses are made.
 * Multiple negatives ranking (Henderson et al., arXiv 1705.00652; MultipleNegativesRankingLoss of sentence-transformers) is `crossEntropy` of
 * them with the labels 0, 1, 2, ..., where x has rows of length 1 and the factor is 20.
 *
 *   x [M + P, C]    scores [M, P]      params: rows = M, others = P, factor      grid: flat, M P / 16
 *
 * An invocation has 4 x 4 scores: 8 loads serve 16 products of four numbers. Rows beyond the last are read at the last.
 */
export function pairScores({ columns }: PairScoresVariant): Kernel {
  const C4 = padded(columns) / 4;
  const bindings = [read('x'), write('scores')];
  const params = [u32('rows'), u32('others'), f32('factor')];
  const four = (text: (q: number) => string) => [0, 1, 2, 3].map(text).join(', ');
  return {
    name: `pair scores ${columns}`,
    bindings,
    params,
    workgroups: ({ rows, others }) => flatGrid(Math.ceil(rows! / 4) * Math.ceil(others! / 4)),
    code: `
${declarations(bindings, params)}
@compute @workgroup_size(${FLAT_LANES})
fn main(@builtin(global_invocation_id) id: vec3u) {
  let index = ${FLAT_INDEX};
  let P4 = (params.others + 3u) / 4u;
  let row = index / P4 * 4u;
  let column = index % P4 * 4u;
  if (row >= params.rows) { return; }
${unrolled(4, r => `  let a${r}_at = min(row + ${r}u, params.rows - 1u) * ${C4}u; var sum${r} = vec4f();`)}
${unrolled(4, q => `  let b${q}_at = (params.rows + min(column + ${q}u, params.others - 1u)) * ${C4}u;`)}
  for (var k = 0u; k < ${C4}u; k++) {
${unrolled(4, q => `    let b${q} = x[b${q}_at + k];`)}
${unrolled(4, r => `    let a${r} = x[a${r}_at + k]; sum${r} += vec4f(${four(q => `dot(a${r}, b${q})`)});`)}
  }
  let inside = vec4u(column) + vec4u(0u, 1u, 2u, 3u) < vec4u(params.others);
${unrolled(4, r => `  if (row + ${r}u < params.rows) { scores[(row + ${r}u) * P4 + index % P4] = select(vec4f(), params.factor * sum${r}, inside); }`)}
}`,
  };
}

/**
 * The way back through pairScores to one part of x: da = factor dscores b, or db = factor dscores^T a, at the place that a or b has in x.
 *
 *   dscores [M, P]    x, dx [M + P, C], of which each of the two writes its part
 *   params: rows = M, others = P, factor      grid: flat, one invocation for four rows of the operand by four columns
 *
 * The sum over the rows of the other operand ascends.
 */
export function pairScoresBackward({ columns, to }: PairScoresVariant & { readonly to: 'a' | 'b' }): Kernel {
  const C4 = padded(columns) / 4;
  const bindings = [read('dscores'), read('x'), write('dx')];
  const params = [u32('rows'), u32('others'), f32('factor')];
  const [written, summed] = to === 'a' ? ['rows', 'others'] : ['others', 'rows'];
  return {
    name: `pair scores backward ${columns} to ${to}`,
    bindings,
    params,
    workgroups: values => flatGrid(Math.ceil(values[written!]! / 4) * C4),
    code: `
${declarations(bindings, params)}
@compute @workgroup_size(${FLAT_LANES})
fn main(@builtin(global_invocation_id) id: vec3u) {
  let index = ${FLAT_INDEX};
  let P4 = (params.others + 3u) / 4u;
  let row = index / ${C4}u * 4u;
  let column = index % ${C4}u;
  if (row >= params.${written}) { return; }
${unrolled(4, r => `  var sum${r} = vec4f();`)}
${
  to === 'a'
    ? `${unrolled(4, r => `  let d${r}_at = min(row + ${r}u, params.rows - 1u) * P4;`)}
  for (var j4 = 0u; j4 < P4; j4++) {
${unrolled(4, r => `    let d${r} = dscores[d${r}_at + j4];`)}
    for (var q = 0u; q < min(4u, params.${summed} - 4u * j4); q++) {
      let four = x[(params.rows + 4u * j4 + q) * ${C4}u + column];
${unrolled(4, r => `      sum${r} += d${r}[q] * four;`)}
    }
  }`
    : `  for (var i = 0u; i < params.${summed}; i++) {
    let d = dscores[i * P4 + row / 4u];
    let four = x[i * ${C4}u + column];
${unrolled(4, r => `    sum${r} += d[${r}] * four;`)}
  }`
}
${unrolled(4, r => `  if (row + ${r}u < params.${written}) { dx[(${to === 'a' ? '' : 'params.rows + '}row + ${r}u) * ${C4}u + column] = params.factor * sum${r}; }`)}
}`,
  };
}
