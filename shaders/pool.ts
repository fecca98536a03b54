import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { declarations, f32, type Kernel, read, u32, write } from './kernel.ts';
import { columnsAt, FINITE_OR_NAN, IS_NAN, LANES, total } from './snippets.ts';

/** How the tokens of a sequence become one row, and the numbers that stand for it in the params. */
export const POOLINGS = { mean: 0, cls: 1, max: 2, last: 3, mean_sqrt: 4, weighted: 5 } as const;
export type Pooling = keyof typeof POOLINGS;

/** Several poolings as one param: four bits for each, the first in the lowest. */
export const packPoolings = (poolings: readonly Pooling[]): number =>
  poolings.reduce((packed, pooling, i) => packed | (POOLINGS[pooling] << (4 * i)), 0);

export interface PoolVariant {
  /** C of the input. */
  readonly columns: number;
  /** How many poolings are concatenated. */
  readonly poolings: number;
  /** Columns of the output, unpadded: poolings * C. A single pooling may keep fewer (Matryoshka truncation, before the norm). */
  readonly kept: number;
}

/**
 * y[B, kept] = normalise(concat(pool_i(x[T, C] over the tokens of each sequence) for each pooling i)[0 .. kept])
 *
 *   mean       the sum over the n tokens / n             max    the greatest of each column
 *   mean_sqrt  the sum over the n tokens / sqrt(n)       cls    the first token      last   the last token
 *   weighted   the mean weighted by the place of a token in its sequence: 1, 2, 3, ...
 *
 * One workgroup computes one sequence; its 64 invocations take the columns in turn, four at a time. How it pools is a param, and so is
 * whether the L2 norm follows (divided by max(norm, 1e-12), as torch.nn.functional.normalize does), so one pipeline serves every request
 * with as many poolings. A column is one chain of additions in the order of the tokens, so its bits do not depend on the pass.
 *
 *   sequences [B] = (start, end, _, tokens to skip at the start)    x [T, C]    y [B, kept]      grid: B
 *
 * Skipped tokens (a prompt) still count for the places of `weighted`. If all tokens are skipped, cls is the first token and every other
 * pooling is zero, as in sentence-transformers (except max, which is minus infinity there).
 */
export function pool({ columns, poolings, kept }: PoolVariant): Kernel {
  const C4 = Math.ceil(columns / 4);
  const N4 = Math.ceil(kept / 4);
  const bindings = [read('sequences', 'array<vec4u>'), read('x'), write('y')];
  const params = [u32('sequences'), u32('pooling'), u32('normalize'), f32('floor')];
  return {
    name: `pool ${columns}${kept === columns ? '' : `>${kept}`}`,
    bindings,
    params,
    workgroups: ({ sequences }) => [sequences!, 1, 1],
    code: wgsl`
${declarations(bindings, params)}
${total(LANES)}
${FINITE_OR_NAN}
${IS_NAN}

// Columns 4 i to 4 i + 3 of a sequence after one pooling.
fn pooled(pooling: u32, sequence: vec4u, i: u32) -> vec4f {
  var end = sequence.y;
  var first = min(sequence.x + sequence.w, end);
  if (pooling == ${POOLINGS.cls}u) {
    if (first >= end) { first = sequence.x; }
    end = first + 1u;
  }
  if (first >= end) { return vec4f(); }
  if (pooling == ${POOLINGS.last}u) { first = end - 1u; }
  let is_max = pooling == ${POOLINGS.max}u;
  let is_weighted = pooling == ${POOLINGS.weighted}u;
  var weight = select(1.0, f32(first - sequence.x + 1u), is_weighted);
  let step = select(0.0, 1.0, is_weighted);
  var weights = weight;
  var out = x[first * ${C4}u + i] * weight;
  for (var t = first + 1u; t < end; t++) {
    let next = x[t * ${C4}u + i];
    weight += step;
    weights += weight;
    let greater = select(max(out, next), out + next, is_nan(out) | is_nan(next));
    out = select(out + next * weight, greater, is_max);
  }
  if (is_max) { return out; }
  return out / select(weights, sqrt(weights), pooling == ${POOLINGS.mean_sqrt}u);
}

#if ${poolings > 1}
fn pooling_of(block: u32) -> u32 { return (params.pooling >> (4u * block)) & 15u; }

#if ${columns % 4 !== 0}
// C is no multiple of four: a vec4f of the output may have columns of two poolings.
fn column(c: u32, sequence: vec4u) -> f32 {
  if (c >= ${kept}u) { return 0.0; }
  let of_input = c % ${columns}u;
  let four = pooled(pooling_of(c / ${columns}u), sequence, of_input / 4u);
  return four[of_input % 4u];
}
#endif
#endif

fn row(i: u32, sequence: vec4u) -> vec4f {
#if ${poolings === 1}
  let out = pooled(params.pooling, sequence, i);
#elif ${columns % 4 === 0}
  let out = pooled(pooling_of(i / ${C4}u), sequence, i % ${C4}u);
#else
  let c = 4u * i;
  let out = vec4f(column(c, sequence), column(c + 1u, sequence), column(c + 2u, sequence), column(c + 3u, sequence));
#endif
#if ${kept % 4 !== 0}
  return select(vec4f(), out, ${columnsAt('i')} < vec4u(${kept}u));
#else
  return out;
#endif
}

@compute @workgroup_size(${LANES})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let lane = local.x;
  let sequence = sequences[group.x];
  var squares = 0.0;
  for (var i = lane; i < ${N4}u; i += ${LANES}u) {
    let out = row(i, sequence);
    y[group.x * ${N4}u + i] = out;
    squares += dot(out, out);
  }
  if (params.normalize == 0u) { return; }
  let scale = 1.0 / finite_or_nan(max(sqrt(total(squares, lane)), params.floor));
  for (var i = lane; i < ${N4}u; i += ${LANES}u) { y[group.x * ${N4}u + i] *= scale; }
}`,
  };
}
