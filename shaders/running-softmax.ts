import { reduce } from './snippets.ts';

/**
 * WGSL of what a softmax needs to be known of a row: `top`, its greatest number, and `sum`, that of exp(number - top), in one walk through
 * the row. Each invocation keeps the maximum so far and the sum of exponentials relative to it (Milakov and Gimelshein, arXiv 1805.02867);
 * a smaller number adds one exponential, a larger one rescales the sum by one. Here the pieces stand in the order in which a kernel has them.
 */

/** In the module: LOWEST, below every logit, and workgroup memory, where lanes share a row. `n`: rows of one softmax, or of two at once. */
export const softmaxDeclarations = (lanes: number, n: 1 | 2 = 1): string => {
  const type = n === 1 ? 'f32' : 'vec2f';
  const shared = `
var<workgroup> tops: array<${type}, ${lanes}>;
var<workgroup> sums: array<${type}, ${lanes}>;`;
  return `const LOWEST = -3.4e38;${lanes > 1 ? shared : ''}`;
};

/**
 * `fn wrong(x: vecNf) -> vecNu`: the bits of |x| where x is finite, NaN or plus infinity; 0 for minus infinity, the logit of what is ruled
 * out. From 0x7f800000 on, a logit is none: exp, log and max of a driver may give a finite number for it.
 */
export const wrongLogit = (n: 2 | 4): string => `fn wrong(x: vec${n}f) -> vec${n}u {
  let bits = bitcast<vec${n}u>(x);
  return select(bits & vec${n}u(0x7fffffffu), vec${n}u(), bits == vec${n}u(0xff800000u));
}`;

/** Before the walk: what an invocation keeps of `n` numbers at a time. */
export const softmaxStart = (n: 2 | 4): string => `  var top${n} = vec${n}f(LOWEST);
  var sum${n} = vec${n}f();
  var wrong${n} = vec${n}u();`;

/** In the walk: takes in the numbers `z`. */
export const softmaxStep = (n: 2 | 4): string => `    let difference = z - top${n};
    let e = exp(-abs(difference));
    sum${n} = select(sum${n} + e, sum${n} * e + 1.0, difference > vec${n}f());
    top${n} = max(top${n}, z);
    wrong${n} = max(wrong${n}, wrong(z));`;

/** After a walk that took in four numbers of one row at a time: `top` and `sum` of the row, in every lane; NaN where a logit is none. */
export const softmaxEnd = (lanes: number): string => `  var top = max(max(top4.x, top4.y), max(top4.z, top4.w));
  var sum = dot(sum4, exp(top4 - top));
  let wrong_bits = max(max(wrong4.x, wrong4.y), max(wrong4.z, wrong4.w));
  if (wrong_bits >= 0x7f800000u) { sum = bitcast<f32>(wrong_bits | 0x400000u); }
${merged(lanes)}`;

/** After a walk that took in one number of each of two rows at a time. */
export const softmaxEnds = (lanes: number): string => `  var top = top2;
  var sum = select(sum2, bitcast<vec2f>(wrong2 | vec2u(0x400000u)), wrong2 >= vec2u(0x7f800000u));
${merged(lanes)}`;

/** `top` and `sum` of each lane become those of all lanes, by way of workgroup memory. */
const merged = (lanes: number): string =>
  lanes === 1
    ? ''
    : `  tops[lane] = top;
  sums[lane] = sum;${reduce(
    lanes,
    `let greater = max(tops[lane], tops[other]);
      sums[lane] = sums[lane] * exp(tops[lane] - greater) + sums[other] * exp(tops[other] - greater);
      tops[lane] = greater;`,
  )}
  top = tops[0];
  sum = sums[0];
  workgroupBarrier();`;

/** The logarithm of `sum`, where it is a number; else what it is. */
export const softmaxLogarithm = (n: 1 | 2): string => {
  const [bits, splat] = n === 1 ? ['u32', (x: string) => x] : ['vec2u', (x: string) => `vec2u(${x})`];
  return `  let logarithm = select(log(sum), sum, (bitcast<${bits}>(sum) & ${splat('0x7f800000u')}) == ${splat('0x7f800000u')});`;
};
