import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { declarations, f32, type Kernel, LANES, read, reduce, u32, write } from './kernel.ts';

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
var<workgroup> partial: array<f32, ${LANES}>;

fn pooled(start: u32, end: u32, i: u32) -> vec4f {
  if (params.pooling == ${POOLINGS.cls}u) { return x[start * ${C4}u + i]; }
  if (params.pooling == ${POOLINGS.last}u) { return x[(end - 1u) * ${C4}u + i]; }
  var out = x[start * ${C4}u + i];
  for (var t = start + 1u; t < end; t++) {
    let next = x[t * ${C4}u + i];
    out = select(out + next, max(out, next), params.pooling == ${POOLINGS.max}u);
  }
  return select(out / f32(end - start), out, params.pooling == ${POOLINGS.max}u);
}

@compute @workgroup_size(${LANES})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let lane = local.x;
  let sequence = sequences[group.x];
  var squares = 0.0;
  for (var i = lane; i < ${N4}u; i += ${LANES}u) {
    var out = pooled(sequence.x, sequence.y, i);
#if ${kept % 4 !== 0}
    out = select(vec4f(), out, vec4u(4u * i) + vec4u(0u, 1u, 2u, 3u) < vec4u(${kept}u));
#endif
    y[group.x * ${N4}u + i] = out;
    squares += dot(out, out);
  }
  if (params.normalize == 0u) { return; }
  partial[lane] = squares;
${reduce(LANES, 'partial[lane] += partial[other];')}
  let scale = 1.0 / max(sqrt(partial[0]), params.floor);
  for (var i = lane; i < ${N4}u; i += ${LANES}u) { y[group.x * ${N4}u + i] *= scale; }
}`,
  };
}
