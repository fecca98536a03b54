/** The functions on plain lists of numbers that transformers.js exports (src/utils/maths.js there), each as it defines it. */

type Numbers = readonly number[] | Float32Array | Float64Array;

/** exp(x) / sum of exp(x), in the type of the input. */
export function softmax<List extends number[] | Float32Array | Float64Array>(list: List): List {
  const most = greatest(list);
  const powers = Float64Array.from(list, value => Math.exp(value - most));
  const sum = powers.reduce((total, power) => total + power, 0);
  return list.map((_: number, i: number) => powers[i]! / sum) as List;
}

/** The logarithm of softmax, in the type of the input. */
export function log_softmax<List extends number[] | Float32Array | Float64Array>(list: List): List {
  const most = greatest(list);
  const logSum = Math.log((list as readonly number[]).reduce((total, value) => total + Math.exp(value - most), 0));
  return list.map((value: number) => value - most - logSum) as List;
}

/** The sum of products, of two lists of the same length. */
export function dot(a: Numbers, b: Numbers): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

/** The cosine of the angle between two lists of the same length; NaN where one of them is all zeros. */
export const cos_sim = (a: Numbers, b: Numbers): number => dot(a, b) / (Math.sqrt(dot(a, a)) * Math.sqrt(dot(b, b)));

const greatest = (list: ArrayLike<number>): number => {
  let most = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < list.length; i++) most = Math.max(most, list[i]!);
  return most;
};
