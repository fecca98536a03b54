import type { SamplingStrategy } from './argument-values.ts';
import { permutation, randomStream } from './random.ts';

export interface OrderSettings {
  readonly strategy: SamplingStrategy;
  /** The examples of the data set. */
  readonly count: number;
  /** `data_seed` of the arguments. */
  readonly seed: number;
  /** 0 for the first. */
  readonly epoch: number;
  /** The examples of a step: batch size times accumulation. Read where they are grouped by length. */
  readonly batchSize: number;
  /** The tokens of every example. Read where they are grouped by length. */
  readonly lengths?: ArrayLike<number>;
}

/** The order of the examples in an epoch: the same for the same seed and epoch. */
export function epochOrder({ strategy, count, seed, epoch, batchSize, lengths = [] }: OrderSettings): Uint32Array {
  if (strategy === 'sequential') return Uint32Array.from({ length: count }, (_, i) => i);
  const order = permutation(count, randomStream({ seed, purpose: 'order', epoch }));
  return strategy === 'random' ? order : groupedByLength(order, lengths, batchSize);
}

/**
 * Puts examples of like length side by side: transformers' get_length_grouped_indices. A drawn order is cut into large groups, each of
 * which is sorted, the longest first; the longest of all comes first, so that memory that does not suffice shows at once.
 */
export function groupedByLength(order: Uint32Array, lengths: ArrayLike<number>, batchSize: number): Uint32Array {
  const size = batchSize * (Math.min(Math.floor(order.length / (batchSize * 4)), 50) || 1);
  const groups: Uint32Array[] = [];
  for (let start = 0; start < order.length; start += size) {
    groups.push(order.slice(start, start + size).sort((a, b) => lengths[b]! - lengths[a]!));
  }
  const [first] = groups;
  if (first === undefined) return order;
  const longest = groups.reduce((best, group) => (lengths[group[0]!]! > lengths[best[0]!]! ? group : best));
  const [swapped, index] = [first[0]!, longest[0]!];
  first[0] = index;
  longest[0] = first === longest ? index : swapped;
  return Uint32Array.from(groups.flatMap(group => [...group]));
}

/** An order cut into batches; a last one that is smaller is left out with `dropLast`. */
export function* batchesOf(order: Uint32Array, batchSize: number, dropLast = false): Generator<Uint32Array> {
  for (let start = 0; start < order.length; start += batchSize) {
    const batch = order.subarray(start, start + batchSize);
    if (batch.length === batchSize || !dropLast) yield batch;
  }
}

/**
 * Batches without a text twice: sentence-transformers' NoDuplicatesBatchSampler, for losses that take the other texts of a batch as wrong
 * answers. It goes through the order; an example one of whose texts is in the batch already is put off to a later one.
 * @param textsOf the texts of an example
 */
export function* noDuplicateBatches(
  order: Uint32Array,
  textsOf: (index: number) => Iterable<string>,
  batchSize: number,
  dropLast = false,
): Generator<number[]> {
  // A linked list of the places in the order that are left, so that a batch costs what it looks at. `end` is both ends of it.
  const end = order.length;
  const next = Uint32Array.from({ length: end + 1 }, (_, i) => (i === end ? 0 : i + 1));
  while (next[end] !== end) {
    const texts = new Set<string>();
    const batch: number[] = [];
    let before = end;
    for (let place = next[end]!; place !== end && batch.length < batchSize; place = next[place]!) {
      const index = order[place]!;
      const own = [...textsOf(index)];
      if (own.some(text => texts.has(text))) {
        before = place;
        continue;
      }
      next[before] = next[place]!;
      batch.push(index);
      for (const text of own) texts.add(text);
    }
    if (batch.length === batchSize || !dropLast) yield batch;
  }
}
