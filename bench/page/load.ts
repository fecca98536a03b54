import { type Meters, startMeters } from './meters.ts';
import { sentence } from './sentence.ts';
import { loadExtractor, OPTIONS, open, type Side } from './sides.ts';

export interface LoadFigure {
  /** From before the module is asked for to the first embedding, on a page that has loaded nothing else. */
  firstEmbeddingMs: number;
  moduleMs: number;
  loadMs: number;
  callMs: number;
  /** At the first embedding. */
  meters: Meters;
  /** What we say that we hold on the GPU: it must be what the meters counted. Ours only. */
  reported?: { weights: number; activations: number };
  adapter?: string;
}

export async function benchLoad(side: Side): Promise<LoadFigure> {
  const { stop } = startMeters();
  const began = performance.now();
  const library = await open(side);
  const imported = performance.now();
  const extractor = await loadExtractor(library, side);
  const loaded = performance.now();
  await extractor(sentence(16), OPTIONS);
  const first = performance.now();
  const figure: LoadFigure = {
    firstEmbeddingMs: first - began,
    moduleMs: imported - began,
    loadMs: loaded - imported,
    callMs: first - loaded,
    meters: stop(),
  };
  if (side === 'ours') {
    figure.reported = await extractor.model.bytes();
    figure.adapter = extractor.model.adapter;
  }
  return figure;
}
