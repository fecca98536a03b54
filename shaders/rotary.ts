import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { type Binding, declarations, type Kernel, padded, read, u32, write } from './kernel.ts';
import { FLAT_INDEX, FLAT_LANES, flatGrid } from './snippets.ts';

/**
 * Where the angles come from:
 *   steps         steps[d / 2]: what each position adds, as a fraction of a turn, in units of 2^-32 and the rest of it in units of 2^-48
 *   phases        phases[T, d / 2]: the angle of every token, in units of 2^-32 of a turn
 *   frequencies   frequencies[d / 2], in radians for each position
 *   table         table[positions, d]: the sines of a position, then its cosines
 */
export type AngleSource = 'steps' | 'phases' | 'frequencies' | 'table';

export interface RotaryVariant {
  /** H, G and D, unpadded. */
  readonly heads: number;
  readonly keyHeads: number;
  readonly headSize: number;
  /** d / 2 */
  readonly pairs: number;
  /** A pair is two neighbouring columns. Otherwise its second column stands d / 2 after the first. */
  readonly interleaved: boolean;
  /** v is turned too. */
  readonly turnsValues: boolean;
  readonly angles: AngleSource;
  /** By the negative angle: the way back, where qkv is the gradient of y, and y that of qkv. Default: false. */
  readonly inverse?: boolean | undefined;
}

/** The steps of the kernel, two numbers each, from frequencies in radians for each position. */
export const rotarySteps = (frequencies: readonly number[]): Uint32Array<ArrayBuffer> =>
  Uint32Array.from(
    frequencies.flatMap(frequency => {
      const turns = frequency / (2 * Math.PI);
      const units = Math.round((turns - Math.floor(turns)) * 2 ** 48);
      return [Math.floor(units / 2 ** 16) % 2 ** 32, units % 2 ** 16];
    }),
  );

const BINDINGS: Readonly<Record<AngleSource, Binding>> = {
  steps: read('steps', 'array<vec2u>'),
  phases: read('phases', 'array<u32>'),
  frequencies: read('frequencies', 'array<f32>'),
  table: read('table', 'array<f32>'),
};

/**
 * `fn turn_by(quarter: u32, x: f32) -> vec2f`: cosine and sine of quarter pi / 2 + x for |x| <= pi / 4, by their Taylor series to x^8
 * and x^9, whose error there is below 3e-8. WGSL's own cos and sin may be wrong by 2^-11.
 */
const TURN_BY = `
fn turn_by(quarter: u32, x: f32) -> vec2f {
  let z = x * x;
  let c = 1.0 + z * (-0.5 + z * (4.1666667e-2 + z * (-1.3888889e-3 + z * 2.4801587e-5)));
  let s = x * (1.0 + z * (-1.6666667e-1 + z * (8.3333333e-3 + z * (-1.9841270e-4 + z * 2.7557319e-6))));
  let swapped = select(vec2f(c, s), vec2f(-s, c), (quarter & 1u) == 1u);
  return select(swapped, -swapped, (quarter & 2u) == 2u);
}`;

/**
 * `fn turn_of(row: u32, pair: u32) -> vec2f`: cosine and sine of the angle of a token and a pair.
 *
 * In fixed point the product of a position and a step wraps around at whole turns, so the fraction of a turn is exact but for the
 * rounding of the step, position 2^-49 turns, and two units: 4e-9 radians at position 100,000, where a product of floats would be wrong
 * by 6e-3. Nearest quarters are taken off before the fraction becomes a float.
 * A product of a position and a frequency in float32 is reduced in three steps (Cody and Waite, 1980), whose constants have few digits so
 * that their products are exact.
 */
const TURN_OF: Readonly<Record<AngleSource, (pairs: number) => string>> = {
  steps: () => `fn turn_of(row: u32, pair: u32) -> vec2f {
  let position = tokens[row].y;
  let step = steps[pair];
  return turn_of_phase(position * step.x + (position >> 16u) * step.y + (((position & 0xffffu) * step.y) >> 16u));
}`,
  phases: pairs => `fn turn_of(row: u32, pair: u32) -> vec2f { return turn_of_phase(phases[row * ${pairs}u + pair]); }`,
  frequencies: () => `fn turn_of(row: u32, pair: u32) -> vec2f {
  let angle = f32(tokens[row].y) * frequencies[pair];
  let quarters = round(angle * 0.63661977236758134);
  let x = ((angle - quarters * 1.5703125) - quarters * 4.8375129699707031e-4) - quarters * 7.5497899548918822e-8;
  return turn_by(u32(i32(quarters)), x);
}`,
  table: pairs => `fn turn_of(row: u32, pair: u32) -> vec2f {
  let at = tokens[row].y * ${padded(2 * pairs)}u + pair;
  return vec2f(table[at + ${pairs}u], table[at]);
}`,
};

const TURN_OF_PHASE = `
fn turn_of_phase(phase: u32) -> vec2f {
  let quarter = (phase + 0x20000000u) >> 30u;
  return turn_by(quarter, f32(bitcast<i32>(phase - (quarter << 30u))) * 1.4629180792671596e-9);
}`;

/**
 * y[T, (H + 2 G) D] = qkv with every pair (a, b) of the first d columns of a head of q and k turned by the angle of the token's position
 * (Su et al., arXiv 2104.09864): (a cos - b sin, b cos + a sin). Other columns, and v, are copied.
 *
 *   tokens[T] = (id, position, type, place)    qkv, y [T, (H + 2 G) D]    angles: see AngleSource      grid: flat, T d / 2
 *
 * An invocation has one pair of a token in all heads, so that its cosine and sine are computed once; neighbours have neighbouring pairs.
 */
export function rotary(variant: RotaryVariant): Kernel {
  const { heads, keyHeads, headSize, pairs, interleaved, turnsValues, angles, inverse = false } = variant;
  const width = padded(headSize);
  const columns = (heads + 2 * keyHeads) * width;
  const turned = heads + (turnsValues ? 2 : 1) * keyHeads;
  /** Columns of a turned head that do not turn, its padding too. */
  const rest = width - 2 * pairs;
  const copied = columns - turned * 2 * pairs;
  const bindings = [
    read('tokens', 'array<vec4u>'),
    BINDINGS[angles],
    read('qkv', 'array<f32>'),
    write('y', 'array<f32>'),
  ];
  const used = angles === 'phases' ? bindings.slice(1) : bindings;
  const params = [u32('rows')];
  const inFixedPoint = angles === 'steps' || angles === 'phases';
  return {
    name: `rotary ${heads}+${keyHeads}x${headSize} ${2 * pairs} ${angles}${interleaved ? ' interleaved' : ''}${turnsValues ? ' values' : ''}${inverse ? ' inverse' : ''}`,
    bindings: used,
    params,
    workgroups: ({ rows }) => flatGrid(rows! * pairs),
    code: wgsl`
${declarations(used, params)}
#if ${angles !== 'table'}
${TURN_BY}
#endif
#if ${inFixedPoint}
${TURN_OF_PHASE}
#endif
${TURN_OF[angles](pairs)}

@compute @workgroup_size(${FLAT_LANES})
fn main(@builtin(global_invocation_id) id: vec3u) {
  let index = ${FLAT_INDEX};
  let row = index / ${pairs}u;
  if (row >= params.rows) { return; }
  let pair = index % ${pairs}u;
  let turn = turn_of(row, pair)${inverse ? ' * vec2f(1.0, -1.0)' : ''};
  let start = row * ${columns}u;
  for (var head = 0u; head < ${turned}u; head++) {
    let first = start + head * ${width}u + pair${interleaved ? ' * 2u' : ''};
    let second = first + ${interleaved ? 1 : pairs}u;
    let a = qkv[first];
    let b = qkv[second];
    y[first] = a * turn.x - b * turn.y;
    y[second] = b * turn.x + a * turn.y;
  }
  for (var i = pair; i < ${copied}u; i += ${pairs}u) {
#if ${rest > 0}
    let at = start + select(${turned * width}u + i - ${turned * rest}u, i / ${Math.max(1, rest)}u * ${width}u + ${2 * pairs}u + i % ${Math.max(1, rest)}u, i < ${turned * rest}u);
#else
    let at = start + ${turned * width}u + i;
#endif
    y[at] = qkv[at];
  }
}`,
  };
}
