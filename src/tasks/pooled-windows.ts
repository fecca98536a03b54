import type { KernelPooling } from './poolings.ts';

/** A window of a text after pooling. */
export interface PooledWindow {
  /** [columns]; without a pooling [tokens, C] */
  readonly row: Float32Array;
  readonly tokens: number;
  /** How many of the tokens, from the start, were left out of the pooling. */
  readonly unpooled: number;
}

/** A pooling that is a weighted sum over tokens, divided by the total weight or by its square root. */
interface WeightedPooling {
  /** The total weight of the window's pooled tokens. */
  weightOf(window: PooledWindow): number;
  isRoot: boolean;
}

const pooledTokens = ({ tokens, unpooled }: PooledWindow) => Math.max(0, tokens - unpooled);
/** 1 + 2 + ... + n */
const sumUpTo = (n: number) => (n * (n + 1)) / 2;

const WEIGHTED_POOLINGS: Readonly<Record<'mean' | 'mean_sqrt' | 'weighted', WeightedPooling>> = {
  mean: { weightOf: pooledTokens, isRoot: false },
  mean_sqrt: { weightOf: pooledTokens, isRoot: true },
  // A token weighs its place in its window, from 1.
  weighted: {
    weightOf: ({ tokens, unpooled }) => sumUpTo(tokens) - sumUpTo(Math.min(tokens, unpooled)),
    isRoot: false,
  },
};

/**
 * The rows of a text's windows -> the row of the text, [columns]. Each pooling has its own part of the columns. Means are weighted by
 * the windows' tokens, `max` takes the greatest value, `cls` the first and `last` the last window; windows without a pooled token
 * count nothing.
 *
 * Steps on the pooled row (dense layers, norms) mix the columns, so after them there are no parts: the row is the mean by tokens,
 * unless `cls`, `max` or `last` is the only pooling, which then selects as before.
 */
export function poolWindows(
  windows: readonly PooledWindow[],
  poolings: readonly KernelPooling[],
  hasRowSteps: boolean,
): Float32Array {
  const [{ row: first }] = windows as [PooledWindow];
  if (windows.length === 1) return first;
  const pooledWindows = windows.filter(window => pooledTokens(window) > 0);
  if (pooledWindows.length === 0) return first;
  const isSelection = poolings.length === 1 && !(poolings[0]! in WEIGHTED_POOLINGS);
  const parts: readonly KernelPooling[] = hasRowSteps && !isSelection ? ['mean'] : poolings;
  const width = first.length / parts.length;
  return first.map((_, column) => poolColumn(pooledWindows, parts[Math.floor(column / width)]!, column));
}

function poolColumn(windows: readonly PooledWindow[], pooling: KernelPooling, column: number): number {
  switch (pooling) {
    case 'cls':
      return windows[0]!.row[column]!;
    case 'last':
      return windows.at(-1)!.row[column]!;
    case 'max':
      return windows.reduce((greatest, { row }) => Math.max(greatest, row[column]!), Number.NEGATIVE_INFINITY);
    default: {
      // With a root, a window's row is sum / sqrt(weight): times sqrt(weight) it is the sum again.
      const { weightOf, isRoot } = WEIGHTED_POOLINGS[pooling];
      const scaled = (weight: number) => (isRoot ? Math.sqrt(weight) : weight);
      const total = windows.reduce((sum, window) => sum + weightOf(window), 0);
      return windows.reduce((sum, window) => sum + window.row[column]! * scaled(weightOf(window)), 0) / scaled(total);
    }
  }
}
