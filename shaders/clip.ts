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
 *   partials [count] f32    scalars f32      params: count, max_norm      grid: 1
 */
export function clip(): Kernel {
  const bindings = [read('partials', 'array<f32>'), write('scalars', 'array<f32>')];
  const params = [u32('count'), f32('max_norm')];
  const { norm, factor, finite, consecutiveSkips, skips, longestSkips, droppedLosses, loss, sums } = SCALARS;
  return {
    name: 'clip',
    bindings,
    params,
    workgroups: () => [1, 1, 1],
    code: `
${declarations(bindings, params)}
${total(LANES)}

fn is_finite(value: f32) -> bool { return (bitcast<u32>(value) & 0x7f800000u) != 0x7f800000u; }

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
}`,
  };
}
