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

/** Time per token of lists of 1, 2, 4, … texts of 16 tokens: up to `mostTokens` together, fewer runs for longer lists. */
export async function benchSweep(mostTokens: number, runs: number): Promise<SweepFigure[]> {
  return sweep(await loadExtractor(await open('ours'), 'ours'), mostTokens, runs);
}

export async function sweep(extractor: Extractor, mostTokens: number, runs: number): Promise<SweepFigure[]> {
  const figures: SweepFigure[] = [];
  for (let tokens = EACH; tokens <= mostTokens; tokens *= 2) {
    const texts = Array.from({ length: tokens / EACH }, (_, i) => sentence(EACH, i));
    const counted = Math.max(1, Math.min(runs, Math.round((runs * 512) / tokens)));
    const times: number[] = [];
    for (let run = -1; run < counted; run++) {
      const began = performance.now();
      await extractor(texts, OPTIONS);
      if (run >= 0) times.push(performance.now() - began);
    }
    const medianMs = median(times);
    figures.push({ tokens, texts: texts.length, medianMs, msPerToken: medianMs / tokens, runs: counted });
  }
  return figures;
}
