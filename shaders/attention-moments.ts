import type { AttentionDeltaVariant } from './attention-delta.ts';
import { declarations, type Kernel, padded, read, u32, write } from './kernel.ts';
import { flatGrid, flatMain } from './snippets.ts';

/**
 * moments[T, H] = (maximum, 1 / sum, delta, 0): the statistics that attention has noted, and delta as attentionDelta computes it, in one array
 * for kernels that have no binding to spare.
 *
 *   dcontext, context [T, H D]    statistics [T, 2 H]    moments [T, 4 H]      grid: one invocation for each token and head
 */
export function attentionMoments({ heads, headSize }: AttentionDeltaVariant): Kernel {
  const D4 = padded(headSize) / 4;
  const bindings = [read('dcontext'), read('context'), read('statistics', 'array<vec2f>'), write('moments')];
  const params = [u32('rows')];
  return {
    name: `attention-moments ${heads}x${headSize}`,
    bindings,
    params,
    workgroups: ({ rows }) => flatGrid(rows! * heads),
    code: `
${declarations(bindings, params)}

${flatMain(`params.rows * ${heads}u`)}
  var sums = vec4f();
  for (var d = 0u; d < ${D4}u; d++) { sums += dcontext[i * ${D4}u + d] * context[i * ${D4}u + d]; }
  let at = i / ${heads}u * ${padded(2 * heads) / 2}u + i % ${heads}u;
  moments[i] = vec4f(statistics[at], dot(sums, vec4f(1.0)), 0.0);
}`,
  };
}
