import { declarations, f32, type Kernel, padded, read, u32, write } from './kernel.ts';
import type { L2NormVariant } from './l2-norm.ts';
import { totals } from './row-norm-backward.ts';
import { FINITE_OR_NAN, type RowShape, rowGrid, rowMain } from './snippets.ts';

/**
 * The way back through y = x / max(|x|, floor) (l2-norm.ts): dx = (dy - y (y . dy)) / max(|x|, floor), or dy / floor where |x| is below the
 * floor, which does not change with x then.
 *
 *   x, dy, dx [R, C]      params: rows, floor      grid: R / rows
 */
export function l2NormBackward({ columns }: L2NormVariant, shape: RowShape): Kernel {
  const { lanes } = shape;
  const C4 = padded(columns) / 4;
  const bindings = [read('x'), read('dy'), write('dx')];
  const params = [u32('rows'), f32('floor')];
  return {
    name: `l2-norm backward ${columns}`,
    bindings,
    params,
    workgroups: ({ rows }) => rowGrid(rows!, shape),
    code: `
${declarations(bindings, params)}
${totals(lanes)}
${FINITE_OR_NAN}

${rowMain(shape)}
  let at = row * ${C4}u;
  var sums = vec2f();
  for (var i = local.x; i < ${C4}u; i += ${lanes}u) { sums += vec2f(dot(x[at + i], x[at + i]), dot(x[at + i], dy[at + i])); }
  sums = totals(sums, local.x);
  let length = sqrt(sums.x);
  let scale = 1.0 / finite_or_nan(max(length, params.floor));
  let along = select(sums.y * scale * scale, 0.0, length < params.floor);
  for (var i = local.x; i < ${C4}u; i += ${lanes}u) { dx[at + i] = (dy[at + i] - x[at + i] * along) * scale; }
}`,
  };
}
