import { declarations, f32, type Kernel, read, u32, write } from './kernel.ts';
import { SCALARS } from './scalars.ts';
import { FLAT_INDEX, FLAT_LANES, flatGrid, MARKED_VECTORS } from './snippets.ts';

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
 * that no text has, change only by the decay: zeros stay zeros. Nothing else of them is written, since most of a word table is such, and
 * without a decay not even that. Where there are marks (segment-sum.ts), nothing without one is read either.
 *
 *   weight, gradient, m, v: arrays with equal offsets    scalars f32    seen u32 of every 128 vec4f, where there are marks
 *   grid: flat, one invocation for a vec4f
 *
 * `correction1` is 1 - beta1^t for the t-th step, `correction2` 1 - beta2^t. They are to be computed from Math.fround(beta): 1 - beta2 of the
 * float32 beta2 = 0.999 is 1.3e-5 less than 0.001, which then cancels. 'bert' corrects nothing and ignores them.
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
    ...['learning_rate', 'beta1', 'beta2', 'epsilon', 'decay', 'correction1', 'correction2'].map(f32),
  ];
  const update: Readonly<Record<AdamWKind, string>> = {
    torch: `weight[i] = weight[i] * (1.0 - params.learning_rate * params.decay)
    - params.learning_rate / params.correction1 * next_m / (sqrt(next_v) / sqrt(params.correction2) + params.epsilon);`,
    bert: `weight[i] -= params.learning_rate * (next_m / (sqrt(next_v) + params.epsilon) + params.decay * weight[i]);`,
  };
  const decay = `if (params.decay != 0.0) { weight[i] *= 1.0 - params.learning_rate * params.decay; }
    return;`;
  const unseen = marked
    ? `
  if (seen[i / ${MARKED_VECTORS}u] == 0u) {
    ${decay}
  }`
    : '';
  return {
    name: `adamw ${kind}${marked ? ' marked' : ''}`,
    bindings,
    params,
    workgroups: ({ count }) => flatGrid(count!),
    code: `
${declarations(bindings, params)}
@compute @workgroup_size(${FLAT_LANES})
fn main(@builtin(global_invocation_id) id: vec3u) {
  let index = ${FLAT_INDEX};
  if (index >= params.count || scalars[${SCALARS.finite}] == 0.0) { return; }
  let i = params.first + index;${unseen}
  let g = gradient[i] * scalars[${SCALARS.factor}];
  let last_m = m[i];
  let last_v = v[i];
  if (all(abs(g) + abs(last_m) + last_v == vec4f())) {
    ${decay}
  }
  let next_m = params.beta1 * last_m + (1.0 - params.beta1) * g;
  let next_v = params.beta2 * last_v + (1.0 - params.beta2) * g * g;
  m[i] = next_m;
  v[i] = next_v;
  ${update[kind]}
}`,
  };
}
