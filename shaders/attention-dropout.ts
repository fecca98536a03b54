import { f32, type Param, u32 } from './kernel.ts';
import { PCG4D } from './random.ts';

/**
 * Dropout of the probabilities of attention: an element is kept where its random word is at least `dropout` = p 2^32, and is then
 * multiplied by `dropout_scale` = 1 / (1 - p). The word is a function of the site, the seed, the step, the key of the sequence, the head
 * and the two tokens, so that the backward pass finds the same elements again, whatever else the batch holds.
 */
export const DROPOUT_PARAMS: readonly Param[] = [
  u32('dropout'),
  f32('dropout_scale'),
  u32('site'),
  u32('seed'),
  u32('step'),
];

/**
 * `fn dropout_factors(key, query, head, sequence) -> vec4f`: 0 or `dropout_scale` for the four keys of which `key` is one. Tokens are
 * counted from the first one that others attend to: the fillers before it are counted backward, in 20 bits.
 */
export const DROPOUT_FACTORS = `
${PCG4D}
fn dropout_factors(key: u32, query: u32, head: u32, sequence: u32) -> vec4f {
  let place = params.seed + params.site * 0x9e3779b9u + params.step * 0x85ebca6bu;
  let words = pcg4d(vec4u(key >> 2u, (query & 0xfffffu) | (head << 20u), sequence, place));
  return select(vec4f(), vec4f(params.dropout_scale), words >= vec4u(params.dropout));
}`;
