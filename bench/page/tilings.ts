import { fitted, tilingLabel } from '../../shaders/tiling.ts';
import { openGpu } from '../../src/gpu/device.ts';
import { PipelineCache } from '../../src/gpu/pipelines.ts';
import { encoderGraph } from '../../src/model/encoder.ts';
import type { EncoderConfig } from '../../src/model/encoder-config.ts';
import { packBatch } from '../../src/plan/batch.ts';
import { kernelsOf, plan } from '../../src/plan/plan.ts';
import { profileOf } from '../../src/plan/profiles.ts';
import { TILINGS } from './candidates.ts';
import { distinctSteps, zeros } from './kernels.ts';
import { median } from './median.ts';
import { repetitions, spanFor, submitFloor } from './peak.ts';
import { type TimedStep, timedStep } from './timed-step.ts';

/** What the linears of one pass take with one tiling. */
export interface TilingFigure {
  pass: string;
  tiling: string;
  ms: number;
  /** How many times as long as with the first tiling. */
  ofDefault: number;
}

/** Submits of each linear with each tiling that are counted. */
const ROUNDS = 5;

/**
 * The linears of a MiniLM pass with every tiling. The tilings take turns, so that a processor whose speed changes has the same speed for
 * all. A tiling is worth having in the profile of GPUs where it takes less than 0.9 of the time of the first.
 */
export async function benchTilings(config: EncoderConfig, passes: Record<string, number[]>): Promise<TilingFigure[]> {
  const { device, caps } = await openGpu();
  const graph = encoderGraph(config, { pool: { pooling: 'mean', normalize: true } });
  const linears = new Set(graph.ops.map(op => (op.op === 'linear' ? op.y.name : undefined)));
  const floorMs = await submitFloor(device);
  const spanMs = spanFor(floorMs);
  const pipelines = new PipelineCache(device);
  const plans = TILINGS.map(tiling => {
    const made = plan(graph, {
      caps,
      profile: { ...profileOf(caps), tiling: fitted(tiling, caps.maxInvocations) },
    });
    const steps = made.steps.filter(({ label }) => linears.has(label));
    return { label: tilingLabel(tiling), queryTile: made.queryTile, steps };
  });
  await Promise.all(plans.flatMap(({ steps }) => kernelsOf(steps)).map(kernel => pipelines.get(kernel)));
  const figures: TilingFigure[] = [];
  for (const [pass, lengths] of Object.entries(passes)) {
    const batch = packBatch(lengths.map(zeros), plans[0]!.queryTile);
    const sums = plans.map(() => 0);
    for (const [i, { dispatches }] of distinctSteps(plans[0]!.steps).entries()) {
      const candidates: { timed: TimedStep; times: number; taken: number[] }[] = [];
      for (const { steps } of plans) {
        const timed = await timedStep(device, pipelines, batch, distinctSteps(steps)[i]!.step);
        await timed.submit(1);
        candidates.push({ timed, times: await repetitions(timed.submit, spanMs), taken: [] });
      }
      for (let round = 0; round < ROUNDS; round++) {
        for (const { timed, times, taken } of candidates) taken.push(((await timed.submit(times)) - floorMs) / times);
      }
      for (const [k, { timed, taken }] of candidates.entries()) {
        sums[k]! += dispatches * Math.max(0, median(taken));
        timed.destroy();
      }
    }
    for (const [k, ms] of sums.entries()) {
      figures.push({ pass, tiling: plans[k]!.label, ms, ofDefault: ms / sums[0]! });
    }
  }
  device.destroy();
  return figures;
}
