import { packParams, type TexelFormat } from '../../shaders/kernel.ts';
import { tuned } from '../../src/engine/tune.ts';
import { openGpu } from '../../src/gpu/device.ts';
import { PipelineCache } from '../../src/gpu/pipelines.ts';
import { createTexels } from '../../src/gpu/texels.ts';
import { encoderGraph } from '../../src/model/bert.ts';
import type { EncoderConfig } from '../../src/model/config.ts';
import { packBatch } from '../../src/plan/batch.ts';
import type { Op } from '../../src/plan/op.ts';
import { kernelsOf, plan } from '../../src/plan/plan.ts';
import type { Argument, Step } from '../../src/plan/step.ts';
import { weightBytes, weightElements } from '../../src/plan/weight.ts';
import { median } from './median.ts';
import { multiplyAddPeak, repetitions, spanFor, submitFloor, timeOf } from './peak.ts';

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
function flop(op: Op, lengths: readonly number[]): number | undefined {
  const tokens = lengths.reduce((a, b) => a + b);
  if (op.op === 'linear') return 2 * tokens * op.weight.stride * op.y.columns;
  if (op.op === 'attention') return 4 * lengths.reduce((a, L) => a + L * L, 0) * op.heads * op.headSize;
  return undefined;
}

/**
 * Every kernel of a MiniLM pass, alone: enough dispatches in one submit that its floor vanishes, the median of several submits, in
 * turns with the multiply-add peak where that is what it is held against.
 * The operands are zeros; no kernel's time depends on their values.
 */
export async function benchKernels(config: EncoderConfig, passes: Record<string, number[]>): Promise<KernelReport> {
  const { device, caps } = await tuned(await openGpu());
  const graph = encoderGraph(config, { pool: { pooling: 'mean', normalize: true } }, caps);
  const made = plan(graph, caps);
  const pipelines = new PipelineCache(device);
  await Promise.all(kernelsOf(made.steps).map(kernel => pipelines.get(kernel)));
  const opOf = new Map<string, Op>(made.ops.map(op => [op.op === 'attention' ? op.context.name : op.y.name, op]));
  const empty = await submitFloor(device);
  const spanMs = spanFor(empty);
  const peak = await multiplyAddPeak(device, caps.adapter, { spanMs, floorMs: empty });
  const peaks: number[] = [];
  const report: KernelReport = { peakGflops: 0, bestPeakGflops: 0, pipelines: pipelines.size, passes: [] };

  for (const [name, lengths] of Object.entries(passes)) {
    const zeros = (length: number) => ({
      ids: new Uint8Array(length),
      types: new Uint8Array(length),
      positions: new Uint8Array(length),
    });
    const batch = packBatch(lengths.map(zeros), made.queryTile);
    // One text may serve several shapes: what a dispatch costs depends on its params too.
    const groups = new Map<string, { step: Step; dispatches: number }>();
    for (const step of made.steps) {
      const key = JSON.stringify([step.kernel.code, step.params]);
      const known = groups.get(key);
      if (known) known.dispatches++;
      else groups.set(key, { step, dispatches: 1 });
    }
    const kernels: KernelFigure[] = [];
    for (const { step, dispatches } of groups.values()) {
      const { kernel } = step;
      const values = Object.fromEntries(
        Object.entries(step.params).map(([key, v]) => [key, typeof v === 'number' ? v : batch.sizes[v]]),
      );
      const block = new DataView(new ArrayBuffer(256));
      packParams(kernel, values, block, 0);
      const make = (size: number, usage: number, data?: BufferSource) => {
        const buffer = device.createBuffer({
          size: Math.max(16, Math.ceil(size / 16) * 16),
          usage: usage | GPUBufferUsage.COPY_DST,
        });
        if (data) device.queue.writeBuffer(buffer, 0, data);
        return buffer;
      };
      const operand = (arg: Argument) => {
        if (arg.kind === 'constant') return make(arg.constant.byteLength, GPUBufferUsage.STORAGE, arg.constant);
        if (arg.kind === 'input') return make(batch[arg.input].byteLength, GPUBufferUsage.STORAGE, batch[arg.input]);
        const bytes =
          arg.kind === 'weight' ? weightBytes(arg.weight) : batch.sizes[arg.value.rows] * arg.value.stride * 4;
        return make(bytes, GPUBufferUsage.STORAGE);
      };
      const uniform = make(256, GPUBufferUsage.UNIFORM, block.buffer);
      const operands = step.args.map((arg, i) => {
        const { access, type } = kernel.bindings[i]!;
        if (access !== 'texel') return operand(arg);
        const elements =
          arg.kind === 'weight'
            ? weightElements(arg.weight)
            : arg.kind === 'value'
              ? batch.sizes[arg.value.rows] * arg.value.stride
              : 0;
        return createTexels(device, kernel.name, type as TexelFormat, elements);
      });
      const { pipeline, layout } = await pipelines.get(kernel);
      const resources = operands.map(each => ('size' in each ? { buffer: each } : each.createView()));
      const entries = [{ buffer: uniform }, ...resources].map((resource, binding) => ({ binding, resource }));
      const group = device.createBindGroup({ layout, entries });
      const submit = (times: number) =>
        timeOf(device, pass => {
          pass.setPipeline(pipeline);
          pass.setBindGroup(0, group);
          for (let i = 0; i < times; i++) pass.dispatchWorkgroups(...kernel.workgroups(values));
        });
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
        kernel: kernel.name + (kernel.name.includes('>') ? '' : dims),
        dispatches,
        ms,
        ...(work && { gflops: work / ms / 1e6, ofPeak: work / ms / 1e6 / median(beside) }),
      });
      for (const each of [uniform, ...operands]) each.destroy();
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
