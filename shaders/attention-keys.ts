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
  /** First in a step. Where keys pass through workgroup memory, loads the next tile of them as the loop comes to it, with its values. */
  readonly fill: (values: boolean) => string;
  /** Next in a step: s{r}, the scaled scores of query r with the four keys. Keys past the end get the lowest score. */
  readonly scores: string;
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
  readonly relative: boolean;
  readonly lanes: number;
  readonly queries: number;
  readonly shared: boolean;
  readonly qkv: Binding;
  readonly distances: DistanceLoop;
}

export function keyLoop(options: KeyLoopOptions): KeyLoop {
  const { heads, headSize, relative, lanes, queries, shared, qkv, distances } = options;
  const D4 = padded(headSize) / 4;
  /** vec4f from one token to the next: q, k and v. */
  const stride = 3 * heads * D4;
  const load = (index: string) => element(qkv, index);
  const perQuery = (text: (r: number) => string) => unrolled(queries, text);
  /** Keys in workgroup memory at once: as many fours as fit beside their values, 32 keys at most. */
  const tileKeys = shared ? Math.min(32, 4 * Math.floor(WORKGROUP_BYTES / (4 * 2 * D4 * 16))) : 4;
  const key = (d: number) => (shared ? `k_tile[at + ${d}u]` : load(`at + ${d}u`));
  const at = shared
    ? `((key - start) % ${tileKeys}u + j) * ${D4}u`
    : `min(key + j, end - 1u) * ${stride}u + ${heads * D4}u + head * ${D4}u`;

  return {
    at,
    value: d => (shared ? `v_tile[at + ${d}u]` : load(`at + ${heads * D4 + d}u`)),
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
    fill: values => wgsl`
#if ${shared}
    if ((key - start) % ${tileKeys}u == 0u) {
      workgroupBarrier();
      for (var i = local.x; i < ${tileKeys * D4}u; i += ${lanes}u) {
        let at = min(key + i / ${D4}u, end - 1u) * ${stride}u + ${heads * D4}u + head * ${D4}u + i % ${D4}u;
        k_tile[i] = ${load('at')};
#if ${values}
        v_tile[i] = ${load(`at + ${heads * D4}u`)};
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
${perQuery(r => `s${r} = select(vec4f(LOWEST), s${r}, valid);`)}`,
  };
}
