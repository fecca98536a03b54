import type * as library from '../../src/index.ts';

/** The built module, as a person's page loads it. */
const built = (): Promise<typeof library> => import(/* @vite-ignore */ `${location.origin}/dist/webgpu-bert.js`);

export interface WarmFigure {
  name: string;
  tokens: number;
  /** Of the runs after the warm-up. */
  medianMs: number;
  minMs: number;
  maxMs: number;
  tokensPerSecond: number;
}

export interface OursReport {
  adapter: string;
  /** From before the module was asked for to the first embedding. */
  firstEmbeddingMs: number;
  moduleMs: number;
  loadMs: number;
  gpuBytes: { weights: number; activations: number };
  warm: WarmFigure[];
}

/** A sentence of exactly `tokens` tokens, special tokens included: every word here is one token of BERT's vocabulary. */
export function sentence(tokens: number, seed = 0): string {
  const words =
    'the old river runs past small stone houses where people sit and talk about rain fish bread and the price of land'.split(
      ' ',
    );
  return Array.from({ length: tokens - 2 }, (_, i) => words[(i * 7 + seed * 3) % words.length]).join(' ');
}

/** Loads the model on a blank page, then times warm calls of lists whose texts have these numbers of tokens. */
export async function benchOurs(modelUrl: string, lists: Record<string, number[]>, runs: number): Promise<OursReport> {
  const began = performance.now();
  const { pipeline } = await built();
  const imported = performance.now();
  const extractor = await pipeline('feature-extraction', modelUrl);
  const loaded = performance.now();
  const options = { pooling: 'mean', normalize: true } as const;
  await extractor(sentence(16), options);
  const first = performance.now();

  const warm: WarmFigure[] = [];
  for (const [name, lengths] of Object.entries(lists)) {
    const texts = lengths.map(sentence);
    const { input_ids } = extractor.tokenizer(texts, { return_tensor: false });
    const found = input_ids.map(ids => ids.length);
    if (found.join() !== lengths.join()) throw new Error(`${name}: ${found} tokens, not ${lengths}`);
    const times: number[] = [];
    for (let run = -2; run < runs; run++) {
      const start = performance.now();
      await extractor(texts, options);
      if (run >= 0) times.push(performance.now() - start);
    }
    times.sort((a, b) => a - b);
    const tokens = lengths.reduce((a, b) => a + b);
    const medianMs = times[times.length >> 1]!;
    warm.push({
      name,
      tokens,
      medianMs,
      minMs: times[0]!,
      maxMs: times.at(-1)!,
      tokensPerSecond: (1000 * tokens) / medianMs,
    });
  }
  const report = {
    adapter: extractor.model.adapter,
    firstEmbeddingMs: first - began,
    moduleMs: imported - began,
    loadMs: loaded - imported,
    gpuBytes: await extractor.model.bytes(),
    warm,
  };
  await extractor.dispose();
  return report;
}
