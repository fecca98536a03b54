import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { declarations, f32, type Kernel, padded, read, u32, write } from './kernel.ts';
import { FINITE_OR_NAN, FLAT_INDEX, flatGrid, LANES } from './snippets.ts';

export interface QueryKeyNormVariant {
  /** H, G and D, unpadded. */
  readonly heads: number;
  readonly keyHeads: number;
  readonly headSize: number;
  /** What is normalised at once: a head, or all heads of q, and all of k. */
  readonly span: 'head' | 'row';
  readonly kind: 'layer' | 'rms';
  /** Whether there are betas. */
  readonly beta: boolean;
  /** The gammas are 1 + what the checkpoint keeps. */
  readonly unitOffset: boolean;
}

/**
 * y[T, (H + 2 G) D] = qkv with q and k normalised, each with a gamma and a beta of its own, and v copied: LayerNorm, or RMSNorm (Zhang
 * and Sennrich, arXiv 1910.07467).
 *
 *   qkv, y [T, (H + 2 G) D]    query_gamma, query_beta: [D], or [H D]    key_gamma, key_beta: [D], or [G D]
 *   grid: flat, an invocation for each part of a token: a head of q, k or v; or all of q, of k, of v
 *
 * The padding of a head counts for nothing and stays zero.
 */
export function queryKeyNorm(variant: QueryKeyNormVariant): Kernel {
  const { heads, keyHeads, headSize, span, kind, beta, unitOffset } = variant;
  const width = padded(headSize);
  const columns = (heads + 2 * keyHeads) * width;
  const byHead = span === 'head';
  /** Parts of a token, and which of them are of q, and of q and k. */
  const [parts, queryEnd, keyEnd] = byHead ? [heads + 2 * keyHeads, heads, heads + keyHeads] : [3, 1, 2];
  const gains = (part: string) => [
    read(`${part}_gamma`, 'array<f32>'),
    ...(beta ? [read(`${part}_beta`, 'array<f32>')] : []),
  ];
  const bindings = [read('qkv', 'array<f32>'), ...gains('query'), ...gains('key'), write('y', 'array<f32>')];
  const params = [u32('rows'), f32('query_eps'), f32('key_eps')];
  const gamma = (part: string) => `${unitOffset ? '1.0 + ' : ''}${part}_gamma[gain]`;
  return {
    name: `query key norm ${heads}+${keyHeads}x${headSize} ${kind} ${span}${beta ? ' beta' : ''}${unitOffset ? ' offset' : ''}`,
    bindings,
    params,
    workgroups: ({ rows }) => flatGrid(rows! * parts),
    code: wgsl`
${declarations(bindings, params)}
${FINITE_OR_NAN}
@compute @workgroup_size(${LANES})
fn main(@builtin(global_invocation_id) id: vec3u) {
  let index = ${FLAT_INDEX};
  let row = index / ${parts}u;
  if (row >= params.rows) { return; }
  let part = index % ${parts}u;
#if ${byHead}
  let count = 1u;
  let start = row * ${columns}u + part * ${width}u;
#else
  let count = select(${keyHeads}u, ${heads}u, part == 0u);
  let start = row * ${columns}u + select(select(${(heads + keyHeads) * width}u, ${heads * width}u, part == 1u), 0u, part == 0u);
#endif
  if (part >= ${keyEnd}u) {
    for (var at = start; at < start + count * ${width}u; at++) { y[at] = qkv[at]; }
    return;
  }
  let is_query = part < ${queryEnd}u;
  let size = f32(count * ${headSize}u);
  var mean = 0.0;
#if ${kind === 'layer'}
  for (var head = 0u; head < count; head++) {
    for (var d = 0u; d < ${headSize}u; d++) { mean += qkv[start + head * ${width}u + d]; }
  }
  mean /= size;
#endif
  var squares = 0.0;
  for (var head = 0u; head < count; head++) {
    for (var d = 0u; d < ${headSize}u; d++) {
      let deviation = qkv[start + head * ${width}u + d] - mean;
      squares += deviation * deviation;
    }
  }
  let scale = 1.0 / sqrt(finite_or_nan(squares) / size + select(params.key_eps, params.query_eps, is_query));
  for (var head = 0u; head < count; head++) {
    for (var d = 0u; d < ${width}u; d++) {
      let at = start + head * ${width}u + d;
      let gain = head * ${width}u + d;
      if (d >= ${headSize}u) { y[at] = 0.0; continue; }
      let x = (qkv[at] - mean) * scale;
      if (is_query) { y[at] = x * (${gamma('query')})${beta ? ' + query_beta[gain]' : ''}; }
      else { y[at] = x * (${gamma('key')})${beta ? ' + key_beta[gain]' : ''}; }
    }
  }
}`,
  };
}
