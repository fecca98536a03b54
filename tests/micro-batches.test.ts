import { expect, test } from 'vitest';
import { capacityOf, type LabelledSequence } from '../src/gradients/index.ts';
import { largestMicroBatch, microBatches } from '../src/training/micro-batches.ts';
import { randomStream } from '../src/training/random.ts';
import { batchesOf, epochOrder } from '../src/training/sampler.ts';

/** The micro-batches of trainings, and what is reserved for the largest: every one that comes must fit. */

const TILE = 16;
const roomy = { microBatchRoom: () => () => true };

const sequenceOf = (length: number, masked = 0): LabelledSequence => ({
  ids: Array.from({ length }, () => 1),
  positions: [],
  types: [],
  masked: Array.from({ length: masked }, (_, i) => i),
});

interface Given {
  readonly lengths: readonly number[];
  readonly size: number;
  readonly most?: number;
  readonly probability?: number;
}

/** The bound of a training, and the largest of every number that the parts of some epochs have. */
function seen({ lengths, size, most = Number.POSITIVE_INFINITY, probability = 0 }: Given, epochs = 20) {
  const args = { per_device_train_batch_size: size, max_tokens_per_batch: most };
  const p = probability;
  const data = {
    lengths,
    isDivisible: true,
    extent: (index: number) => {
      const length = lengths[index]!;
      return { lengths: [length], masked: { mean: p * length, variance: p * (1 - p) * length } };
    },
  };
  const { batch: bound } = largestMicroBatch(data, args)(TILE);
  const largest = { tokens: 0, sequences: 0, tiles: 0, masked: 0 };
  for (let epoch = 0; epoch < epochs; epoch++) {
    const order = epochOrder({
      strategy: 'random',
      count: lengths.length,
      seed: 1,
      epoch,
      batchSize: size,
      lengths,
    });
    for (const batch of batchesOf(order, size, false)) {
      const sequences = Array.from(batch, index => {
        const stream = randomStream({ seed: 1, purpose: 'mask', epoch, index });
        const masked = Array.from({ length: lengths[index]! }, () => stream.uniform()).filter(v => v < p).length;
        return sequenceOf(lengths[index]!, masked);
      });
      for (const part of microBatches(roomy, sequences, args)) {
        const sumOf = (of: (sequence: LabelledSequence) => number) => part.reduce((sum, each) => sum + of(each), 0);
        const sizes = {
          tokens: sumOf(({ ids }) => ids.length),
          sequences: part.length,
          tiles: sumOf(({ ids }) => Math.ceil(ids.length / TILE)),
          masked: sumOf(({ masked }) => masked!.length),
        };
        for (const key of ['tokens', 'sequences', 'tiles', 'masked'] as const) {
          largest[key] = Math.max(largest[key], sizes[key]);
        }
      }
    }
  }
  return { bound, largest };
}

const whole = (sizes: ReturnType<typeof seen>['largest']) =>
  capacityOf({ ...sizes, pairs: 0, distances: 0 }, undefined);

test('of parts with so many tokens the longest records are not the largest', () => {
  const { bound, largest } = seen({ lengths: [300, 300, 300, 300, 200, 200, 200, 200], size: 8, most: 1100 });
  expect(largest.tokens).toBe(1100);
  expect(bound).toMatchObject({ tokens: 1100, sequences: 5 });
  expect(whole(bound)).toEqual(whole(largest));
});

test('a record that is longer than a part may be is one of its own', () => {
  const { bound, largest } = seen({ lengths: [900, 20, 30, 40], size: 4, most: 100 });
  expect(largest.tokens).toBe(900);
  expect(bound.tokens).toBe(900);
});

test('no epoch draws more masks than there is room for', () => {
  // In epoch 0 fewer than 128 are masked, in others more.
  const { bound, largest } = seen({ lengths: Array.from({ length: 32 }, () => 100), size: 8, probability: 0.15 }, 60);
  expect(largest.masked).toBeGreaterThan(128);
  expect(bound.masked).toBeGreaterThanOrEqual(largest.masked);
  expect(whole(bound).masked).toBe(256);
  // All tokens, where all are drawn.
  expect(seen({ lengths: [50, 70], size: 2, probability: 1 }).bound.masked).toBe(120);
});

test('no part of any lengths is larger than what is reserved', () => {
  for (let index = 0; index < 40; index++) {
    const stream = randomStream({ seed: 3, purpose: 'mask', epoch: 0, index });
    const lengths = Array.from({ length: 5 + stream.below(30) }, () => 1 + stream.below(120));
    const given = { lengths, size: 1 + stream.below(12), most: 40 + stream.below(400), probability: 0.15 };
    const { bound, largest } = seen(given, 5);
    for (const key of ['tokens', 'sequences', 'tiles', 'masked'] as const) {
      expect(bound[key], `${key} of ${JSON.stringify(given)}`).toBeGreaterThanOrEqual(largest[key]);
    }
  }
});

test('of a batch that is not divided all texts count', () => {
  const lengths = [
    [16, 16],
    [1, 17],
    [3, 3],
  ];
  const data = {
    lengths: lengths.map(each => each.reduce((a, b) => a + b)),
    isDivisible: false,
    extent: (index: number) => ({ lengths: lengths[index]!, masked: { mean: 0, variance: 0 } }),
  };
  const largest = largestMicroBatch(data, { per_device_train_batch_size: 2, max_tokens_per_batch: 20 })(TILE);
  expect(largest.batch).toEqual({ tokens: 50, sequences: 4, tiles: 5, masked: 0 });
  expect(largest.record).toEqual(largest.batch);
});
