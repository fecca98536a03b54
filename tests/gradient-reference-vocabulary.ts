import type { Numbers } from './reference.ts';

/**
 * The CPU twins of the kernels that read the logits of a vocabulary in tiles (shaders/softmax-tiles.ts), in float64 on plain unpadded arrays.
 * vocabulary-tiles.test.ts checks that tiles give the cross-entropy of the whole, and its gradient central differences.
 */

export interface SoftmaxTile {
  /** The columns of the tile, and the first one in the whole. */
  columns: number;
  first: number;
  /** The columns of the whole. */
  classes: number;
  smoothing?: number;
  scale?: number;
}

/** What is known of a row: the largest logit, the sum of exponentials relative to it, the label's logit, the sum of all. */
export type Statistics = [top: number, sum: number, own: number, all: number];

/** logits [R, columns], a label for each row, -1 for none, the statistics of the tiles before -> those with this one, the losses so far */
export function softmaxStatistics(
  logits: Numbers,
  labels: readonly number[],
  before: readonly Statistics[] | undefined,
  { columns, first, classes, smoothing = 0, scale = 1 }: SoftmaxTile,
): { statistics: Statistics[]; loss: number[] } {
  const statistics = labels.map((label, r): Statistics => {
    if (label < 0) return [0, 0, 0, 0];
    const [earlierTop, earlierSum, earlierOwn, earlierAll] = before?.[r] ?? [Number.NEGATIVE_INFINITY, 0, 0, 0];
    const row = Array.from({ length: columns }, (_, c) => logits[r * columns + c]!);
    const top = row.reduce((a, b) => Math.max(a, b), earlierTop);
    const sum = row.reduce((total, z) => total + Math.exp(z - top), earlierSum * Math.exp(earlierTop - top));
    return [top, sum, row[label - first] ?? earlierOwn, row.reduce((a, b) => a + b, earlierAll)];
  });
  const loss = statistics.map(([top, sum, own, all], r) => {
    const whole = top + Math.log(sum);
    return labels[r]! < 0 ? 0 : scale * ((1 - smoothing) * (whole - own) + smoothing * (whole - all / classes));
  });
  return { statistics, loss };
}

/** logits [R, columns], labels, the statistics of all tiles -> the gradient [R, columns] */
export const softmaxGradient = (
  logits: Numbers,
  labels: readonly number[],
  statistics: readonly Statistics[],
  { columns, first, classes, smoothing = 0, scale = 1 }: SoftmaxTile,
): Float64Array =>
  Float64Array.from(logits, (z, i) => {
    const [r, c] = [Math.floor(i / columns), i % columns];
    const [top, sum] = statistics[r]!;
    const share = smoothing / classes + (first + c === labels[r] ? 1 - smoothing : 0);
    return labels[r]! < 0 ? 0 : scale * (Math.exp(z - top) / sum - share);
  });
