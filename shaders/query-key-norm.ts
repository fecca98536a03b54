import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { declarations, f32, type Kernel, padded, read, u32, write } from './kernel.ts';
import { normaliseRow, normFunctions, rowIndex } from './norm.ts';
import type { RowShape } from './snippets.ts';

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
 *   grid: T / rows, and the parts of a token: its heads of q, k and v; or all of q, of k, of v
 *
 * A part of `rows` tokens, or of one with `lanes` invocations, is a workgroup's: see RowShape. No more invocations share a part than it
 * has vec4f, because a head is short. The padding of a head counts for nothing and stays zero.
 */
export function queryKeyNorm(variant: QueryKeyNormVariant, { lanes: most, rows: height }: RowShape): Kernel {
  const { heads, keyHeads, headSize, span, kind, beta, unitOffset } = variant;
  const D4 = padded(headSize) / 4;
  const byHead = span === 'head';
  /** Heads of a part of q, of k or v, and the parts of a token: those of q, then as many of k as of v. */
  const [queryCount, keyCount] = byHead ? [1, 1] : [heads, keyHeads];
  const [queryEnd, keyEnd, parts] = byHead ? [heads, heads + keyHeads, heads + 2 * keyHeads] : [1, 2, 3];
  const lanes = Math.min(most, 2 ** Math.ceil(Math.log2(Math.max(queryCount, keyCount) * D4)));
  const gains = (part: string) => [read(`${part}_gamma`), ...(beta ? [read(`${part}_beta`)] : [])];
  const bindings = [read('qkv'), ...gains('query'), ...gains('key'), write('y')];
  const params = [u32('rows'), f32('query_eps'), f32('key_eps')];
  const normaliseAs = (part: 'query' | 'key', count: number) => `fn normalise_${part}(at: u32, lane: u32) {
${normaliseRow(
  {
    kind,
    beta,
    unitOffset,
    columns: count * headSize,
    head: headSize,
    names: { gamma: `${part}_gamma`, beta: `${part}_beta`, eps: `${part}_eps` },
  },
  lanes,
)}
}`;
  return {
    name: `query key norm ${heads}+${keyHeads}x${headSize} ${kind} ${span}${beta ? ' beta' : ''}${unitOffset ? ' offset' : ''}`,
    bindings,
    params,
    workgroups: ({ rows }) => [Math.ceil(rows! / height), parts, 1],
    code: wgsl`
${declarations(bindings, params)}
${normFunctions(lanes)}
${normaliseAs('query', queryCount)}
${normaliseAs('key', keyCount)}

@compute @workgroup_size(${lanes}, ${height})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let row = ${rowIndex({ lanes: lanes, rows: height })};
  if (row >= params.rows) { return; }
  let part = group.y;
  let first = select(${queryEnd * queryCount}u + (part - ${queryEnd}u) * ${keyCount}u, part * ${queryCount}u, part < ${queryEnd}u);
  let count = select(${keyCount * D4}u, ${queryCount * D4}u, part < ${queryEnd}u);
  let at = (row * ${heads + 2 * keyHeads}u + first) * ${D4}u;
  for (var i = local.x; i < count; i += ${lanes}u) { y[at + i] = qkv[at + i]; }
  if (part < ${queryEnd}u) {
    normalise_query(at, local.x);
  } else if (part < ${keyEnd}u) {
    normalise_key(at, local.x);
  }
}`,
  };
}
