import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { declarations, type Kernel, read, u32, write } from './kernel.ts';
import { FLAT_INDEX, FLAT_LANES, flatGrid, unrolled } from './snippets.ts';

/** The kinds of numbers that no kernel can compute with, in the order of the words that `inspect` writes. */
export const FLAWS = ['NaN', 'Infinity', '-Infinity', 'too large'] as const;
export type FlawKind = (typeof FLAWS)[number];

/** The least bits of |x| for which x is flawed: not finite; or, where weights are kept as halves, rounded to infinity (65520). */
export const NOT_FINITE = 0x7f800000;
export const NO_HALF = 0x477ff000;

/** Words of `found` for one weight: one for each kind. */
export const WORDS_OF_FLAWS = FLAWS.length;

/** vec4u that one invocation reads. */
const VECTORS = 8;

/**
 * Finds the first number of each kind of flaw (see FLAWS) among float32 numbers. It runs once at load on every weight; one text serves
 * all weights.
 *
 *   x [count] vec4u: the bits of four numbers    found [slots, kinds], zero at first      grid: flat, one invocation for 8 elements
 *
 * found[slot][kind] becomes the maximum of ~(base + i) over the numbers i of that kind: 0 if there is none, otherwise it tells the
 * smallest i. A number is flawed where the bits of |x| are `limit` or more. Numbers are compared by their bits because a compiler may
 * assume that no float is NaN. Each invocation takes the maximum of its 32 numbers without a branch, and looks at them one by one only
 * if that is too large.
 */
export function inspect(): Kernel {
  const bindings = [read('x', 'array<vec4u>'), write('found', 'array<atomic<u32>>')];
  const params = ['count', 'base', 'slot', 'limit'].map(u32);
  return {
    name: 'inspect',
    bindings,
    params,
    workgroups: ({ count }) => flatGrid(count! / VECTORS),
    code: wgsl`
${declarations(bindings, params)}
fn look(i: u32, bits: u32) {
  let size = bits & 0x7fffffffu;
  if (size < params.limit) { return; }
  var kind = 3u;
  if (size == ${NOT_FINITE}u) { kind = 1u + (bits >> 31u); }
  if (size > ${NOT_FINITE}u) { kind = 0u; }
  atomicMax(&found[params.slot * ${WORDS_OF_FLAWS}u + kind], ~(params.base + i));
}

@compute @workgroup_size(${FLAT_LANES})
fn main(@builtin(global_invocation_id) id: vec3u) {
  let index = ${FLAT_INDEX};
  let first = index / ${FLAT_LANES}u * ${FLAT_LANES * VECTORS}u + index % ${FLAT_LANES}u;
  var largest = vec4u();
  for (var i = first; i < min(first + ${FLAT_LANES * VECTORS}u, params.count); i += ${FLAT_LANES}u) {
    largest = max(largest, x[i] & vec4u(0x7fffffffu));
  }
  if (all(largest < vec4u(params.limit))) { return; }
  for (var i = first; i < min(first + ${FLAT_LANES * VECTORS}u, params.count); i += ${FLAT_LANES}u) {
    let four = x[i];
${unrolled(4, c => `    look(4u * i + ${c}u, four[${c}]);`)}
  }
}`,
  };
}
