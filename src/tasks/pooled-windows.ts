import type { OwnPooling } from './feature-extraction.ts';

/** A window of a text: its row, how many tokens it has, and how many of those at its start were not pooled. */
export interface PooledWindow {
  readonly row: Float32Array;
  readonly tokens: number;
  readonly unpooled: number;
}

/** What a window's row counts in a mean of rows, and what their sum is divided by, given the sum of `of` over all windows. */
interface Weighing {
  of(window: PooledWindow): number;
  root?: true;
}

const pooledTokens = ({ tokens, unpooled }: PooledWindow) => Math.max(0, tokens - unpooled);
/** 1 + 2 + ... + n */
const upTo = (n: number) => (n * (n + 1)) / 2;

const WEIGHINGS: Readonly<Record<'mean' | 'mean_sqrt' | 'weighted', Weighing>> = {
  mean: { of: pooledTokens },
  // Of a sum over all tokens by the root of their number each window has its part times the root of its own.
  mean_sqrt: { of: pooledTokens, root: true },
  // The places of tokens count from the start of each window.
  weighted: { of: ({ tokens, unpooled }) => upTo(tokens) - upTo(Math.min(tokens, unpooled)) },
};

/**
 * The windows of a text -> its row, each part of it by its own pooling: means by what their tokens count, of `max` the greatest, of
 * `cls` the first and of `last` the last window that has a pooled token. After dense layers there are no such parts: then it is as
 * after `cls`, `max` and `last`, where that is the only pooling, and the mean by tokens after any other.
 */
export function poolWindows(
  windows: readonly PooledWindow[],
  poolings: readonly OwnPooling[],
  hasDense: boolean,
): Float32Array {
  const [{ row: first }] = windows as [PooledWindow];
  if (windows.length === 1) return first;
  const pooled = windows.filter(window => pooledTokens(window) > 0);
  if (pooled.length === 0) return first;
  const isSelection = poolings.length === 1 && !(poolings[0]! in WEIGHINGS);
  const parts: readonly OwnPooling[] = hasDense && !isSelection ? ['mean'] : poolings;
  const width = first.length / parts.length;
  return first.map((_, c) => poolColumn(pooled, parts[Math.floor(c / width)]!, c));
}

function poolColumn(windows: readonly PooledWindow[], pooling: OwnPooling, c: number): number {
  if (pooling === 'cls') return windows[0]!.row[c]!;
  if (pooling === 'last') return windows.at(-1)!.row[c]!;
  if (pooling === 'max') return windows.reduce((most, { row }) => Math.max(most, row[c]!), Number.NEGATIVE_INFINITY);
  const { of, root } = WEIGHINGS[pooling];
  const scaled = (weight: number) => (root ? Math.sqrt(weight) : weight);
  const all = windows.reduce((sum, window) => sum + of(window), 0);
  return windows.reduce((sum, window) => sum + window.row[c]! * scaled(of(window)), 0) / scaled(all);
}
