import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { declarations, type Kernel, read, u32, write } from './kernel.ts';
import { FLAT_INDEX, flatGrid, LANES, unrolled } from './snippets.ts';

/** What a number of a weight may be that no kernel can compute with, in the order in which `inspect` counts them. */
export const FLAWS = ['NaN', 'Infinity', '-Infinity', 'too large'] as const;
export type FlawKind = (typeof FLAWS)[number];

/** The bits of |x| from which on x is flawed: of everything that is not finite, and of what a half rounds to infinity (65520). */
export const NOT_FINITE = 0x7f800000;
export const NO_HALF = 0x477ff000;

/** Words of `found` for one weight. */
export const WORDS_OF_FLAWS = FLAWS.length;

/** vec4 of one invocation. */
const EACH = 8;

/**
 * Looks for numbers of x[count] (float32 numbers by their bits, four to an element) whose size is `limit` or more. Runs at load, once
 * on every weight; one text serves all. found[4 * slot + kind] becomes the greatest ~(base + i) of the numbers i of a kind (see FLAWS), so
 * that it is 0 where there is none, and else tells the first. Bits and not floats: a compiler may assume that no float is NaN.
 * First the largest of 32 numbers is found without a branch; only where it is too large are they looked at one by one.
 *      grid: vec4 / (8 * 64), folded
 */
export function inspect(): Kernel {
  const bindings = [read('x', 'array<vec4u>'), write('found', 'array<atomic<u32>>')];
  const params = ['count', 'base', 'slot', 'limit'].map(u32);
  return {
    name: 'inspect',
    bindings,
    params,
    workgroups: ({ count }) => flatGrid(count! / EACH),
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

@compute @workgroup_size(${LANES})
fn main(@builtin(global_invocation_id) id: vec3u) {
  let index = ${FLAT_INDEX};
  let first = index / ${LANES}u * ${LANES * EACH}u + index % ${LANES}u;
  var most = vec4u();
  for (var i = first; i < min(first + ${LANES * EACH}u, params.count); i += ${LANES}u) {
    most = max(most, x[i] & vec4u(0x7fffffffu));
  }
  if (all(most < vec4u(params.limit))) { return; }
  for (var i = first; i < min(first + ${LANES * EACH}u, params.count); i += ${LANES}u) {
    let four = x[i];
${unrolled(4, c => `    look(4u * i + ${c}u, four[${c}]);`)}
  }
}`,
  };
}
