import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import type { DistanceLoop } from './attention-distances.ts';
import { type Binding, element, padded } from './kernel.ts';
import { unrolled } from './snippets.ts';

/** Distances of more tokens than this share a bucket with it (max_distance of MPNet and T5). */
export const MAX_DISTANCE = 128;

/** WGSL of the loop over the keys of a sequence, which takes four keys a step, from `key`: see attention.ts. */
export interface KeyLoop {
  /** Workgroup memory and functions. */
  readonly declarations: string;
  /** Before the loop: the places of the queries, where distances are needed. */
  readonly places: string;
  /** The head of the loop over all keys that a query of the tile may see. */
  readonly walk: string;
  /** First in a step. Where keys pass through workgroup memory, loads the next tile of them as the loop comes to it, with its values. */
  readonly fill: (values: boolean) => string;
  /** Next in a step: s{r}, the scaled scores of query r with the four keys. Keys that it does not see get the lowest score. */
  readonly scores: string;
  /** `weights` of the four keys for query r, 0 where it does not see the key: the lowest score may be the best so far. */
  readonly seen: (r: number, weights: string) => string;
  /** The index, as `value` takes it, of key j of the four. */
  readonly at: string;
  /** vec4f number d of the value at `at`. */
  readonly value: (d: number) => string;
}

/** Workgroup memory that every device has, in bytes. */
const WORKGROUP_BYTES = 16384;

/** The variant and the shape of the kernel: see attention.ts. */
export interface KeyLoopOptions {
  readonly heads: number;
  readonly headSize: number;
  readonly keyHeads: number;
  readonly relative: boolean;
  readonly window: boolean;
  readonly slopes: boolean;
  readonly lanes: number;
  readonly queries: number;
  readonly shared: boolean;
  readonly qkv: Binding;
  readonly distances: DistanceLoop;
}

export function keyLoop(options: KeyLoopOptions): KeyLoop {
  const { heads, headSize, keyHeads, relative, window, slopes, lanes, queries, shared, qkv, distances } = options;
  const D4 = padded(headSize) / 4;
  /** vec4f from one token to the next: q, k and v. */
  const stride = (heads + 2 * keyHeads) * D4;
  /** The head of k and v that the queries of a head read. */
  const keyHead = keyHeads === heads ? 'head' : `(head / ${heads / keyHeads}u)`;
  const load = (index: string) => element(qkv, index);
  const perQuery = (text: (r: number) => string) => unrolled(queries, text);
  /** Keys in workgroup memory at once: as many fours as fit beside their values, 32 keys at most. */
  const tileKeys = shared ? Math.min(32, 4 * Math.floor(WORKGROUP_BYTES / (4 * 2 * D4 * 16))) : 4;
  const key = (d: number) => (shared ? `k_tile[at + ${d}u]` : load(`at + ${d}u`));
  const at = shared
    ? `((key - start) % ${tileKeys}u + j) * ${D4}u`
    : `min(key + j, end - 1u) * ${stride}u + ${heads * D4}u + ${keyHead} * ${D4}u`;
  /** The distances of the four keys are needed beyond the buckets of a bias. */
  const places = window || slopes;
  const keyDistances = places
    ? `    let places = vec4i(${[0, 1, 2, 3].map(j => `i32(tokens[min(key + ${j}u, end - 1u)].w)`).join(', ')});
${perQuery(
  r =>
    `    let distances${r} = abs(places - vec4i(place${r}));${
      slopes ? `\n    s${r} -= slopes[head] * vec4f(distances${r});` : ''
    }`,
)}
`
    : '';

  return {
    at,
    value: d => (shared ? `v_tile[at + ${d}u]` : load(`at + ${keyHeads * D4 + d}u`)),
    declarations: wgsl`
#if ${shared}
var<workgroup> k_tile: array<vec4f, ${tileKeys * D4}>;
var<workgroup> v_tile: array<vec4f, ${tileKeys * D4}>;
#endif

#if ${relative}
fn bias_of(query: u32, key: u32, head: u32) -> f32 {
  let distance = clamp(i32(tokens[key].w) - i32(tokens[query].w), -${MAX_DISTANCE}, ${MAX_DISTANCE}) + ${MAX_DISTANCE};
  return bias[buckets[distance] * ${padded(heads)}u + head];
}
#endif${distances.declarations}`,
    places: places ? `\n${perQuery(r => `  let place${r} = i32(tokens[min(first + ${r}u, end - 1u)].w);`)}` : '',
    seen: (r, weights) => (window ? `select(vec4f(), ${weights}, seen${r})` : weights),
    // The steps begin where they would begin in a walk over all keys, so that a row's bits do not depend on the tile. Queries before the
    // first key stand elsewhere in their row than here: they walk all keys.
    walk: window
      ? `let is_before = tile.z < start;
  let before = tile.z - start;
  let skipped = select((before - params.window) / ${tileKeys}u * ${tileKeys}u, 0u, is_before || before <= params.window);
  let walk_start = start + skipped;
  let walk_end = select(min(end, tile.z + ${lanes * queries}u + params.window), end, is_before);
  for (var key = walk_start; key < walk_end; key += 4u) {`
      : 'for (var key = start; key < end; key += 4u) {',
    fill: values => wgsl`
#if ${shared}
    if ((key - start) % ${tileKeys}u == 0u) {
      workgroupBarrier();
      for (var i = local.x; i < ${tileKeys * D4}u; i += ${lanes}u) {
        let at = min(key + i / ${D4}u, end - 1u) * ${stride}u + ${heads * D4}u + ${keyHead} * ${D4}u + i % ${D4}u;
        k_tile[i] = ${load('at')};
#if ${values}
        v_tile[i] = ${load(`at + ${keyHeads * D4}u`)};
#endif
      }
      workgroupBarrier();
    }
#endif`,
    // A loop over the four keys, not four copies of its body: the compile time of a kernel grows with its text.
    scores: wgsl`
    let valid = vec4u(key) + LANE < vec4u(end);
${perQuery(r => `    var s${r} = vec4f();`)}
    for (var j = 0u; j < 4u; j++) {
      let at = ${at};
${perQuery(r => `      var t${r} = 0.0;${distances.row(r, `min(first + ${r}u, end - 1u)`, 'min(key + j, end - 1u)')}`)}
${unrolled(D4, d => `      { let k = ${key(d)}; ${perQuery(r => `t${r} += dot(q${r}_${d}, k)${distances.product(r, d)};`)} }`)}
${perQuery(
  r => wgsl`
      t${r} *= params.scale;
#if ${relative}
      t${r} += bias_of(min(first + ${r}u, end - 1u), min(key + j, end - 1u), head);
#endif
      s${r} = select(s${r}, vec4f(t${r}), LANE == vec4u(j));`,
)}
    }
${keyDistances}${perQuery(r =>
  window
    ? `    let seen${r} = valid & (distances${r} <= vec4i(i32(params.window)));
    s${r} = select(vec4f(LOWEST), s${r}, seen${r});`
    : `s${r} = select(vec4f(LOWEST), s${r}, valid);`,
)}`,
  };
}
