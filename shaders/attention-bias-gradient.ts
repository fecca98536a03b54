import { declarations, type Kernel, padded, read, u32, write } from './kernel.ts';
import { LANES } from './snippets.ts';

/**
 * gradient[rows, H] += the sum of partials[tiles, H, rows] over the tiles, in order. The padding of gradient is left as it is.
 *
 *   grid: one invocation for each number
 */
export function attentionBiasGradient({ heads, rows }: { readonly heads: number; readonly rows: number }): Kernel {
  const bindings = [read('partials', 'array<f32>'), write('gradient', 'array<f32>')];
  const params = [u32('tiles')];
  const count = heads * rows;
  return {
    name: `attention bias gradient ${heads} of ${rows}`,
    bindings,
    params,
    workgroups: () => [Math.ceil(count / LANES), 1, 1],
    code: `
${declarations(bindings, params)}

@compute @workgroup_size(${LANES})
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= ${count}u) { return; }
  var sum = 0.0;
  for (var tile = 0u; tile < params.tiles; tile++) { sum += partials[tile * ${count}u + id.x]; }
  gradient[id.x % ${rows}u * ${padded(heads)}u + id.x / ${rows}u] += sum;
}`,
  };
}
