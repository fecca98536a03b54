import { median } from './median.ts';
import { startMeters } from './meters.ts';
import { sentence } from './sentence.ts';
import { type Extractor, loadExtractor, OPTIONS, open, type Side } from './sides.ts';

export interface WarmFigure {
  work: string;
  side: Side;
  /** The side that had its turns between these calls. */
  against: Side | undefined;
  tokens: number;
  /** Calls issued one behind the other without waiting in between; times are per call. */
  inFlight: number;
  medianMs: number;
  minMs: number;
  maxMs: number;
  runs: number;
  /** What one call, apart from those that are timed, asked of the GPU. */
  gpu?: { dispatches: number; submits: number; maps: number };
}

const rest = (ms: number) => new Promise(resolve => setTimeout(resolve, ms));

function checkSame(work: string, [first, ...others]: readonly Float32Array[]): void {
  for (const other of others) {
    const difference = other.reduce((most, x, i) => Math.max(most, Math.abs(x - first![i]!)), 0);
    if (other.length === first!.length && difference < 1e-4) continue;
    throw new Error(`${work}: the sides differ: ${first!.length} and ${other.length} numbers, by up to ${difference}`);
  }
}

/**
 * The sides in one page, call by call in turns (A B A B …), after two calls each that are not timed (the first is compared, the
 * second counted for what it asks of the GPU; of a slow side one is both), and one more where they are short. `runs` rounds, fewer (but `leastRuns`) where they would take longer than `budgetMs`. Between calls there is a short rest: a WASM
 * thread pool spins on for a while after its work, and would spoil the other side's turn. The embeddings are compared first: a fast wrong answer is no result.
 */
export async function benchWarm(
  sides: readonly Side[],
  lists: Record<string, number[]>,
  { runs, leastRuns, budgetMs }: { runs: number; leastRuns: number; budgetMs: number },
  inFlight: number,
): Promise<WarmFigure[]> {
  const extractors: Extractor[] = [];
  for (const side of sides) extractors.push(await loadExtractor(await open(side), side));
  const figures: WarmFigure[] = [];
  for (const [work, lengths] of Object.entries(lists)) {
    const texts = lengths.map(sentence);
    const answers: Float32Array[] = [];
    const firstMs: number[] = [];
    const asked: WarmFigure['gpu'][] = [];
    for (const extractor of extractors) {
      const call = async () => {
        const { stop } = startMeters();
        const began = performance.now();
        const { data } = await extractor(texts, OPTIONS);
        const ms = performance.now() - began;
        const { dispatches, submits, maps } = stop();
        return { data: data as Float32Array, ms, gpu: { dispatches, submits, maps } };
      };
      const first = await call();
      answers.push(first.data);
      firstMs.push(first.ms);
      asked.push(first.ms < budgetMs / 2 ? (await call()).gpu : first.gpu);
    }
    checkSame(work, answers);
    const roundMs = firstMs.reduce((sum, ms) => sum + ms) * inFlight;
    const counted = Math.max(leastRuns, Math.min(runs, Math.floor(budgetMs / roundMs)));
    const warmUps = roundMs < budgetMs / 10 ? 1 : 0;
    const tokens = lengths.reduce((sum, length) => sum + length);
    const times = sides.map((): number[] => []);
    for (let run = -warmUps; run < counted; run++) {
      for (const [i, extractor] of extractors.entries()) {
        await rest(30);
        const began = performance.now();
        await Promise.all(Array.from({ length: inFlight }, () => extractor(texts, OPTIONS)));
        if (run >= 0) times[i]!.push((performance.now() - began) / inFlight);
      }
    }
    for (const [i, side] of sides.entries()) {
      const mine = times[i]!;
      figures.push({
        work,
        side,
        against: sides[1 - i],
        tokens,
        inFlight,
        medianMs: median(mine),
        minMs: Math.min(...mine),
        maxMs: Math.max(...mine),
        runs: counted,
        ...(asked[i] && { gpu: asked[i] }),
      });
    }
  }
  return figures;
}
