import { declarations, type Kernel, read, u32, write } from './kernel.ts';
import { LANES, total } from './snippets.ts';

/**
 * scalars[index] += the sum of loss[rows], in one order: of one workgroup, invocation i adds up the rows i, i + 64, i + 128, ..., and the 64
 * sums are added as a tree.
 *
 *   loss [rows] f32    scalars f32: see scalars.ts      grid: 1
 */
export function sumRows(): Kernel {
  const bindings = [read('loss', 'array<f32>'), write('scalars', 'array<f32>')];
  const params = [u32('rows'), u32('index')];
  return {
    name: 'sum of rows',
    bindings,
    params,
    workgroups: () => [1, 1, 1],
    code: `
${declarations(bindings, params)}
${total(LANES)}

@compute @workgroup_size(${LANES})
fn main(@builtin(local_invocation_id) local: vec3u) {
  var sum = 0.0;
  for (var i = local.x; i < params.rows; i += ${LANES}u) { sum += loss[i]; }
  sum = total(sum, local.x);
  if (local.x == 0u) { scalars[params.index] += sum; }
}`,
  };
}
