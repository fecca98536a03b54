import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { declarations, type Kernel, padded, read, u32, write } from './kernel.ts';
import { GROUP, rowElements } from './matrix.ts';
import { flatGrid, flatMain, flatRowsMain } from './snippets.ts';

/** The largest finite half. */
const LARGEST_HALF = 65504;

/**
 * y = x as halves. It runs at load on every matrix whose format is f16. A number beyond the range of halves becomes the largest half.
 *
 *   x [count] vec4f    y [count] vec2u: four halves      grid: flat, one invocation for an element
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
${flatMain('params.count')}
  let four = clamp(x[i], vec4f(-${LARGEST_HALF}.0), vec4f(${LARGEST_HALF}.0));
  y[i] = vec2u(pack2x16float(four.xy), pack2x16float(four.zw));
}`,
  };
}

/**
 * y = x as bytes with scales (see matrix.ts): byte = round(x / scale), where scale = max |x| / 127 over a group of 64 numbers. It runs
 * at load on every matrix whose format is i8, and in a pass on the input of every linear with such a weight. One invocation converts one
 * group, so a group's bytes depend on its own numbers only.
 *
 *   x [rows, C]    y [rows] of C / 4 words of four bytes and a scale for each group      grid: flat, one invocation for a group
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
    // All bytes are 0 in a group of zeros, and in one whose numbers are so small that 127 / top would overflow. In a group with a number that
    // is not finite the scale is NaN, and so is everything computed from it.
    code: wgsl`
${declarations(bindings, params)}
${flatRowsMain(groups, 'group')}
  let begin = row * ${C4}u + group * ${GROUP}u;
  let count = min(${GROUP}u, ${C4}u - group * ${GROUP}u);
  // The maximum of |x| by its bits, which have the same order. A maximum of floats may ignore NaN.
  var sizes = vec4u();
  for (var k = 0u; k < count; k++) { sizes = max(sizes, bitcast<vec4u>(x[begin + k]) & vec4u(0x7fffffffu)); }
  let size = max(max(sizes.x, sizes.y), max(sizes.z, sizes.w));
  let top = bitcast<f32>(size);
  let inverse = select(0.0, 127.0 / top, top > 1e-30);
  let to = row * ${stride}u + group * ${GROUP + 1}u;
  for (var k = 0u; k < count; k++) {
    let whole = bitcast<vec4u>(vec4i(clamp(round(x[begin + k] * inverse), vec4f(-127.0), vec4f(127.0)))) & vec4u(255u);
    y[to + k] = whole.x | (whole.y << 8u) | (whole.z << 16u) | (whole.w << 24u);
  }
  y[to + count] = select(bitcast<u32>(top / 127.0), 0x7fc00000u, size >= 0x7f800000u);
}`,
  };
}
