import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import {
  declarations,
  each,
  element,
  FIRST_GROUP,
  f32,
  type Kernel,
  padded,
  read,
  type TextureKind,
  texel,
  u32,
  write,
} from './kernel.ts';

export interface AttentionVariant {
  /** H and D, unpadded. */
  readonly heads: number;
  readonly headSize: number;
  /** Also write softmax(q k^T): H blocks of L x L for every sequence, blocks of a sequence together. */
  readonly probabilities: boolean;
  /** Adds bias[bucket(key - query)][head] to every scaled score. */
  readonly relative: boolean;
}

/** Distances between tokens are told apart up to this one (MPNet's and T5's max_distance). */
export const MAX_DISTANCE = 128;

export interface AttentionShape {
  /** Queries of one workgroup: `lanes` invocations, each with `queries` neighbouring ones. */
  readonly lanes: number;
  readonly queries: number;
  /** Keys and values pass through workgroup memory. */
  readonly shared: boolean;
}

/**
 * context[T, H D] = softmax(q k^T * scale) v within every sequence and head, with q, k, v side by side in qkv[T, 3 H D].
 *
 * Streaming softmax: the keys pass once, four at a time, with a running maximum and sum per query (Milakov and Gimelshein,
 * arXiv 1805.02867; Dao et al., arXiv 2205.14135), so no L x L matrix exists unless asked for. One workgroup serves one tile of
 * one sequence and one head: tiles[i] = (start, end, first query, start of the sequence's pairs), all but the last in tokens of
 * the pass. Keys are counted from the start of the sequence, so a sequence's result is the same bits anywhere in any batch.
 *
 * A relative bias is a table bias[bucket][H] and the bucket of every distance from -128 to 128; further ones count as 128. Distances
 * are between the places that tokens (id, position, type, place) had in their row.
 *
 * The head size is padded to a multiple of four by rows of zero weight.      grid: tiles, H
 */
export function attention(
  variant: AttentionVariant,
  { lanes, queries, shared }: AttentionShape,
  texture: TextureKind | undefined,
): Kernel {
  const { heads, headSize, probabilities, relative } = variant;
  const D4 = padded(headSize) / 4;
  const S4 = 3 * heads * D4;
  const qkv = texture ? texel('qkv', 'rgba32float', texture) : read('qkv');
  const load = (index: string) => element(qkv, index);
  const bindings = [
    read('tiles', 'array<vec4u>'),
    qkv,
    ...(relative ? [read('tokens', 'array<vec4u>'), read('buckets', 'array<u32>'), read('bias', 'array<f32>')] : []),
    write('context'),
    ...(probabilities ? [write('probabilities', 'array<f32>')] : []),
  ];
  const params = [u32('tiles'), f32('scale'), ...FIRST_GROUP];
  const ofQuery = (text: (r: number) => string) => each(queries, text);
  const ofColumn = (text: (d: number) => string) => each(D4, text);
  // As many keys as the 16 KiB of workgroup memory that every adapter has take, 32 at most.
  const tileKeys = shared ? Math.min(32, 4 * Math.floor(16384 / (4 * 2 * D4 * 16))) : 4;
  const key = (d: number) => (shared ? `k_tile[at + ${d}u]` : load(`at + ${d}u`));
  const value = (d: number) => (shared ? `v_tile[at + ${d}u]` : load(`at + ${heads * D4 + d}u`));
  /** Where key j of the four stands. A loop over the four, not four copies: a kernel's compile time grows with its text. */
  const at = shared
    ? `((key - start) % ${tileKeys}u + j) * ${D4}u`
    : `min(key + j, end - 1u) * ${S4}u + ${heads * D4}u + head * ${D4}u`;

  /** The start of the loop over keys, four at a time; `fill` fills the tile of workgroup memory that they are in. */
  const fill = (values: boolean) => wgsl`
#if ${shared}
    if ((key - start) % ${tileKeys}u == 0u) {
      workgroupBarrier();
      for (var i = local.x; i < ${tileKeys * D4}u; i += ${lanes}u) {
        let at = min(key + i / ${D4}u, end - 1u) * ${S4}u + ${heads * D4}u + head * ${D4}u + i % ${D4}u;
        k_tile[i] = ${load('at')};
#if ${values}
        v_tile[i] = ${load(`at + ${heads * D4}u`)};
#endif
      }
      workgroupBarrier();
    }
#endif`;

  /** s{r}: the scaled scores of query r with the four keys from `key`; those past the end get the lowest float. */
  const scores = wgsl`
    let valid = vec4u(key) + LANE < vec4u(end);
${ofQuery(r => `    var s${r} = vec4f();`)}
    for (var j = 0u; j < 4u; j++) {
      let at = ${at};
${ofQuery(r => `      var t${r} = 0.0;`)}
${ofColumn(d => `      { let k = ${key(d)}; ${ofQuery(r => `t${r} += dot(q${r}_${d}, k);`)} }`)}
${ofQuery(
  r => wgsl`
      t${r} *= params.scale;
#if ${relative}
      t${r} += bias_of(min(first + ${r}u, end - 1u), min(key + j, end - 1u), head);
#endif
      s${r} = select(s${r}, vec4f(t${r}), LANE == vec4u(j));`,
)}
    }
${ofQuery(r => `s${r} = select(vec4f(LOWEST), s${r}, valid);`)}`;

  return {
    name: `attention ${heads}x${headSize}${relative ? ' relative' : ''}${probabilities ? ' probabilities' : ''}`,
    bindings,
    params,
    workgroups: ({ tiles }) => [tiles!, heads, 1],
    code: wgsl`
${declarations(bindings, params)}
const LOWEST = -3.0e38;
const LANE = vec4u(0u, 1u, 2u, 3u);
#if ${shared}
var<workgroup> k_tile: array<vec4f, ${tileKeys * D4}>;
var<workgroup> v_tile: array<vec4f, ${tileKeys * D4}>;
#endif

#if ${relative}
fn bias_of(query: u32, key: u32, head: u32) -> f32 {
  let distance = clamp(i32(tokens[key].w) - i32(tokens[query].w), -${MAX_DISTANCE}, ${MAX_DISTANCE}) + ${MAX_DISTANCE};
  return bias[buckets[distance] * ${padded(heads)}u + head];
}
#endif

@compute @workgroup_size(${lanes})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let tile = tiles[group.x + params.first_x];
  let start = tile.x;
  let end = tile.y;
  let head = group.y + params.first_y;
  let first = tile.z + local.x * ${queries}u;
${ofQuery(
  r => `  let q${r}_at = min(first + ${r}u, end - 1u) * ${S4}u + head * ${D4}u;
  var top${r} = LOWEST;
  var sum${r} = 0.0;
${ofColumn(d => `  let q${r}_${d} = ${load(`q${r}_at + ${d}u`)}; var a${r}_${d} = vec4f();`)}`,
)}
  for (var key = start; key < end; key += 4u) {
    ${fill(true)}
    ${scores}
${ofQuery(
  r => `    let next${r} = max(top${r}, max(max(s${r}.x, s${r}.y), max(s${r}.z, s${r}.w)));
    let keep${r} = exp(top${r} - next${r});
    let p${r} = exp(s${r} - next${r});
    top${r} = next${r};
    sum${r} = sum${r} * keep${r} + dot(p${r}, vec4f(1.0));
${ofColumn(d => `    a${r}_${d} *= keep${r};`)}`,
)}
    for (var j = 0u; j < 4u; j++) {
      let at = ${at};
${ofQuery(r => `      let p${r}_j = dot(p${r}, select(vec4f(), vec4f(1.0), LANE == vec4u(j)));`)}
${ofColumn(d => `      { let v = ${value(d)}; ${ofQuery(r => `a${r}_${d} += p${r}_j * v;`)} }`)}
    }
  }
${ofQuery(
  r => `  if (first + ${r}u < end) {
${ofColumn(d => `    context[(first + ${r}u) * ${heads * D4}u + head * ${D4}u + ${d}u] = a${r}_${d} / sum${r};`)}
  }`,
)}
#if ${probabilities}
  let L = end - start;
  for (var key = start; key < end; key += 4u) {
    ${fill(false)}
    ${scores}
${ofQuery(
  r => `    if (first + ${r}u < end) {
      let p = exp(s${r} - top${r}) / sum${r};
      let at = tile.w * ${heads}u + (head * L + first + ${r}u - start) * L + key - start;
${each(4, j => `      if (valid[${j}]) { probabilities[at + ${j}u] = p[${j}]; }`)}
    }`,
)}
  }
#endif
}`,
  };
}
