import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { declarations, type Kernel, padded, read, u32, write } from './kernel.ts';
import { type RowShape, rowIndex } from './norm.ts';

/** Workgroups along x; the rest of a long matrix goes to y. */
const WIDE = 32768;
const LANES = 64;
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
    workgroups: ({ count }) => {
      const groups = Math.ceil(count! / LANES);
      return [Math.min(groups, WIDE), Math.ceil(groups / WIDE), 1];
    },
    code: wgsl`
${declarations(bindings, params)}
@compute @workgroup_size(${LANES})
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.y * ${WIDE * LANES}u + id.x;
  if (i >= params.count) { return; }
  let four = clamp(x[i], vec4f(-${MOST_HALF}.0), vec4f(${MOST_HALF}.0));
  y[i] = vec2u(pack2x16float(four.xy), pack2x16float(four.zw));
}`,
  };
}

/**
 * y[rows] = (C / 4 words of four signed bytes, bits of the scale) from x[rows, C]: byte = round(x / scale), scale = max |x| / 127.
 * Runs at load on every matrix whose format is i8, and on the input of every linear that has one: a row knows nothing of its
 * neighbours.      grid: rows, folded
 */
export function quantize({ columns }: { readonly columns: number }, shape: RowShape): Kernel {
  const C4 = padded(columns) / 4;
  const { lanes, rows: height } = shape;
  const bindings = [read('x'), write('y', 'array<u32>')];
  const params = [u32('rows')];
  return {
    name: `quantize ${columns}`,
    bindings,
    params,
    workgroups: ({ rows }) => {
      const groups = Math.ceil(rows! / height);
      return [Math.min(groups, WIDE), Math.ceil(groups / WIDE), 1];
    },
    code: wgsl`
${declarations(bindings, params)}
#if ${lanes > 1}
var<workgroup> partial: array<f32, ${lanes}>;
#endif

@compute @workgroup_size(${lanes}, ${height})
fn main(@builtin(workgroup_id) folded: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let group = vec3u(folded.y * ${WIDE}u + folded.x, 0u, 0u);
  let row = ${rowIndex(shape)};
  if (row >= params.rows) { return; }
  var tops = vec4f();
  for (var i = local.x; i < ${C4}u; i += ${lanes}u) { tops = max(tops, abs(x[row * ${C4}u + i])); }
  var top = max(max(tops.x, tops.y), max(tops.z, tops.w));
#if ${lanes > 1}
  partial[local.x] = top;
  for (var half = ${lanes / 2}u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (local.x < half) { partial[local.x] = max(partial[local.x], partial[local.x + half]); }
  }
  workgroupBarrier();
  top = partial[0];
#endif
  // A row of zeros has bytes of 0; so has one so small that the quotient would overflow.
  let inverse = select(0.0, 127.0 / top, top > 1e-30);
  for (var i = local.x; i < ${C4}u; i += ${lanes}u) {
    let whole = bitcast<vec4u>(vec4i(clamp(round(x[row * ${C4}u + i] * inverse), vec4f(-127.0), vec4f(127.0)))) & vec4u(255u);
    y[row * ${C4 + 1}u + i] = whole.x | (whole.y << 8u) | (whole.z << 16u) | (whole.w << 24u);
  }
  if (local.x == 0u) { y[row * ${C4 + 1}u + ${C4}u] = bitcast<u32>(top / 127.0); }
}`,
  };
}
