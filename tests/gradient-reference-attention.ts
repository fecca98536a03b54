import { pcg4d } from './gradient-reference-rows.ts';
import type { Numbers } from './reference.ts';

/**
 * The CPU twin of attention in training, forward and backward, in float64 on plain unpadded arrays. gradient-attention.test.ts checks the
 * gradients against central differences of the context.
 */

export interface AttentionCase {
  H: number;
  G?: number;
  D: number;
  lengths: readonly number[];
  scale?: number;
  /** The place of every token of the pass. Default: its index in its sequence. */
  places?: readonly number[];
  /** For each sequence, how many tokens at its start no token attends to. Default: 0. */
  unattended?: readonly number[];
  /** Added to a scaled score: of the distance key - query between places, and the head. */
  bias?: (distance: number, head: number) => number;
  /** Places of a query and a key that it sees differ by at most this. */
  window?: number | undefined;
  /** What a probability is multiplied by after the softmax; tokens are counted from the first one that is attended to. */
  factor?: (sequence: number, head: number, query: number, key: number) => number;
}

interface Pair {
  b: number;
  h: number;
  /** Tokens of the pass. */
  i: number;
  j: number;
  /** Places of i and j. */
  distance: number;
}

function forEachRow(
  { H, lengths, places, unattended, window }: AttentionCase,
  visit: (row: readonly Pair[], first: number) => void,
): void {
  let start = 0;
  lengths.forEach((L, b) => {
    const first = start + (unattended?.[b] ?? 0);
    for (let h = 0; h < H; h++) {
      for (let i = start; i < start + L; i++) {
        const row: Pair[] = [];
        for (let j = first; j < start + L; j++) {
          const distance = places ? places[j]! - places[i]! : j - i;
          if (window === undefined || Math.abs(distance) <= window) row.push({ b, h, i, j, distance });
        }
        visit(row, first);
      }
    }
    start += L;
  });
}

/** qkv [T, H + 2 G, D] -> context [T, H D]; statistics [T, 2 H]: of every query and head the largest score, 1 / the sum of exp(score - it) */
export function attentionForward(qkv: Numbers, options: AttentionCase) {
  const { H, G = H, D, lengths, scale = 1 / Math.sqrt(D), bias = () => 0, factor = () => 1 } = options;
  const T = lengths.reduce((a, b) => a + b, 0);
  const at = (t: number, head: number, d: number) => qkv[(t * (H + 2 * G) + head) * D + d]!;
  const context = new Float64Array(T * H * D);
  const statistics = new Float64Array(T * 2 * H);
  forEachRow(options, (row, first) => {
    const { b, h, i } = row[0]!;
    const keyHead = H + Math.floor((h * G) / H);
    const scores = row.map(({ j, distance }) => {
      let product = 0;
      for (let d = 0; d < D; d++) product += at(i, h, d) * at(j, keyHead, d);
      return product * scale + bias(distance, h);
    });
    const top = scores.reduce((a, b) => Math.max(a, b));
    const sum = scores.reduce((total, score) => total + Math.exp(score - top), 0);
    statistics[(i * H + h) * 2] = top;
    statistics[(i * H + h) * 2 + 1] = 1 / sum;
    row.forEach(({ j }, n) => {
      const p = (Math.exp(scores[n]! - top) / sum) * factor(b, h, i - first, j - first);
      for (let d = 0; d < D; d++) context[(i * H + h) * D + d]! += p * at(j, keyHead + G, d);
    });
  });
  return { context, statistics };
}

/**
 * dcontext [T, H D] -> the gradient of qkv; delta [T, H]; and what every pair adds to the gradient of its bias, by `addBias`. From the
 * Jacobian of the softmax as it is written in textbooks: dS = P (dP - the sum of P dP).
 */
export function attentionBackward(
  qkv: Numbers,
  dcontext: Numbers,
  options: AttentionCase,
  addBias: (distance: number, head: number, dS: number) => void = () => undefined,
) {
  const { H, G = H, D, scale = 1 / Math.sqrt(D), bias = () => 0, factor = () => 1 } = options;
  const { statistics } = attentionForward(qkv, options);
  const index = (t: number, head: number, d: number) => (t * (H + 2 * G) + head) * D + d;
  const dqkv = new Float64Array(qkv.length);
  const delta = new Float64Array(statistics.length / 2);
  forEachRow(options, (row, first) => {
    const { b, h, i } = row[0]!;
    const keyHead = H + Math.floor((h * G) / H);
    const probabilities = row.map(({ j, distance }) => {
      let product = 0;
      for (let d = 0; d < D; d++) product += qkv[index(i, h, d)]! * qkv[index(j, keyHead, d)]!;
      return (
        Math.exp(product * scale + bias(distance, h) - statistics[(i * H + h) * 2]!) * statistics[(i * H + h) * 2 + 1]!
      );
    });
    const factors = row.map(({ j }) => factor(b, h, i - first, j - first));
    const changes = row.map(({ j }, n) => {
      let product = 0;
      for (let d = 0; d < D; d++) product += dcontext[(i * H + h) * D + d]! * qkv[index(j, keyHead + G, d)]!;
      return factors[n]! * product;
    });
    const mean = probabilities.reduce((sum, p, n) => sum + p * changes[n]!, 0);
    delta[i * H + h] = mean;
    row.forEach(({ j, distance }, n) => {
      const dS = probabilities[n]! * (changes[n]! - mean);
      addBias(distance, h, dS);
      for (let d = 0; d < D; d++) {
        dqkv[index(i, h, d)]! += scale * dS * qkv[index(j, keyHead, d)]!;
        dqkv[index(j, keyHead, d)]! += scale * dS * qkv[index(i, h, d)]!;
        dqkv[index(j, keyHead + G, d)]! += probabilities[n]! * factors[n]! * dcontext[(i * H + h) * D + d]!;
      }
    });
  });
  return { dqkv, delta };
}

export interface AttentionDropout {
  probability: number;
  site: number;
  seed: number;
  step: number;
  /** The key of each sequence. */
  keys: readonly number[];
}

/** The factors of dropout as the kernels compute them, as an option of the functions above. */
export const dropoutFactors = ({
  probability,
  site,
  seed,
  step,
  keys,
}: AttentionDropout): NonNullable<AttentionCase['factor']> => {
  const place = Number(BigInt.asUintN(32, BigInt(seed) + BigInt(site) * 0x9e3779b9n + BigInt(step) * 0x85ebca6bn));
  const threshold = dropoutThreshold(probability);
  return (sequence, head, query, key) => {
    // Fillers, which come before the first token that is attended to, have negative indices: 20 bits of them.
    const row = (query & 0xfffff) + head * 2 ** 20;
    const words = pcg4d([Math.floor(key / 4), row, keys[sequence]!, place]);
    return words[key % 4]! >= threshold ? 1 / (1 - probability) : 0;
  };
};

/** The param `dropout`. */
export const dropoutThreshold = (probability: number): number =>
  Math.min(2 ** 32 - 1, Math.round(probability * 2 ** 32));
