import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { declarations, type Kernel, padded, read, u32, write } from './kernel.ts';
import { unrolled } from './snippets.ts';

/** Tokens of a query that a workgroup takes at once: 8 blocks of four. Document tokens are divided among 8 stripes. */
export const CHUNK = 32;
const STRIPES = 8;

/**
 * scores[q, d] = the sum over the tokens i of query q of the greatest dot product of token i with a token of document d (MaxSim: Khattab
 * and Zaharia, arXiv 2004.12832). Every query and document has one token at least.
 *
 * One workgroup computes one pair. An invocation has four tokens of the query and every eighth four tokens of the document: 8 loads serve
 * 16 products of four numbers. The maxima of the stripes meet in workgroup memory, where their order does not matter, and are added in
 * the order of the query's tokens; so a score has the same bits whatever else is scored.
 *
 * With `each` the maxima themselves are the result, scores [Tq, D]: so a pair is computed in parts, whose maxima and sums the caller
 * takes in the same order (gpu/max-sim.ts).
 *
 *   queries [Tq, N]    documents [Td, N]    query_ranges, document_ranges = (first token, end)    scores [Q, D]      grid: D, Q
 *
 * Tokens beyond the end are read at the last one: a maximum is the same, and their own sums are not added.
 */
export function maxSim({ columns }: { readonly columns: number }): Kernel {
  const N4 = padded(columns) / 4;
  const bindings = [
    read('query_ranges', 'array<vec2u>'),
    read('document_ranges', 'array<vec2u>'),
    read('queries'),
    read('documents'),
    write('scores', 'array<f32>'),
  ];
  const params = [u32('queries'), u32('documents'), u32('each')];
  const four = (text: (r: number) => string) => [0, 1, 2, 3].map(text).join(', ');
  return {
    name: `max-sim ${columns}`,
    bindings,
    params,
    workgroups: ({ queries, documents }) => [documents!, queries!, 1],
    code: wgsl`
${declarations(bindings, params)}
var<workgroup> best: array<f32, ${CHUNK * STRIPES}>;

@compute @workgroup_size(${(CHUNK / 4) * STRIPES})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
  if (group.y >= params.queries) { return; }
  let query = query_ranges[group.y];
  let document = document_ranges[group.x];
  let block = local.x % ${CHUNK / 4}u;
  let stripe = local.x / ${CHUNK / 4}u;
  var sum = 0.0;
  for (var i = query.x; i < query.y; i += ${CHUNK}u) {
${unrolled(4, r => `    let q${r} = min(i + 4u * block + ${r}u, query.y - 1u) * ${N4}u;`)}
    var top = vec4f(-3.4e38);
    for (var j = document.x + 4u * stripe; j < document.y; j += ${4 * STRIPES}u) {
${unrolled(4, c => `      let d${c} = min(j + ${c}u, document.y - 1u) * ${N4}u; var s${c} = vec4f();`)}
      for (var k = 0u; k < ${N4}u; k++) {
${unrolled(4, r => `        let a${r} = queries[q${r} + k];`)}
${unrolled(4, c => `        let b${c} = documents[d${c} + k]; s${c} += vec4f(${four(r => `dot(a${r}, b${c})`)});`)}
      }
      top = max(top, max(max(s0, s1), max(s2, s3)));
    }
${unrolled(4, r => `    best[stripe * ${CHUNK}u + 4u * block + ${r}u] = top[${r}];`)}
    workgroupBarrier();
    if (local.x < ${CHUNK}u) {
      for (var s = 1u; s < ${STRIPES}u; s++) { best[local.x] = max(best[local.x], best[s * ${CHUNK}u + local.x]); }
    }
    workgroupBarrier();
    if (params.each != 0u && local.x < min(${CHUNK}u, query.y - i)) {
      scores[(i + local.x) * params.documents + group.x] = best[local.x];
    }
    if (local.x == 0u) {
      for (var r = 0u; r < min(${CHUNK}u, query.y - i); r++) { sum += best[r]; }
    }
    workgroupBarrier();
  }
  if (local.x == 0u && params.each == 0u) { scores[group.y * params.documents + group.x] = sum; }
}`,
  };
}
