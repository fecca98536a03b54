import type { Numbers } from './reference.ts';

/**
 * The CPU twin of disentangled attention in training, forward and backward, in float64 on plain unpadded arrays: dense matrices of scores, as
 * the formulas are written. gradient-distances.test.ts checks the gradients against central differences of the context.
 */

export interface DistanceCase {
  H: number;
  D: number;
  lengths: readonly number[];
  scale: number;
  /** The row of a distance key - query between places. */
  rowOf: (distance: number) => number;
  /** R */
  count: number;
  /** The place of every token of the pass. */
  places: readonly number[];
  /** For each sequence, how many tokens at its start no token attends to. Default: 0. */
  unattended?: readonly number[];
  /** What a probability is multiplied by after the softmax; tokens are counted from the first one that is attended to. */
  factor?: (sequence: number, head: number, query: number, key: number) => number;
}

/** qkv [T, 3, H, D], and the tables of keys and of queries [R, H, D], where there are any. */
export interface DistanceOperands {
  readonly qkv: Numbers;
  readonly keys: Numbers | undefined;
  readonly queries: Numbers | undefined;
}

interface Pair {
  readonly b: number;
  readonly h: number;
  /** Tokens of the pass. */
  readonly i: number;
  readonly j: number;
  readonly row: number;
  readonly factor: number;
  readonly p: number;
}

/** The rows of the softmax, one for each query and head, with the maximum and the sum of each. */
function rowsOf({ qkv, keys, queries }: DistanceOperands, options: DistanceCase) {
  const { H, D, lengths, scale, rowOf, places, unattended, factor = () => 1 } = options;
  const rows: { readonly pairs: readonly Pair[]; readonly top: number; readonly sum: number }[] = [];
  let start = 0;
  lengths.forEach((L, b) => {
    const first = start + (unattended?.[b] ?? 0);
    for (let i = start; i < start + L; i++) {
      for (let h = 0; h < H; h++) {
        const scored: { j: number; row: number; score: number }[] = [];
        for (let j = first; j < start + L; j++) {
          const row = rowOf(places[j]! - places[i]!);
          let product = 0;
          for (let d = 0; d < D; d++) {
            const [q, k] = [qkv[(i * 3 * H + h) * D + d]!, qkv[(j * 3 * H + H + h) * D + d]!];
            const [K, Q] = [keys?.[(row * H + h) * D + d] ?? 0, queries?.[(row * H + h) * D + d] ?? 0];
            product += q * k + q * K + k * Q;
          }
          scored.push({ j, row, score: product * scale });
        }
        const top = scored.reduce((most, { score }) => Math.max(most, score), Number.NEGATIVE_INFINITY);
        const sum = scored.reduce((total, { score }) => total + Math.exp(score - top), 0);
        const pairs = scored.map(
          ({ j, row, score }): Pair => ({
            b,
            h,
            i,
            j,
            row,
            factor: factor(b, h, i - first, j - first),
            p: Math.exp(score - top) / sum,
          }),
        );
        rows.push({ pairs, top, sum });
      }
    }
    start += L;
  });
  return rows;
}

/** context [T, H, D]; statistics [T, H]: the largest score, 1 / the sum of exp(score - it) */
export function distanceForward(operands: DistanceOperands, options: DistanceCase) {
  const { H, D } = options;
  const { qkv } = operands;
  const rows = rowsOf(operands, options);
  const context = new Float64Array(rows.length * D);
  rows.forEach(({ pairs }, r) => {
    for (const { h, j, p, factor } of pairs) {
      for (let d = 0; d < D; d++) context[r * D + d]! += p * factor * qkv[(j * 3 * H + 2 * H + h) * D + d]!;
    }
  });
  return { context, statistics: Float64Array.from(rows.flatMap(({ top, sum }) => [top, 1 / sum])) };
}

/** dcontext [T, H, D] -> the gradients of all operands, and delta [T, H]: of each row of probabilities the sum of dP P. */
export function distanceBackward(operands: DistanceOperands, dcontext: Numbers, options: DistanceCase) {
  const { H, D, scale, count } = options;
  const { qkv, keys, queries } = operands;
  const dqkv = new Float64Array(qkv.length);
  const dkeys = new Float64Array(count * H * D);
  const dqueries = new Float64Array(count * H * D);
  const rows = rowsOf(operands, options);
  const delta = new Float64Array(rows.length);
  rows.forEach(({ pairs }, r) => {
    const changes = pairs.map(({ h, j, factor }) => {
      let product = 0;
      for (let d = 0; d < D; d++) product += dcontext[r * D + d]! * qkv[(j * 3 * H + 2 * H + h) * D + d]!;
      return factor * product;
    });
    const mean = pairs.reduce((sum, { p }, n) => sum + p * changes[n]!, 0);
    delta[r] = mean;
    pairs.forEach(({ h, i, j, row, p, factor }, n) => {
      const ds = scale * p * (changes[n]! - mean);
      for (let d = 0; d < D; d++) {
        const [q, k, v] = [0, H, 2 * H].map((part, x) => ((x === 0 ? i : j) * 3 * H + part + h) * D + d) as [
          number,
          number,
          number,
        ];
        const at = (row * H + h) * D + d;
        dqkv[q]! += ds * (qkv[k]! + (keys?.[at] ?? 0));
        dqkv[k]! += ds * (qkv[q]! + (queries?.[at] ?? 0));
        dqkv[v]! += p * factor * dcontext[r * D + d]!;
        dkeys[at]! += ds * qkv[q]!;
        dqueries[at]! += ds * qkv[k]!;
      }
    });
  });
  return { dqkv, dkeys, dqueries, delta };
}
