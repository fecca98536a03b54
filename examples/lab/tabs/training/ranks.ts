/** The places of scores, the highest first; of equal ones the earlier first. */
export const ranking = (scores: readonly number[]): number[] =>
  scores.map((_, i) => i).sort((a, b) => scores[b]! - scores[a]!);

/**
 * For each query the place of the passage that answers it, from 1.
 * @param scores for each query the score of every passage
 * @param right for each query the passages that answer it: those of all its pairs. The best of them counts
 */
export const placesOf = (scores: readonly (readonly number[])[], right: readonly ReadonlySet<number>[]): number[] =>
  scores.map((row, query) => ranking(row).findIndex(passage => right[query]!.has(passage)) + 1);
