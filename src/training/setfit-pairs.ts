import { type Pcg32, permutation } from './random.ts';
import type { DataRecord } from './records.ts';

/** Which pairs of texts are made: the rarer kind again and again; the more frequent kind cut; or every pair once. */
export type SamplingStrategyOfPairs = 'oversampling' | 'undersampling' | 'unique';

export interface PairSampling {
  readonly strategy: SamplingStrategyOfPairs;
  /** So many positive and as many negative pairs for each text, whatever the strategy; undefined: what the strategy says. */
  readonly iterations: number | undefined;
  readonly stream: Pcg32;
}

/** Pairs of texts with 1 where they have the same label, else 0: setfit's ContrastiveDataset, in which a text is a pair with itself, too. */
export function contrastivePairs(
  texts: readonly string[],
  labels: readonly number[],
  { strategy, iterations, stream }: PairSampling,
): DataRecord[] {
  const [same, other] = pairsOf(labels, stream);
  const [fewer, more] = [same.length, other.length].sort((a, b) => a - b) as [number, number];
  const count = iterations !== undefined ? iterations * texts.length : strategy === 'undersampling' ? fewer : more;
  const isUnique = iterations === undefined && strategy === 'unique';
  const record = ([i, j]: Pair, label: number) => ({ sentence1: texts[i]!, sentence2: texts[j]!, label });
  const some = (pairs: readonly Pair[], label: number) =>
    isUnique || pairs.length === 0
      ? pairs.map(pair => record(pair, label))
      : Array.from({ length: count }, (_, k) => record(pairs[k % pairs.length]!, label));
  return [...some(same, 1), ...some(other, 0)];
}

type Pair = readonly [number, number];

/** All pairs of texts, each with itself too, in a random order: those of one label, and those of two. */
function pairsOf(labels: readonly number[], stream: Pcg32): [same: Pair[], other: Pair[]] {
  const all: Pair[] = labels.flatMap((_, i) => labels.slice(i).map((_, j): Pair => [i, i + j]));
  const shuffled = Array.from(permutation(all.length, stream), place => all[place]!);
  const isSame = ([i, j]: Pair) => labels[i] === labels[j];
  return [shuffled.filter(isSame), shuffled.filter(pair => !isSame(pair))];
}
