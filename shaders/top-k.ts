import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { declarations, FIRST_GROUP, type Kernel, padded, read, u32, write } from './kernel.ts';
import { LANES, reduce, total } from './snippets.ts';

/**
 * For every row of x[R, V]: y = (maximum, sum of exp(x - maximum), then k pairs (value, index), the best first)
 *
 * One workgroup computes one row and finds the best one by one: each time the largest value that ranks after the one before, equal
 * values in the order of their indices (as a stable sort has them). For a small k that is cheaper than to sort the row; the plan asks
 * for at most MOST_K (src/plan/op.ts).
 *
 *   x [R, V]    y [R, 2 + 2 k]      grid: R
 *
 * The maximum and the sum are the log-sum-exp, split so that those of several slices of one vocabulary can be combined. Indices are
 * written as floats, which are exact up to 2^24.
 */
export function topK({ columns, k }: { readonly columns: number; readonly k: number }): Kernel {
  const stride = padded(columns);
  const out = padded(2 * k + 2);
  const bindings = [read('x', 'array<f32>'), write('y', 'array<f32>')];
  const params = [u32('rows'), ...FIRST_GROUP];
  return {
    name: `top ${k} of ${columns}`,
    bindings,
    params,
    workgroups: ({ rows }) => [rows!, 1, 1],
    code: wgsl`
${declarations(bindings, params)}
const LOWEST = -3.4e38;
${total(LANES)}
var<workgroup> values: array<f32, ${LANES}>;
var<workgroup> places: array<u32, ${LANES}>;

// A lane that found nothing has place ${columns}, which beats no other.
fn beats(a: u32, b: u32) -> bool {
  if (places[a] == ${columns}u) { return false; }
  return places[b] == ${columns}u || values[a] > values[b] || (values[a] == values[b] && places[a] < places[b]);
}

@compute @workgroup_size(${LANES})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let r = group.x + params.first_x;
  if (r >= params.rows) { return; }
  let lane = local.x;
  let row = r * ${stride}u;
  let to = r * ${out}u;
  var maximum = LOWEST;
  var last_value = 3.4e38;
  var last_place = 0u;
  for (var n = 0u; n < ${k}u; n++) {
    var value = LOWEST;
    var place = ${columns}u;
    for (var i = lane; i < ${columns}u; i += ${LANES}u) {
      let v = x[row + i];
      let after = v < last_value || (v == last_value && i > last_place);
      if (after && (v > value || place == ${columns}u)) { value = v; place = i; }
    }
    values[lane] = value;
    places[lane] = place;
${reduce(LANES, 'if (beats(other, lane)) { values[lane] = values[other]; places[lane] = places[other]; }')}
    last_value = values[0];
    last_place = places[0];
    maximum = max(maximum, last_value);
    if (lane == 0u) { y[to + 2u + 2u * n] = last_value; y[to + 3u + 2u * n] = f32(last_place); }
    workgroupBarrier();
  }
  var sum = 0.0;
  for (var i = lane; i < ${columns}u; i += ${LANES}u) { sum += exp(x[row + i] - maximum); }
  sum = total(sum, lane);
  if (lane == 0u) { y[to] = maximum; y[to + 1u] = sum; }
}`,
  };
}
