import { openGpu } from '../../src/gpu/device.ts';
import { PipelineCache } from '../../src/gpu/pipelines.ts';
import { encoderGraph } from '../../src/model/encoder.ts';
import type { EncoderConfig } from '../../src/model/encoder-config.ts';
import { packBatch } from '../../src/plan/batch.ts';
import type { DeviceOp } from '../../src/plan/lower.ts';
import { kernelsOf, plan } from '../../src/plan/plan.ts';
import type { Step } from '../../src/plan/step.ts';
import { median } from './median.ts';
import { multiplyAddPeak, repetitions, spanFor, submitFloor } from './peak.ts';
import { timedStep } from './timed-step.ts';

export interface KernelFigure {
  kernel: string;
  /** Times that one pass dispatches it. */
  dispatches: number;
  /** Of one dispatch: median of the runs. */
  ms: number;
  /** Multiply-adds count two; only for kernels that are mostly multiply-adds. */
  gflops?: number;
  /** Of the multiply-add peak, the median of what was measured in turns with this kernel. */
  ofPeak?: number;
}

export interface KernelReport {
  /** The median, and the most, of all the turns. */
  peakGflops: number;
  bestPeakGflops: number;
  pipelines: number;
  passes: { name: string; tokens: number; sequences: number; ms: number; kernels: KernelFigure[] }[];
}

/** Multiply-adds times two of one op, for sequences of these lengths. */
function flop(op: DeviceOp, lengths: readonly number[]): number | undefined {
  const tokens = lengths.reduce((a, b) => a + b);
  if (op.op === 'linear') return 2 * tokens * op.weight.stride * op.y.columns;
  if (op.op === 'attention') return 4 * lengths.reduce((a, L) => a + L * L, 0) * op.heads * op.headSize;
  return undefined;
}

/** A sequence of so many tokens. */
export const zeros = (length: number) => ({
  ids: new Uint8Array(length),
  types: new Uint8Array(length),
  positions: new Uint8Array(length),
});

/** Each dispatch once, and how often a pass has it. One text may serve several shapes: the time of a dispatch depends on its params too. */
export function distinctSteps(steps: readonly Step[]): { step: Step; dispatches: number }[] {
  const distinct = new Map<string, { step: Step; dispatches: number }>();
  for (const step of steps) {
    const key = JSON.stringify([step.kernel.code, step.params]);
    const { dispatches } = distinct.get(key) ?? { dispatches: 0 };
    distinct.set(key, { step, dispatches: dispatches + 1 });
  }
  return [...distinct.values()];
}

/**
 * Every kernel of a MiniLM pass, alone: enough dispatches in one submit that its floor vanishes, the median of several submits, in
 * turns with the multiply-add peak where that is what it is held against.
 * The operands are zeros; no kernel's time depends on their values.
 */
export async function benchKernels(config: EncoderConfig, passes: Record<string, number[]>): Promise<KernelReport> {
  const { device, caps } = await openGpu();
  const graph = encoderGraph(config, { pool: { pooling: 'mean', normalize: true } });
  const made = plan(graph, { caps });
  const pipelines = new PipelineCache(device);
  await Promise.all(kernelsOf(made.steps).map(kernel => pipelines.get(kernel)));
  const opOf = new Map<string, DeviceOp>(made.ops.map(op => [op.op === 'attention' ? op.context.name : op.y.name, op]));
  const empty = await submitFloor(device);
  const spanMs = spanFor(empty);
  const peak = await multiplyAddPeak(device, caps.adapter, { spanMs, floorMs: empty });
  const peaks: number[] = [];
  const report: KernelReport = { peakGflops: 0, bestPeakGflops: 0, pipelines: pipelines.size, passes: [] };

  for (const [name, lengths] of Object.entries(passes)) {
    const batch = packBatch(lengths.map(zeros), made.queryTile);
    const kernels: KernelFigure[] = [];
    for (const { step, dispatches } of distinctSteps(made.steps)) {
      const { submit, destroy } = await timedStep(device, pipelines, batch, step);
      await submit(1);
      const times = await repetitions(submit, spanMs);
      const op = opOf.get(step.label);
      const work = op && flop(op, lengths);
      const [taken, beside]: [number[], number[]] = [[], []];
      for (let run = 0; run < (spanMs > 1000 ? 3 : 7); run++) {
        if (work) beside.push(await peak());
        taken.push(await submit(times));
      }
      peaks.push(...beside);
      const ms = Math.max(0, median(taken) - empty) / times;
      const dims = op?.op === 'linear' ? ` ${op.weight.stride}>${op.y.columns}` : '';
      kernels.push({
        kernel: step.kernel.name + (step.kernel.name.includes('>') ? '' : dims),
        dispatches,
        ms,
        ...(work && { gflops: work / ms / 1e6, ofPeak: work / ms / 1e6 / median(beside) }),
      });
      destroy();
    }
    report.passes.push({
      name,
      tokens: batch.sizes.tokens,
      sequences: lengths.length,
      ms: kernels.reduce((sum, k) => sum + k.ms * k.dispatches, 0),
      kernels,
    });
  }
  device.destroy();
  return { ...report, peakGflops: median(peaks), bestPeakGflops: Math.max(...peaks) };
}
