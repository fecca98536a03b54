import { median } from './median.ts';
import { sentence } from './sentence.ts';
import type { Extractor } from './sides.ts';
import { loadExtractor, OPTIONS, open } from './sides.ts';

export interface SweepFigure {
  tokens: number;
  texts: number;
  medianMs: number;
  msPerToken: number;
  runs: number;
}

/** One text's length in the lists of the sweep. */
const EACH = 16;

/** What a list takes of a round, at most, unless a single call takes longer. */
const ROUND_MS = 1500;

/**
 * Time per token of lists of 1, 2, 4, … texts of 16 tokens, up to `mostTokens` together. All lists in turns, short ones as many calls
 * as take about as long as a call of a long one; of each list the median of a round, and of these the median. So a processor whose speed
 * changes has the same speed for all.
 */
export async function benchSweep(mostTokens: number, rounds: number): Promise<SweepFigure[]> {
  return sweep(await loadExtractor(await open('ours'), 'ours'), mostTokens, rounds);
}

export async function sweep(extractor: Extractor, mostTokens: number, rounds: number): Promise<SweepFigure[]> {
  const lists: { tokens: number; texts: string[]; medians: number[]; runs: number }[] = [];
  for (let tokens = EACH; tokens <= mostTokens; tokens *= 2) {
    lists.push({
      tokens,
      texts: Array.from({ length: tokens / EACH }, (_, i) => sentence(EACH, i)),
      medians: [],
      runs: 0,
    });
  }
  for (const { texts } of lists) await extractor(texts, OPTIONS);
  for (let round = 0; round < rounds; round++) {
    for (const list of lists) {
      const times: number[] = [];
      for (let spent = 0; spent < ROUND_MS && times.length < 25; ) {
        const began = performance.now();
        await extractor(list.texts, OPTIONS);
        const ms = performance.now() - began;
        times.push(ms);
        spent += ms;
      }
      list.medians.push(median(times));
      list.runs += times.length;
    }
  }
  return lists.map(({ tokens, texts, medians, runs }) => {
    const medianMs = median(medians);
    return { tokens, texts: texts.length, medianMs, msPerToken: medianMs / tokens, runs };
  });
}
