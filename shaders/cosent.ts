import { declarations, f32, type Kernel, read, u32, write } from './kernel.ts';
import { LANES, reduce, total } from './snippets.ts';

/**
 * CoSENT (CoSENTLoss of sentence-transformers) of the cosines c of R pairs and their targets t, and its gradient:
 *
 *   loss = scale log(1 + the sum of exp(factor (c[i] - c[j])) over all i, j with t[i] < t[j])
 *
 *   logits [R, 1]: c    targets [R, 1]: t    loss [1] f32    dlogits [R, 1]      params: rows, scale, factor (20)      grid: 1
 *
 * One workgroup, whose invocation l has the pairs l, l + 64, ... and for each walks through all others: once for the greatest exponent, and
 * once for the sums in which the pair is the lower (i) and the higher (j) one. So every sum is in one order.
 */
export function cosent(): Kernel {
  const bindings = [read('logits'), read('targets'), write('loss', 'array<f32>'), write('dlogits')];
  const params = [u32('rows'), f32('scale'), f32('factor')];
  return {
    name: 'cosent',
    bindings,
    params,
    workgroups: () => [1, 1, 1],
    code: `
${declarations(bindings, params)}
${total(LANES)}
var<workgroup> tops: array<f32, ${LANES}>;
var<workgroup> wrongs: array<u32, ${LANES}>;

@compute @workgroup_size(${LANES})
fn main(@builtin(local_invocation_id) local: vec3u) {
  let lane = local.x;
  // The 1 in the sum is exp(0).
  var top = 0.0;
  var wrong = 0u;
  for (var i = lane; i < params.rows; i += ${LANES}u) {
    let c = logits[i].x;
    wrong = max(wrong, bitcast<u32>(c) & 0x7fffffffu);
    for (var j = 0u; j < params.rows; j++) {
      if (targets[i].x < targets[j].x) { top = max(top, params.factor * (c - logits[j].x)); }
    }
  }
  tops[lane] = top;
  wrongs[lane] = wrong;${reduce(LANES, 'tops[lane] = max(tops[lane], tops[other]); wrongs[lane] = max(wrongs[lane], wrongs[other]);')}
  top = tops[0];
  wrong = wrongs[0];
  var sum = 0.0;
  for (var i = lane; i < params.rows; i += ${LANES}u) {
    let c = logits[i].x;
    let t = targets[i].x;
    var lower = 0.0;
    var higher = 0.0;
    for (var j = 0u; j < params.rows; j++) {
      let difference = params.factor * (c - logits[j].x);
      if (t < targets[j].x) { lower += exp(difference - top); }
      if (t > targets[j].x) { higher += exp(-difference - top); }
    }
    sum += lower;
    dlogits[i] = vec4f(lower - higher, 0.0, 0.0, 0.0);
  }
  sum = total(sum, lane) + exp(-top);
  // By the bits: max and exp of a driver may give a finite number for what is none.
  if (wrong >= 0x7f800000u) { sum = bitcast<f32>(wrong | 0x400000u); }
  for (var i = lane; i < params.rows; i += ${LANES}u) { dlogits[i].x *= params.scale * params.factor / sum; }
  if (lane == 0u) { loss[0] = params.scale * select(top + log(sum), sum, wrong >= 0x7f800000u); }
}`,
  };
}
