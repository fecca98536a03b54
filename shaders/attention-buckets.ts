import { MAX_DISTANCE } from './attention-keys.ts';
import { unrolled } from './snippets.ts';

/**
 * WGSL: `fn bucket_of(distance: i32) -> u32`, the bucket of key - query, of a table with the buckets of the distances from -128 to 128 that
 * never falls as distances grow in one direction (bucketTable in src/plan/relative.ts). Where the table steps is in the text: the kernels
 * of the backward pass have a binding for everything that the forward pass reads but the table, and eight is all a device must have.
 */
export function bucketOf(table: ArrayLike<number>): string {
  if (table.length !== 2 * MAX_DISTANCE + 1) {
    throw new Error(`a table of buckets has ${2 * MAX_DISTANCE + 1} distances, not ${table.length}`);
  }
  const side = (sign: number): Side => {
    const bucket = (distance: number) => table[MAX_DISTANCE + sign * distance]!;
    const steps: number[] = [];
    for (let distance = 2; distance <= MAX_DISTANCE; distance++) {
      const step = bucket(distance) - bucket(distance - 1);
      if (step < 0) throw new Error(`the bucket of distance ${sign * distance} is less than the one before`);
      for (let i = 0; i < step; i++) steps.push(distance);
    }
    return { first: bucket(1), steps };
  };
  const [before, after] = [side(-1), side(1)];
  return `
fn bucket_of(distance: i32) -> u32 {
  let far = vec4u(u32(abs(distance)));
  var before = vec4u();
  var after = vec4u();
${counted('before', before.steps)}
${counted('after', after.steps)}
  let bucket = select(${before.first}u + dot(before, vec4u(1u)), ${after.first}u + dot(after, vec4u(1u)), distance > 0);
  return select(bucket, ${table[MAX_DISTANCE]!}u, distance == 0);
}`;
}

interface Side {
  /** The bucket of distance 1. */
  readonly first: number;
  /** The distances at which the bucket grows by one. */
  readonly steps: readonly number[];
}

/** Adds up, in four parts, how many of `steps` are no farther than `far`. */
const counted = (name: string, steps: readonly number[]): string =>
  unrolled(Math.ceil(steps.length / 4), i => {
    const four = [0, 1, 2, 3].map(j => `${steps[4 * i + j] ?? 2 ** 32 - 1}u`);
    return `  ${name} += select(vec4u(), vec4u(1u), far >= vec4u(${four.join(', ')}));`;
  });
