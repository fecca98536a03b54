import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { declarations, type Kernel, read, u32, write } from './kernel.ts';
import { IS_NAN, LANES } from './snippets.ts';

/** How the logits of the tokens of a sequence become one weight for each entry of the vocabulary: `vocabularyPool` in src/plan/op.ts. */
export interface LogitsPoolVariant {
  readonly pooling: 'max' | 'sum';
  /** How many times log(1 + x) is applied. */
  readonly logarithms: 1 | 2;
}

/**
 * y[b, from + n] = max or sum over the tokens t of sequence b of f(x[t, n]), f(x) = log(1 + max(x, 0)), or log(1 + log(1 + max(x, 0)))
 * (SPLADE: Formal et al., arXiv 2109.10086; twice: Geng et al., arXiv 2504.14839). `x` is a slice of S columns of the logits [T, V].
 *
 * One invocation computes four neighbouring columns of one sequence, and walks its tokens in their order: so the bits of a row do not
 * depend on the other sequences. f grows with x: of a maximum it is computed once, at the end.
 *
 *   sequences [B] = (start, end, _, _)    x [T, S]    y [B, V], of which the columns of the slice are written    grid: S / 256, B
 *
 * No function of WGSL computes log(1 + x) of a small x without losing it to the rounding of 1 + x, and a weight must not become 0 so.
 * Below 1/16 the first six terms of its series are exact to float32.
 */
export function logitsPool({ pooling, logarithms }: LogitsPoolVariant): Kernel {
  const bindings = [read('sequences', 'array<vec4u>'), read('x'), write('y')];
  const params = ['sequences', 'from4', 'slice4', 'row4'].map(u32);
  return {
    name: `logits ${pooling}${logarithms === 2 ? ' log log' : ' log'}`,
    bindings,
    params,
    workgroups: ({ sequences, slice4 }) => [Math.ceil(slice4! / LANES), sequences!, 1],
    code: wgsl`
${declarations(bindings, params)}
${IS_NAN}

fn log1p(x: vec4f) -> vec4f {
  let series = x * (1.0 - x * (0.5 - x * (0.33333333333 - x * (0.25 - x * (0.2 - x * 0.16666666667)))));
  return select(log(1.0 + x), series, x < vec4f(0.0625));
}

// NaN stays NaN: max may pass over it.
fn weight(logit: vec4f) -> vec4f {
#if ${logarithms === 2}
  let out = log1p(log1p(max(logit, vec4f())));
#else
  let out = log1p(max(logit, vec4f()));
#endif
  return select(out, logit, is_nan(logit));
}

@compute @workgroup_size(${LANES})
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= params.slice4) { return; }
  let sequence = sequences[id.y];
#if ${pooling === 'max'}
  var pooled = x[sequence.x * params.slice4 + id.x];
  for (var t = sequence.x + 1u; t < sequence.y; t++) {
    let next = x[t * params.slice4 + id.x];
    pooled = select(max(pooled, next), pooled + next, is_nan(pooled) | is_nan(next));
  }
  let out = weight(pooled);
#else
  var out = vec4f();
  for (var t = sequence.x; t < sequence.y; t++) { out += weight(x[t * params.slice4 + id.x]); }
#endif
  y[id.y * params.row4 + params.from4 + id.x] = out;
}`,
  };
}
