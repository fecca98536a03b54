import { describe, expect, test } from 'vitest';
import { batchesOf, epochOrder, groupedByLength, noDuplicateBatches } from '../src/training/index.ts';
import python from './fixtures/training-host.json' with { type: 'json' };

const settings = { count: 50, seed: 42, epoch: 0, batchSize: 4 };

describe('the order of an epoch', () => {
  test('is drawn by seed and epoch, and holds every example once', () => {
    const order = (of: Partial<typeof settings>) => epochOrder({ strategy: 'random', ...settings, ...of });
    expect([...order({})].sort((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, i) => i));
    expect(order({})).toEqual(order({}));
    for (const other of [{ seed: 43 }, { epoch: 1 }]) expect(order(other)).not.toEqual(order({}));
  });

  test('may be that of the data', () => {
    const order = epochOrder({ strategy: 'sequential', ...settings, count: 4 });
    expect([...order]).toEqual([0, 1, 2, 3]);
  });

  test('may have like lengths side by side', () => {
    const lengths = Array.from({ length: 400 }, (_, i) => (i * 37) % 101);
    const order = epochOrder({ strategy: 'group_by_length', ...settings, count: 400, lengths });
    expect(new Set(order).size).toBe(400);
    expect(lengths[order[0]!]).toBe(100);
    const spread = (of: Iterable<Uint32Array>) =>
      [...of].reduce((sum, batch) => {
        const own = [...batch].map(index => lengths[index]!);
        return sum + Math.max(...own) - Math.min(...own);
      }, 0);
    const random = epochOrder({ strategy: 'random', ...settings, count: 400 });
    expect(spread(batchesOf(order, 4))).toBeLessThan(spread(batchesOf(random, 4)) / 5);
  });

  test.each(python.samplers)(
    'groups by length as transformers does ($size of each)',
    ({ lengths, order, size, grouped }) => {
      expect([...groupedByLength(Uint32Array.from(order), lengths, size)]).toEqual(grouped);
    },
  );
});

describe('batches', () => {
  test('are cut from the order', () => {
    const cut = (dropLast?: boolean) => [...batchesOf(Uint32Array.of(4, 3, 2, 1, 0), 2, dropLast)].map(b => [...b]);
    expect(cut()).toEqual([[4, 3], [2, 1], [0]]);
    expect(cut(true)).toEqual([
      [4, 3],
      [2, 1],
    ]);
    expect([...batchesOf(new Uint32Array(), 2)]).toEqual([]);
  });

  test.each(python.samplers)(
    'without a text twice are those of sentence-transformers',
    ({ order, size, texts, batches }) => {
      const made = [...noDuplicateBatches(Uint32Array.from(order), index => texts[index]!, size)];
      expect(made).toEqual(batches);
    },
  );

  test('may leave out those that are smaller', () => {
    const same = () => ['a'];
    expect([...noDuplicateBatches(Uint32Array.of(0, 1, 2), same, 2)]).toEqual([[0], [1], [2]]);
    expect([...noDuplicateBatches(Uint32Array.of(0, 1, 2), same, 2, true)]).toEqual([]);
    expect([...noDuplicateBatches(new Uint32Array(), same, 2)]).toEqual([]);
  });
});
