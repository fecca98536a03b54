import { declarations, f32, type Kernel, read, u32, write } from './kernel.ts';
import { LOSS_SUMS, SCALARS } from './scalars.ts';
import { LANES, total } from './snippets.ts';

/**
 * The length of the gradient of all weights from its partial sums of squares, and what follows from it, in scalars (scalars.ts):
 *
 *   norm = sqrt(sum of partials), factor = min(1, max_norm / (norm + 1e-6)), or 1 where max_norm is 0
 *
 * as torch.nn.utils.clip_grad_norm_ has them; AdamW multiplies by the factor. Whether the norm is finite is told by its bits, because a
 * compiler may drop a comparison that only NaN fails. If it is not, the factor is 0, and the step counts as skipped.
 *
 * The losses of the step join those of the steps before, unless it is skipped or they are not finite themselves: one such step would make
 * the sum of all NaN.
 *
 * What AdamW divides its means by is of the steps that changed something, t = step - skips, as GradScaler of torch has it, which does not
 * call the optimizer for others. Where none was skipped, it is what the host has computed; else 1 - beta^t is computed here, by
 * c(2t) = c(t) (2 - c(t)) and c(t + 1) = beta c(t) + 1 - beta, where nothing cancels.
 *
 *   partials [count] f32    scalars f32      grid: 1
 *   params: count, max_norm, step (from 1 on), beta1, beta2, correction1 and correction2 (1 - beta^step)
 */
export function clip(): Kernel {
  const bindings = [read('partials', 'array<f32>'), write('scalars', 'array<f32>')];
  const params = [
    ...['count', 'step'].map(u32),
    ...['max_norm', 'beta1', 'beta2', 'correction1', 'correction2'].map(f32),
  ];
  const { norm, factor, finite, consecutiveSkips, skips, longestSkips, droppedLosses, loss, sums } = SCALARS;
  const { correction1, correction2 } = SCALARS;
  return {
    name: 'clip',
    bindings,
    params,
    workgroups: () => [1, 1, 1],
    code: `
${declarations(bindings, params)}
${total(LANES)}

fn is_finite(value: f32) -> bool { return (bitcast<u32>(value) & 0x7f800000u) != 0x7f800000u; }

fn correction(t: u32, beta: f32) -> f32 {
  var c = 0.0;
  for (var bit = 32u - countLeadingZeros(t); bit > 0u; bit--) {
    c *= 2.0 - c;
    if (((t >> (bit - 1u)) & 1u) == 1u) { c = c * beta + (1.0 - beta); }
  }
  return c;
}

@compute @workgroup_size(${LANES})
fn main(@builtin(local_invocation_id) local: vec3u) {
  var sum = 0.0;
  for (var i = local.x; i < params.count; i += ${LANES}u) { sum += partials[i]; }
  sum = total(sum, local.x);
  if (local.x != 0u) { return; }
  var loss = 0.0;
  for (var i = ${sums}u; i < ${sums + LOSS_SUMS}u; i++) {
    loss += scalars[i];
    scalars[i] = 0.0;
  }
  if (is_finite(sum) && is_finite(loss)) { scalars[${loss}] += loss; } else { scalars[${droppedLosses}] += 1.0; }
  if (!is_finite(sum)) {
    scalars[${norm}] = sum;
    scalars[${factor}] = 0.0;
    scalars[${finite}] = 0.0;
    let in_a_row = scalars[${consecutiveSkips}] + 1.0;
    scalars[${consecutiveSkips}] = in_a_row;
    scalars[${longestSkips}] = max(scalars[${longestSkips}], in_a_row);
    scalars[${skips}] += 1.0;
    return;
  }
  let norm = sqrt(sum);
  scalars[${norm}] = norm;
  scalars[${factor}] = select(min(1.0, params.max_norm / (norm + 1e-6)), 1.0, params.max_norm == 0.0);
  scalars[${finite}] = 1.0;
  scalars[${consecutiveSkips}] = 0.0;
  var corrections = vec2f(params.correction1, params.correction2);
  if (scalars[${skips}] > 0.0) {
    let t = max(params.step, u32(scalars[${skips}]) + 1u) - u32(scalars[${skips}]);
    corrections = vec2f(correction(t, params.beta1), correction(t, params.beta2));
  }
  scalars[${correction1}] = corrections.x;
  scalars[${correction2}] = corrections.y;
}`,
  };
}
