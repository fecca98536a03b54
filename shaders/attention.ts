import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { type DistanceTerms, distanceLoop } from './attention-distances.ts';
import { DROPOUT_FACTORS, DROPOUT_PARAMS } from './attention-dropout.ts';
import { keyLoop } from './attention-keys.ts';
import {
  declarations,
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
import { unrolled } from './snippets.ts';

export interface AttentionVariant {
  /** H and D, unpadded. */
  readonly heads: number;
  readonly headSize: number;
  /** G: heads of k and v. Query head h reads key head floor(h G / H). Default: H. */
  readonly keyHeads?: number;
  /** A query sees the keys whose places differ from its own by at most `params.window`. */
  readonly window?: boolean;
  /** Take slopes[head] |key - query| off every scaled score (ALiBi: Press et al., arXiv 2108.12409). */
  readonly slopes?: boolean;
  /** Also write softmax(q k^T * scale): H blocks of [L, L] for every sequence, the blocks of a sequence together. */
  readonly probabilities: boolean;
  /** Write the scaled scores with their bias in the place of the probabilities. Default: false. */
  readonly asScores?: boolean;
  /** Add bias[bucket(key - query)][head] to every scaled score. */
  readonly relative: boolean;
  /** Add the products with the keys and queries of distances before scores are scaled. */
  readonly distances?: DistanceTerms | undefined;
  /** Also write the maximum and 1 / the sum of every softmax, which the backward pass reads. */
  readonly statistics?: boolean;
  /** Multiply the probabilities by 0 or 1 / (1 - p): see attention-dropout.ts. Not beside `probabilities`. */
  readonly dropout?: boolean;
}

export interface AttentionShape {
  /** Invocations of a workgroup. */
  readonly lanes: number;
  /** Neighbouring queries of each invocation. */
  readonly queries: number;
  /** Keys and values pass through workgroup memory. */
  readonly shared: boolean;
}

/**
 * context[T, H D] = softmax(q k^T * scale) v within every sequence and head, with q, k, v side by side in qkv[T, (H + 2 G) D].
 *
 * One workgroup computes one tile: lanes * queries neighbouring queries of one sequence, for one head. Each of its invocations keeps its
 * queries and their sums in registers and walks all keys of the sequence, four at a time, with a running maximum and sum for each query
 * (streaming softmax: Milakov and Gimelshein, arXiv 1805.02867; Dao et al., arXiv 2205.14135). So no [L, L] matrix exists unless the
 * probabilities are asked for; they are computed in a second walk, when the maximum and the sum are known.
 *
 *   tiles[i] = (first key, end, first query, start of the sequence's pairs), in tokens of the pass, the last in pairs of the pass
 *   qkv [T, (H + 2 G) D]    context [T, H D]    probabilities: H blocks of [L, L] a sequence      grid: tiles, H
 *   window, relative, slopes, distances: tokens[T] = (id, position, type, place)
 *   statistics [T, 2 H]: of every query t and head h, in column 2 h the largest score, in 2 h + 1 one over the sum of exp(score - it)
 *   dropout: tiles[i].w is the key of the sequence in the place of the start of its pairs
 *   relative: buckets [2 * 128 + 1]    bias [buckets, H]      slopes: slopes [H]
 *   distances: distance_rows [2 n + 1]    distance_keys and distance_queries [H D / 4, R]: see attention-distances.ts
 *
 * On a GPU 64 invocations share keys through workgroup memory, one query each. On a software adapter a load and a barrier cost more
 * than the products: there every key that is loaded serves several queries, and nothing is shared.
 *
 * With a window a tile walks only the keys that one of its queries may see, so the work grows with L and not with L^2. Places differ by
 * at least as much as indices do, so no key that is left out is seen. A query may meet keys that it does not see before the first one
 * that it does: they have the lowest score and add nothing.
 *
 * Keys are counted from the start of the sequence, so the result of a sequence has the same bits anywhere in any batch. The bias depends
 * on the distance of two tokens from -128 to 128, counted between the places that they had in their row before padding was removed.
 * D is padded to a multiple of four; the weights that compute the padding are zero.
 */
export function attention(variant: AttentionVariant, shape: AttentionShape, texture: TextureKind | undefined): Kernel {
  const { heads, headSize, keyHeads = heads, probabilities, relative, window = false, slopes = false } = variant;
  const { asScores = false, statistics = false, dropout = false } = variant;
  if (dropout && probabilities) throw new Error('attention gives no probabilities where it has dropout');
  const distances = distanceLoop(variant.distances, headSize, texture);
  const { lanes, queries } = shape;
  const D4 = padded(headSize) / 4;
  const qkv = texture ? texel('qkv', 'rgba32float', texture) : read('qkv');
  const bindings = [
    read('tiles', 'array<vec4u>'),
    qkv,
    ...(relative || window || slopes || variant.distances ? [read('tokens', 'array<vec4u>')] : []),
    ...(relative ? [read('buckets', 'array<u32>'), read('bias', 'array<f32>')] : []),
    ...(slopes ? [read('slopes', 'array<f32>')] : []),
    ...distances.bindings,
    write('context'),
    ...(probabilities ? [write('probabilities', 'array<f32>')] : []),
    ...(statistics ? [write('statistics', 'array<vec2f>')] : []),
  ];
  const params = [
    u32('tiles'),
    f32('scale'),
    ...(window ? [u32('window')] : []),
    ...(dropout ? DROPOUT_PARAMS : []),
    ...FIRST_GROUP,
  ];
  const keys = keyLoop({ heads, headSize, keyHeads, relative, window, slopes, ...shape, qkv, distances });
  const stride = (heads + 2 * keyHeads) * D4;
  const shared = keyHeads === heads ? '' : `+${keyHeads}`;
  const suffixes = [
    relative && ' relative',
    slopes && ' slopes',
    variant.distances && ' disentangled',
    window && ' window',
    probabilities && (asScores ? ' scores' : ' probabilities'),
    statistics && ' statistics',
    dropout && ' dropout',
  ];
  /** A row of statistics is whole vec4f, so an odd head has a vec2f of padding behind it. */
  const noted = (query: string, value: string) => {
    const at = `statistics[(${query}) * ${padded(2 * heads) / 2}u + `;
    const padding = heads % 2 ? `\n    if (head == ${heads - 1}u) { ${at}${heads}u] = vec2f(); }` : '';
    return `\n    ${at}head] = ${value};${padding}`;
  };
  const perQuery = (text: (r: number) => string) => unrolled(queries, text);
  const perColumn4 = (text: (d: number) => string) => unrolled(D4, text);

  return {
    name: `attention ${heads}${shared}x${headSize}${suffixes.filter(Boolean).join('')}`,
    bindings,
    params,
    workgroups: ({ tiles }) => [tiles!, heads, 1],
    // For each query r: q{r} [D]; top{r}, its largest score so far; sum{r} of exp(score - top{r}); a{r} [D], the sum of exp(score - top{r}) v.
    code: wgsl`
${declarations(bindings, params)}
const LOWEST = -3.0e38;
const LANE = vec4u(0u, 1u, 2u, 3u);${keys.declarations}${dropout ? DROPOUT_FACTORS : ''}

@compute @workgroup_size(${lanes})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let tile = tiles[group.x + params.first_x];
  let start = tile.x;
  let end = tile.y;
  let head = group.y + params.first_y;
  let first = tile.z + local.x * ${queries}u;${keys.places}
${perQuery(
  r => `  let q${r}_at = min(first + ${r}u, end - 1u) * ${stride}u + head * ${D4}u;
  var top${r} = LOWEST;
  var sum${r} = 0.0;
${perColumn4(d => `  let q${r}_${d} = ${element(qkv, `q${r}_at + ${d}u`)}; var a${r}_${d} = vec4f();`)}`,
)}
  ${keys.walk}
    ${keys.fill(true)}
    ${keys.scores}
${perQuery(
  r => `    let next${r} = max(top${r}, max(max(s${r}.x, s${r}.y), max(s${r}.z, s${r}.w)));
    let keep${r} = exp(top${r} - next${r});
    ${dropout ? 'var' : 'let'} p${r} = ${keys.seen(r, `exp(s${r} - next${r})`)};
    top${r} = next${r};
    sum${r} = sum${r} * keep${r} + dot(p${r}, vec4f(1.0));
${dropout ? `    p${r} *= dropout_factors(key - start, first + ${r}u - start, head, tile.w);\n` : ''}${perColumn4(d => `    a${r}_${d} *= keep${r};`)}`,
)}
    for (var j = 0u; j < 4u; j++) {
      let at = ${keys.at};
${perQuery(r => `      let p${r}_j = dot(p${r}, select(vec4f(), vec4f(1.0), LANE == vec4u(j)));`)}
${perColumn4(d => `      { let v = ${keys.value(d)}; ${perQuery(r => `a${r}_${d} += p${r}_j * v;`)} }`)}
    }
  }
${perQuery(
  r => `  if (first + ${r}u < end) {
${perColumn4(d => `    context[(first + ${r}u) * ${heads * D4}u + head * ${D4}u + ${d}u] = a${r}_${d} / sum${r};`)}${statistics ? noted(`first + ${r}u`, `vec2f(top${r}, 1.0 / sum${r})`) : ''}
  }`,
)}
#if ${probabilities}
  let L = end - start;
  for (var key = start; key < end; key += 4u) {
    ${keys.fill(false)}
    ${keys.scores}
${perQuery(
  r => `    if (first + ${r}u < end) {
      let p = ${asScores ? `s${r}` : `${keys.seen(r, `exp(s${r} - top${r})`)} / sum${r}`};
      let at = tile.w * ${heads}u + (head * L + first + ${r}u - start) * L + key - start;
${unrolled(4, j => `      if (valid[${j}]) { probabilities[at + ${j}u] = p[${j}]; }`)}
    }`,
)}
  }
#endif
}`,
  };
}
