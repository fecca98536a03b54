import { tilingLabel } from '../../shaders/tiling.ts';
import { openGpu } from '../../src/gpu/device.ts';
import { env, pipeline } from '../../src/index.ts';
import { readConfig } from '../../src/model/config.ts';
import { profileOf } from '../../src/plan/profiles.ts';
import { benchKernels, type KernelReport } from './kernels.ts';
import { median } from './median.ts';
import { submitFloor } from './peak.ts';
import { sentence } from './sentence.ts';
import { MODEL, OPTIONS } from './sides.ts';
import { type SweepFigure, sweep } from './sweep.ts';
import { benchTilings, type TilingFigure } from './tilings.ts';
import type { WarmFigure } from './warm.ts';

/** What `npm run bench:node` measures, in one process on one adapter. */
export interface NodeReport {
  adapter: string;
  /** Of the linears, as the library chooses it. */
  tiling: string;
  floorMs: number;
  loadMs: number;
  gpuBytes: { weights: number; activations: number };
  warm: WarmFigure[];
  sweep: SweepFigure[];
  kernels: KernelReport;
  /** Of all candidates on a graphics card. On software adapters, none. */
  tilings: TilingFigure[];
}

export async function benchNode(
  models: string,
  configJson: unknown,
  lists: Record<string, number[]>,
  { runs, mostTokens }: { runs: number; mostTokens: number },
): Promise<NodeReport> {
  env.localModelPath = models;
  env.allowRemoteModels = false;
  const { device, caps } = await openGpu();
  const floorMs = await submitFloor(device);
  device.destroy();
  const began = performance.now();
  const extractor = await pipeline('feature-extraction', MODEL);
  const loadMs = performance.now() - began;
  const warm: WarmFigure[] = [];
  for (const [work, lengths] of Object.entries(lists)) {
    const texts = lengths.map(sentence);
    const times: number[] = [];
    for (let run = -2; run < runs; run++) {
      const start = performance.now();
      await extractor(texts, OPTIONS);
      if (run >= 0) times.push(performance.now() - start);
    }
    warm.push({
      work,
      side: 'ours',
      against: undefined,
      tokens: lengths.reduce((sum, length) => sum + length),
      inFlight: 1,
      medianMs: median(times),
      minMs: Math.min(...times),
      maxMs: Math.max(...times),
      runs,
    });
  }
  const report = {
    adapter: extractor.model.adapter,
    tiling: tilingLabel(profileOf(caps).tiling),
    floorMs,
    loadMs,
    warm,
    sweep: await sweep(extractor, mostTokens, Math.min(runs, 3)),
    gpuBytes: await extractor.model.bytes(),
  };
  await extractor.dispose();
  const config = readConfig(configJson);
  const kernels = await benchKernels(config, lists);
  return { ...report, kernels, tilings: caps.adapter === 'gpu' ? await benchTilings(config, lists) : [] };
}
