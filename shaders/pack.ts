import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { declarations, type Kernel, padded, read, u32, write } from './kernel.ts';
import { GROUP, rowElements } from './matrix.ts';
import { FLAT_INDEX, flatGrid, LANES } from './snippets.ts';

const MOST_HALF = 65504;

/**
 * y[rows, C] as halves, four to a vec2u, from float32 rows. What a half cannot hold becomes the nearest that it can.
 * Runs at load, on every matrix whose format is f16.      grid: vec4f / 64, folded
 */
export function halve(): Kernel {
  const bindings = [read('x'), write('y', 'array<vec2u>')];
  const params = [u32('count')];
  return {
    name: 'halve',
    bindings,
    params,
    workgroups: ({ count }) => flatGrid(count!),
    code: wgsl`
${declarations(bindings, params)}
@compute @workgroup_size(${LANES})
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = ${FLAT_INDEX};
  if (i >= params.count) { return; }
  let four = clamp(x[i], vec4f(-${MOST_HALF}.0), vec4f(${MOST_HALF}.0));
  y[i] = vec2u(pack2x16float(four.xy), pack2x16float(four.zw));
}`,
  };
}

/**
 * y[rows] as bytes with scales (see matrix.ts) from x[rows, C]: byte = round(x / scale), scale = max |x| / 127 of the group.
 * Runs at load on every matrix whose format is i8, and on the input of every linear that has one. One invocation takes one
 * group, and knows nothing of its neighbours.      grid: rows * groups / 64, folded
 */
export function quantize({ columns }: { readonly columns: number }): Kernel {
  const C4 = padded(columns) / 4;
  const stride = rowElements('i8', columns);
  const groups = stride - C4;
  const bindings = [read('x'), write('y', 'array<u32>')];
  const params = [u32('rows')];
  return {
    name: `quantize ${columns}`,
    bindings,
    params,
    workgroups: ({ rows }) => flatGrid(rows! * groups),
    code: wgsl`
${declarations(bindings, params)}
@compute @workgroup_size(${LANES})
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = ${FLAT_INDEX};
  let row = i / ${groups}u;
  let group = i % ${groups}u;
  if (row >= params.rows) { return; }
  let begin = row * ${C4}u + group * ${GROUP}u;
  let count = min(${GROUP}u, ${C4}u - group * ${GROUP}u);
  // The largest size by its bits, which are in the order of the sizes: a maximum of floats may pass over NaN.
  var sizes = vec4u();
  for (var k = 0u; k < count; k++) { sizes = max(sizes, bitcast<vec4u>(x[begin + k]) & vec4u(0x7fffffffu)); }
  let size = max(max(sizes.x, sizes.y), max(sizes.z, sizes.w));
  let top = bitcast<f32>(size);
  // A group of zeros has bytes of 0; so has one so small that the quotient would overflow.
  let inverse = select(0.0, 127.0 / top, top > 1e-30);
  let to = row * ${stride}u + group * ${GROUP + 1}u;
  for (var k = 0u; k < count; k++) {
    let whole = bitcast<vec4u>(vec4i(clamp(round(x[begin + k] * inverse), vec4f(-127.0), vec4f(127.0)))) & vec4u(255u);
    y[to + k] = whole.x | (whole.y << 8u) | (whole.z << 16u) | (whole.w << 24u);
  }
  // A group with a number that is not finite has no bytes: its scale is NaN, and so is all that is computed of it.
  y[to + count] = select(bitcast<u32>(top / 127.0), 0x7fc00000u, size >= 0x7f800000u);
}`,
  };
}
