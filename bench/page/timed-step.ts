import type { TexelFormat } from '../../shaders/kernel.ts';
import { createBuffer } from '../../src/gpu/buffers.ts';
import { bindKernel, encodeDispatch, UniformBlocks } from '../../src/gpu/dispatch.ts';
import type { PipelineCache } from '../../src/gpu/pipelines.ts';
import { createArrayTexture } from '../../src/gpu/textures.ts';
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

/** Creates the operand of a binding: zeros, but for what the host writes. No kernel's time depends on the values of the others. */
function createOperand(device: GPUDevice, label: string, argument: Argument, { sizes, ...inputs }: Batch): GPUBuffer {
  const filled = (data: Uint32Array<ArrayBuffer>) => {
    const buffer = createBuffer(device, label, Math.max(16, data.byteLength));
    device.queue.writeBuffer(buffer, 0, data);
    return buffer;
  };
  switch (argument.kind) {
    case 'constant':
      return filled(argument.constant);
    case 'input':
      return filled(inputs[argument.input]);
    case 'weight':
      return createBuffer(device, label, Math.max(16, weightBytes(argument.weight)));
    case 'value':
      return createBuffer(device, label, Math.max(16, sizes[argument.value.rows] * argument.value.stride * 4));
    default:
      return argument satisfies never;
  }
}

function createTexelOperand(
  device: GPUDevice,
  label: string,
  format: TexelFormat,
  argument: Argument,
  { sizes }: Batch,
): GPUTexture {
  const elements =
    argument.kind === 'weight'
      ? weightElements(argument.weight)
      : argument.kind === 'value'
        ? sizes[argument.value.rows] * argument.value.stride
        : 0;
  return createArrayTexture(device, label, format, elements);
}

export async function timedStep(
  device: GPUDevice,
  pipelines: PipelineCache,
  batch: Batch,
  { kernel, args, params }: Step,
): Promise<TimedStep> {
  const values = Object.fromEntries(
    Object.entries(params).map(([key, v]) => [key, typeof v === 'number' ? v : batch.sizes[v]]),
  );
  const uniforms = new UniformBlocks(device, kernel.name, 1);
  uniforms.pack(0, kernel, values);
  uniforms.write();
  const resources = Object.fromEntries(
    kernel.bindings.map(({ name, access, type }) => {
      const argument = args[name]!;
      const operand =
        access === 'texel'
          ? createTexelOperand(device, name, type as TexelFormat, argument, batch)
          : createOperand(device, name, argument, batch);
      return [name, operand];
    }),
  );
  const compiled = await pipelines.get(kernel);
  const bound = bindKernel(device, { kernel, compiled, params: uniforms.binding(0), resources });
  const workgroups = kernel.workgroups(values);
  return {
    submit: times => timeOf(device, pass => encodeDispatch(pass, bound, workgroups, times)),
    destroy: () => {
      for (const resource of [uniforms, ...Object.values(resources)]) resource.destroy();
    },
  };
}
