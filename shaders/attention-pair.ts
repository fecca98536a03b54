import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { bucketOf } from './attention-buckets.ts';
import { DROPOUT_FACTORS } from './attention-dropout.ts';
import { padded } from './kernel.ts';

/** What a pair of tokens has beside its products. */
export interface PairVariant {
  /** H */
  readonly heads: number;
  readonly slopes: boolean;
  readonly dropout: boolean;
  /** The bucket of each distance, where scores have a relative bias. */
  readonly buckets: ArrayLike<number> | undefined;
}

/**
 * WGSL: `fn pair(product: f32, change: f32, row: vec3f, ...) -> vec2f`, dS and P f of one pair of tokens (see attention-backward.ts) from its
 * products q . k and dcontext . v and its query's maximum, 1 / sum and delta; and the functions that give its bucket and its factor of
 * dropout. The kernel has the bindings `bias` and `slopes`.
 */
export const pairFunction = ({ heads, slopes, dropout, buckets }: PairVariant): string => wgsl`
${buckets ? bucketOf(buckets) : ''}
#if ${dropout}
${DROPOUT_FACTORS}
fn factor_of(factors: vec4f, key: u32) -> f32 {
  return dot(factors, select(vec4f(), vec4f(1.0), vec4u(0u, 1u, 2u, 3u) == vec4u(key & 3u)));
}
#endif

fn pair(product: f32, change: f32, row: vec3f${buckets || slopes ? ', head: u32, distance: i32' : ''}${dropout ? ', factor: f32' : ''}) -> vec2f {
  var score = product * params.scale;
#if ${!!buckets}
  score += bias[bucket_of(distance) * ${padded(heads)}u + head];
#endif
#if ${slopes}
  score -= slopes[head] * f32(abs(distance));
#endif
  let p = exp(score - row.x) * row.y;
#if ${dropout}
  return vec2f(p * (factor * change - row.z), p * factor);
#else
  return vec2f(p * (change - row.z), p);
#endif
}`;
