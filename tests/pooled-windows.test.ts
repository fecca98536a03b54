import { expect, test } from 'vitest';
import { poolWindows } from '../src/tasks/pooled-windows.ts';
import type { KernelPooling } from '../src/tasks/poolings.ts';
import { pooled } from './reference.ts';

/** Windows of one column, of which the first tokens are not pooled. */
const WINDOWS = [
  { column: [3, -1, 4, 1, -5, 9], unpooled: 4 },
  { column: [2, 6, -5, 3], unpooled: 0 },
  { column: [5, 8, 9, 7, 9], unpooled: 0 },
];
const windowsOf = (...poolings: KernelPooling[]) =>
  WINDOWS.map(({ column, unpooled }) => ({
    row: Float32Array.from(poolings, pooling => pooled(pooling, column, unpooled)),
    tokens: column.length,
    unpooled,
  }));
const ALL = WINDOWS.flatMap(({ column, unpooled }) => column.slice(unpooled));
/** The weights of a weighted mean begin again in each window. */
const WEIGHTS = WINDOWS.flatMap(({ column, unpooled }) => column.map((_, i) => i + 1).slice(unpooled));
const WANTED = {
  mean: pooled('mean', ALL),
  cls: pooled('cls', ALL),
  max: pooled('max', ALL),
  last: pooled('last', ALL),
  mean_sqrt: pooled('mean_sqrt', ALL),
  weighted: ALL.reduce((sum, v, i) => sum + v * WEIGHTS[i]!, 0) / WEIGHTS.reduce((a, b) => a + b),
};
const NAMES = Object.keys(WANTED) as KernelPooling[];

test.each(NAMES)('%s', pooling => {
  expect(poolWindows(windowsOf(pooling), [pooling], false)[0]).toBeCloseTo(WANTED[pooling], 5);
});

test('several, each by its own', () => {
  const row = poolWindows(windowsOf(...NAMES), NAMES, false);
  NAMES.forEach((pooling, c) => {
    expect(row[c]).toBeCloseTo(WANTED[pooling], 5);
  });
});

test('after dense layers: the mean by tokens, but for one that selects', () => {
  const rows = [10, 20, 30];
  const windows = WINDOWS.map(({ column, unpooled }, i) => ({
    row: Float32Array.of(rows[i]!, 1),
    tokens: column.length,
    unpooled,
  }));
  const mean = (2 * 10 + 4 * 20 + 5 * 30) / 11;
  for (const poolings of [['mean'], ['weighted'], ['mean_sqrt'], ['cls', 'max', 'last']] as KernelPooling[][]) {
    expect(poolWindows(windows, poolings, true)[0]).toBeCloseTo(mean, 5);
  }
  expect(poolWindows(windows, ['max'], true)[0]).toBe(30);
  expect(poolWindows(windows, ['cls'], true)[0]).toBe(10);
  expect(poolWindows(windows, ['last'], true)[0]).toBe(30);
});

test('windows without a pooled token do not count; where all are such, the first is the row', () => {
  const empty = { row: Float32Array.of(0), tokens: 5, unpooled: 7 };
  const full = { row: Float32Array.of(-3), tokens: 5, unpooled: 4 };
  for (const pooling of NAMES) {
    expect(poolWindows([empty, full, empty], [pooling], false)[0]).toBeCloseTo(-3, 6);
    expect(poolWindows([empty, empty], [pooling], false)[0]).toBe(0);
  }
});
