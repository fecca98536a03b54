import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { declarations, FIRST_GROUP, f32, type Kernel, read, u32, write } from './kernel.ts';
import { SCALARS } from './scalars.ts';
import { FLAT_INDEX_OF_PART, FLAT_LANES, flatGrid, MARK_LANES, MARKED_VECTORS } from './snippets.ts';

/** 'torch': torch.optim.AdamW. 'bert': AdamWeightDecayOptimizer of google-research/bert, optimization.py. */
export type AdamWKind = 'torch' | 'bert';

/**
 * One step of AdamW (Loshchilov and Hutter, arXiv 1711.05101) on `count` vec4f from number `first` on, with g = gradient times the factor of
 * clip.ts:
 *
 *   m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g^2
 *   torch   weight = weight (1 - learning_rate decay) - learning_rate / correction1 m / (sqrt(v) / sqrt(correction2) + epsilon)
 *   bert    weight = weight - learning_rate (m / (sqrt(v) + epsilon) + decay weight)
 *
 * Where the gradient is not finite (scalars.ts), it writes nothing. Numbers whose gradient has always been 0, as padding's and those of words
 * that no text has, change only by the decay: zeros stay zeros. Where there are marks (segment-sum.ts), nothing without
 * one is read but, with a decay, its weight.
 *
 *   weight, gradient, m, v: arrays with equal offsets    scalars f32    seen u32 of every 128 vec4f, where there are marks
 *   grid: flat, one invocation for a vec4f; where there are marks, eight for what shares one
 *
 * `correction1` is 1 - beta1^t for the t-th step that changes something, `correction2` 1 - beta2^t: scalars too, of clip.ts. They are to be
 * computed from Math.fround(beta): 1 - beta2 of the float32 beta2 = 0.999 is 1.3e-5 less than 0.001, which then cancels. 'bert' corrects
 * nothing and ignores them.
 */
export function adamw({ kind, marked = false }: { readonly kind: AdamWKind; readonly marked?: boolean }): Kernel {
  const bindings = [
    write('weight'),
    read('gradient'),
    write('m'),
    write('v'),
    read('scalars', 'array<f32>'),
    ...(marked ? [read('seen', 'array<u32>')] : []),
  ];
  const params = [
    ...['count', 'first'].map(u32),
    ...['learning_rate', 'beta1', 'beta2', 'epsilon', 'decay'].map(f32),
    ...FIRST_GROUP,
  ];
  /** WGSL: the weight after the step, of `last` before it. */
  const next = {
    torch: `last * (1.0 - params.learning_rate * params.decay)
    - params.learning_rate / corrections.x * next_m / (sqrt(next_v) / sqrt(corrections.y) + params.epsilon)`,
    bert: 'last - params.learning_rate * (next_m / (sqrt(next_v) + params.epsilon) + params.decay * last)',
  }[kind];
  /** WGSL: the same where the momentum is 0. */
  const decayed = {
    torch: 'last * (1.0 - params.learning_rate * params.decay)',
    bert: 'last - params.learning_rate * (params.decay * last)',
  }[kind];
  return {
    name: `adamw ${kind}${marked ? ' marked' : ''}`,
    bindings,
    params,
    // What shares a mark may begin before the first vec4f, and end behind the last.
    workgroups: ({ count }) => flatGrid(marked ? MARK_LANES * (Math.ceil(count! / MARKED_VECTORS) + 1) : count!),
    // The scalars are read before any branch, where a software adapter reads once what all invocations read; and what has no mark is an empty
    // loop, which such an adapter passes over where it computes both sides of a branch.
    code: wgsl`
${declarations(bindings, params)}
fn update(i: u32, factor: f32, corrections: vec2f) {
  let g = gradient[i] * factor;
  let next_m = params.beta1 * m[i] + (1.0 - params.beta1) * g;
  let next_v = params.beta2 * v[i] + (1.0 - params.beta2) * g * g;
  let last = weight[i];
  m[i] = next_m;
  v[i] = next_v;
  weight[i] = ${next};
}

@compute @workgroup_size(${FLAT_LANES})
fn main(@builtin(global_invocation_id) id: vec3u) {
  let factor = scalars[${SCALARS.factor}];
  let finite = scalars[${SCALARS.finite}];
  let corrections = vec2f(scalars[${SCALARS.correction1}], scalars[${SCALARS.correction2}]);
  let index = ${FLAT_INDEX_OF_PART};
#if ${marked}
  let block = params.first / ${MARKED_VECTORS}u + index / ${MARK_LANES}u;
  let end = params.first + params.count;
  if (block * ${MARKED_VECTORS}u >= end || finite == 0.0) { return; }
  let is_seen = seen[block] != 0u;
  let vectors = select(0u, ${MARKED_VECTORS}u, is_seen || params.decay != 0.0);
  for (var at = index % ${MARK_LANES}u; at < vectors; at += ${MARK_LANES}u) {
    let i = block * ${MARKED_VECTORS}u + at;
    if (i < params.first || i >= end) { continue; }
    if (is_seen) {
      update(i, factor, corrections);
    } else {
      let last = weight[i];
      weight[i] = ${decayed};
    }
  }
#else
  if (index >= params.count || finite == 0.0) { return; }
  update(params.first + index, factor, corrections);
#endif
}`,
  };
}
