import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { declarations, type Kernel, padded, read, u32, write } from './kernel.ts';
import { POOLINGS, type PoolVariant } from './pool.ts';
import { IS_NAN, LANES, unrolled } from './snippets.ts';

export interface PoolBackwardVariant extends PoolVariant {
  /** Whether a pooling is `max`: then x is bound. */
  readonly max: boolean;
}

/**
 * The way back through pool.ts without its norm (which l2-norm-backward.ts goes back through): dx[T, C] from dy[B, kept]. Every pooling adds
 * dy times the weight that a token has in it:
 *
 *   mean      1 / n            cls   1 for the first token      weighted   the token's place / the sum of the places
 *   mean_sqrt 1 / sqrt(n)      last  1 for the last token       max        1 for the first token with the greatest number, by column
 *
 * One workgroup has a sequence and 256 columns. It writes every token of the sequence, those that are left out of the pooling with zeros.
 *
 *   sequences [B] = (start, end, _, tokens to skip at the start)    x [T, C], where there is a max    dy [B, kept]    dx [T, C]
 *   params: sequences, pooling (packPoolings)      grid: B, C / 256
 */
export function poolBackward({ columns: C, poolings, kept, max }: PoolBackwardVariant): Kernel {
  const C4 = padded(C) / 4;
  const N4 = padded(kept) / 4;
  const aligned = poolings === 1 || C % 4 === 0;
  const bindings = [read('sequences', 'array<vec4u>'), ...(max ? [read('x')] : []), read('dy'), write('dx')];
  const params = [u32('sequences'), u32('pooling')];
  return {
    name: `pool backward ${C}${poolings > 1 ? ` x ${poolings}` : ''}${kept === C * poolings ? '' : `>${kept}`}${max ? ' max' : ''}`,
    bindings,
    params,
    workgroups: ({ sequences }) => [sequences!, Math.ceil(C4 / LANES), 1],
    code: wgsl`
${declarations(bindings, params)}
#if ${aligned}
// Columns 4 i to 4 i + 3 of one pooling of a sequence.
fn gradient_of(row: u32, block: u32, i: u32) -> vec4f {
  let at = block * ${C4}u + i;
  if (at >= ${N4}u) { return vec4f(); }
  return dy[row * ${N4}u + at];
}
#else
// C is no multiple of four: a vec4f of dy may have columns of two poolings.
fn column(row: u32, block: u32, c: u32) -> f32 {
  let at = block * ${C}u + c;
  if (c >= ${C}u || at >= ${kept}u) { return 0.0; }
  let four = dy[row * ${N4}u + at / 4u];
  return four[at % 4u];
}
fn gradient_of(row: u32, block: u32, i: u32) -> vec4f {
  let c = 4u * i;
  return vec4f(column(row, block, c), column(row, block, c + 1u), column(row, block, c + 2u), column(row, block, c + 3u));
}
#endif

// The first and the end of the tokens that a pooling takes.
fn range_of(pooling: u32, sequence: vec4u) -> vec2u {
  let end = sequence.y;
  let first = min(sequence.x + sequence.w, end);
  if (pooling == ${POOLINGS.cls}u) {
    let token = select(first, sequence.x, first >= end);
    return vec2u(token, min(token + 1u, end));
  }
  if (pooling == ${POOLINGS.last}u) { return vec2u(max(first, end - min(end, 1u)), end); }
  return vec2u(first, end);
}

// What the sum of a pooling is divided by.
fn divisor_of(pooling: u32, sequence: vec4u, range: vec2u) -> f32 {
  let count = range.y - range.x;
  switch (pooling) {
    case ${POOLINGS.mean}u: { return f32(count); }
    case ${POOLINGS.mean_sqrt}u: { return sqrt(f32(count)); }
    // The places from the first to the last: their number times their mean.
    case ${POOLINGS.weighted}u: { return f32(count) * (0.5 * f32(range.x + range.y + 1u - 2u * sequence.x)); }
    default: { return 1.0; }
  }
}

#if ${max}
${IS_NAN}
// The first token with the greatest number of each column, or with the first NaN.
fn greatest(range: vec2u, i: u32) -> vec4u {
  var best = vec4u(range.x);
  if (range.x >= range.y) { return best; }
  var value = x[range.x * ${C4}u + i];
  for (var t = range.x + 1u; t < range.y; t++) {
    let next = x[t * ${C4}u + i];
    let better = !is_nan(value) & (is_nan(next) | (next > value));
    best = select(best, vec4u(t), better);
    value = select(value, next, better);
  }
  return best;
}
#endif

@compute @workgroup_size(${LANES})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let i = group.y * ${LANES}u + local.x;
  if (i >= ${C4}u) { return; }
  let sequence = sequences[group.x];
${unrolled(
  poolings,
  p => `  let pooling${p} = (params.pooling >> ${4 * p}u) & 15u;
  let range${p} = range_of(pooling${p}, sequence);
  let weighted${p} = pooling${p} == ${POOLINGS.weighted}u;
  let gradient${p} = gradient_of(group.x, ${p}u, i) / divisor_of(pooling${p}, sequence, range${p});
${max ? `  let is_max${p} = pooling${p} == ${POOLINGS.max}u;\n  var best${p} = vec4u();\n  if (is_max${p}) { best${p} = greatest(range${p}, i); }` : ''}`,
)}
  for (var t = sequence.x; t < sequence.y; t++) {
    var sum = vec4f();
${unrolled(
  poolings,
  p => `    if (t >= range${p}.x && t < range${p}.y) {
      let four = gradient${p} * select(1.0, f32(t - sequence.x + 1u), weighted${p});
      sum += ${max ? `select(four, vec4f(), vec4<bool>(is_max${p}) & (best${p} != vec4u(t)))` : 'four'};
    }`,
)}
    dx[t * ${C4}u + i] = sum;
  }
}`,
  };
}
