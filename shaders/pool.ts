import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { declarations, FINITE_OR_NAN, f32, IS_NAN, type Kernel, LANES, read, total, u32, write } from './kernel.ts';

/** How the tokens of a sequence become one row, as the number that the kernel is given. */
export const POOLINGS = { mean: 0, cls: 1, max: 2, last: 3 } as const;
export type Pooling = keyof typeof POOLINGS;

export interface PoolVariant {
  /** C of the input and of the output, unpadded; the output may be shorter (Matryoshka truncation, before the norm). */
  readonly columns: number;
  readonly kept: number;
}

/**
 * y[B, kept] = normalise(pool(x[T, C] over the tokens of each sequence)[0 .. kept])
 *
 * One workgroup takes one sequence; its 64 invocations take a vec4f of columns each, in turn. How it pools, and whether the L2
 * norm follows (max(norm, 1e-12) as torch.nn.functional.normalize), are params: one pipeline serves every request.
 *      sequences[B] = (start, end, ...)      grid: B
 */
export function pool({ columns, kept }: PoolVariant): Kernel {
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

@compute @workgroup_size(${LANES})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let lane = local.x;
  let is_max = params.pooling == ${POOLINGS.max}u;
  // One token alone is its own mean.
  var start = sequences[group.x].x;
  var end = sequences[group.x].y;
  if (params.pooling == ${POOLINGS.cls}u) { end = start + 1u; }
  if (params.pooling == ${POOLINGS.last}u) { start = end - 1u; }
  var squares = 0.0;
  for (var i = lane; i < ${N4}u; i += ${LANES}u) {
    var out = x[start * ${C4}u + i];
    for (var t = start + 1u; t < end; t++) {
      let next = x[t * ${C4}u + i];
      let greater = select(max(out, next), out + next, is_nan(out) | is_nan(next));
      out = select(out + next, greater, is_max);
    }
    if (!is_max) { out /= f32(end - start); }
#if ${kept % 4 !== 0}
    out = select(vec4f(), out, vec4u(4u * i) + vec4u(0u, 1u, 2u, 3u) < vec4u(${kept}u));
#endif
    y[group.x * ${N4}u + i] = out;
    squares += dot(out, out);
  }
  if (params.normalize == 0u) { return; }
  let scale = 1.0 / finite_or_nan(max(sqrt(total(squares, lane)), params.floor));
  for (var i = lane; i < ${N4}u; i += ${LANES}u) { y[group.x * ${N4}u + i] *= scale; }
}`,
  };
}
