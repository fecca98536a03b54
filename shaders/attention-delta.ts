import { declarations, type Kernel, padded, read, u32, write } from './kernel.ts';
import { flatGrid, flatMain } from './snippets.ts';

export interface AttentionDeltaVariant {
  /** H and D, unpadded. */
  readonly heads: number;
  readonly headSize: number;
}

/**
 * delta[T, H] = the sum over the columns of a head of dcontext context. It is the sum of dP P over the keys of a query, with dropout too,
 * which the gradient of a softmax takes off every dP (Dao et al., arXiv 2205.14135, appendix B).
 *
 *   dcontext, context [T, H D]    delta [T, H]      grid: one invocation for each number of delta, padding included
 */
export function attentionDelta({ heads, headSize }: AttentionDeltaVariant): Kernel {
  const stride = padded(heads);
  const D4 = padded(headSize) / 4;
  const bindings = [read('dcontext'), read('context'), write('delta', 'array<f32>')];
  const params = [u32('rows')];
  return {
    name: `attention-delta ${heads}x${headSize}`,
    bindings,
    params,
    workgroups: ({ rows }) => flatGrid(rows! * stride),
    code: `
${declarations(bindings, params)}

${flatMain(`params.rows * ${stride}u`)}
  let head = i % ${stride}u;
  var sums = vec4f();
  if (head < ${heads}u) {
    let at = (i / ${stride}u * ${heads}u + head) * ${D4}u;
    for (var d = 0u; d < ${D4}u; d++) { sums += dcontext[at + d] * context[at + d]; }
  }
  delta[i] = dot(sums, vec4f(1.0));
}`,
  };
}
