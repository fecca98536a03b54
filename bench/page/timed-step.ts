import { packParams, type TexelFormat } from '../../shaders/kernel.ts';
import type { PipelineCache } from '../../src/gpu/pipelines.ts';
import { createTexels } from '../../src/gpu/texels.ts';
import type { Batch } from '../../src/plan/batch.ts';
import type { Argument, Step } from '../../src/plan/step.ts';
import { weightBytes, weightElements } from '../../src/plan/weight.ts';
import { timeOf } from './peak.ts';

/** A step with operands of its own, ready to be dispatched. */
export interface TimedStep {
  /** Milliseconds of a submit with so many dispatches of it. */
  submit(times: number): Promise<number>;
  destroy(): void;
}

/** The operands are zeros, but for what the host writes: no kernel's time depends on their values. */
export async function timedStep(
  device: GPUDevice,
  pipelines: PipelineCache,
  batch: Batch,
  { kernel, args, params }: Step,
): Promise<TimedStep> {
  const values = Object.fromEntries(
    Object.entries(params).map(([key, v]) => [key, typeof v === 'number' ? v : batch.sizes[v]]),
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
    const bytes = arg.kind === 'weight' ? weightBytes(arg.weight) : batch.sizes[arg.value.rows] * arg.value.stride * 4;
    return make(bytes, GPUBufferUsage.STORAGE);
  };
  const uniform = make(256, GPUBufferUsage.UNIFORM, block.buffer);
  const operands = kernel.bindings.map(({ name, access, type }) => {
    const arg = args[name]!;
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
  return {
    submit: times =>
      timeOf(device, pass => {
        pass.setPipeline(pipeline);
        pass.setBindGroup(0, group);
        for (let i = 0; i < times; i++) pass.dispatchWorkgroups(...kernel.workgroups(values));
      }),
    destroy: () => {
      for (const each of [uniform, ...operands]) each.destroy();
    },
  };
}
