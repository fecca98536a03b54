/** Times of several calls in a few numbers. */
export interface Spread {
  readonly calls: number;
  readonly median: number;
  /** Half of the calls lie between the two quartiles. */
  readonly lower: number;
  readonly upper: number;
  readonly least: number;
}

/** Quantiles between two values lie on the line between them. Throws for no values. */
export function spreadOf(values: readonly number[]): Spread {
  if (values.length === 0) throw new Error('there is nothing to take the median of');
  const sorted = values.toSorted((a, b) => a - b);
  const quantile = (share: number): number => {
    const place = share * (sorted.length - 1);
    const below = sorted[Math.floor(place)]!;
    return below + (sorted[Math.ceil(place)]! - below) * (place % 1);
  };
  return {
    calls: sorted.length,
    median: quantile(0.5),
    lower: quantile(0.25),
    upper: quantile(0.75),
    least: sorted[0]!,
  };
}
