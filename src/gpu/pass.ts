import type { Workgroups } from '../../shaders/kernel.ts';
import { type Batch, INPUTS, type Submit, submitsOf, texelsOf, type Value, workOf } from '../plan/index.ts';
import { outputRanges } from './capacity.ts';
import { encodeDispatch, type ParamValues } from './dispatch.ts';
import { ALL_FILTERS, inErrorScopes, unexpectedError } from './errors.ts';
import { MapMode } from './flags.ts';
import type { Pacer } from './measured-pace.ts';
import type { PassContext, PassResources } from './pass-resources.ts';
import { withPolling } from './poll.ts';
import { copyToArrayTexture } from './textures.ts';

/** The numbers of each of the plan's outputs: rows x columns without padding, [pairs, H] as H blocks of L x L per sequence. */
export type Outputs = readonly Float32Array<ArrayBuffer>[];

export interface PassOptions {
  readonly context: PassContext;
  readonly resources: PassResources;
  /** Which of the readback buffers the outputs go through. */
  readonly readback: GPUBuffer;
  readonly batch: Batch;
  readonly pacer: Pacer;
  /** Ends the polling for the GPU. */
  readonly signal: AbortSignal;
  /** Throws where the executable is gone: called after every wait, because then nothing may be submitted or read. */
  readonly check: () => void;
}

/** One run of a plan on a batch. */
export class Pass {
  readonly #options: PassOptions;
  /** The params of every step, and its whole grid. */
  readonly #params: readonly ParamValues[];
  readonly #grids: readonly Workgroups[];
  readonly #outputs: ReturnType<typeof outputRanges>;
  /** What the device refused of each submit. */
  readonly #refusals: Promise<GPUError | undefined>[] = [];

  /** Packs the params of every step. */
  constructor(options: PassOptions) {
    const { context, batch } = options;
    const { plan, uniforms, blocks } = context;
    this.#options = options;
    this.#params = plan.steps.map(({ params }) =>
      Object.fromEntries(
        Object.entries(params).map(([name, value]) => [name, typeof value === 'number' ? value : batch.sizes[value]]),
      ),
    );
    this.#grids = plan.steps.map(({ kernel }, i) => kernel.workgroups(this.#params[i]!));
    this.#outputs = outputRanges(plan, batch.sizes);
    plan.steps.forEach(({ kernel }, i) => {
      uniforms.pack(blocks[i]!, kernel, this.#params[i]!);
    });
  }

  /**
   * The first submit is made before this returns. `submitted` settles when the last submit has been handed to the GPU: each waits for
   * the one before, whose time tells how much work the next may have. `outputs` settles when the outputs have been read.
   */
  run(): { submitted: Promise<unknown>; outputs: Promise<Outputs> } {
    const submitted = this.#submitAll();
    return { submitted, outputs: this.#read(submitted) };
  }

  /** `mapped` settles when the readback buffer can be read. It is in an object, so that awaiting the submits does not await it. */
  async #submitAll(): Promise<{ mapped: Promise<void> }> {
    const { context, batch, pacer, signal, check } = this.#options;
    const { device, plan } = context;
    for (const part of submitsOf(workOf(plan.steps, batch.sizes), this.#grids, pacer.budget)) {
      const isFirst = this.#refusals.length === 0;
      const { result: done, refused } = inErrorScopes(device, ALL_FILTERS, () => this.#submit(part, isFirst));
      this.#refusals.push(refused);
      if (part.isLast) return { mapped: done };
      await withPolling(device.queue, done, signal);
      check();
    }
    throw new Error('a pass has no last submit');
  }

  /** Settles when the GPU has done this part; for the last part, when the readback buffer is mapped. */
  #submit(part: Submit, isFirst: boolean): Promise<void> {
    const { context, resources, readback, batch, pacer } = this.#options;
    const { device, uniforms } = context;
    const { queue } = device;
    if (isFirst) {
      uniforms.write();
      for (const name of INPUTS) {
        const input = resources.inputs[name];
        // Deno crashes on a write of no bytes.
        if (input && batch[name].length) queue.writeBuffer(input, 0, batch[name]);
      }
    }
    const cut = part.dispatches.find(({ first }) => first);
    if (cut) this.#writeParams(cut.step, { ...this.#params[cut.step]!, ...cut.first });
    const encoder = device.createCommandEncoder({ label: 'executable.pass' });
    this.#encode(encoder, part);
    if (part.isLast) {
      for (const { value, offset, size } of this.#outputs.ranges) {
        encoder.copyBufferToBuffer(resources.bufferOf(value), 0, readback, offset, size);
      }
    }
    const commands = encoder.finish();
    const ended = pacer.begin(part.work);
    queue.submit([commands]);
    // Other steps may share the block.
    if (cut) this.#writeParams(cut.step, this.#params[cut.step]!);
    const done = part.isLast ? readback.mapAsync(MapMode.READ, 0, this.#outputs.bytes) : queue.onSubmittedWorkDone();
    return done.then(() => ended());
  }

  #writeParams(step: number, values: ParamValues): void {
    const { plan, uniforms, blocks } = this.#options.context;
    uniforms.pack(blocks[step]!, plan.steps[step]!.kernel, values);
    uniforms.writeBlock(blocks[step]!);
  }

  #encode(encoder: GPUCommandEncoder, { dispatches }: Submit): void {
    const { resources, batch } = this.#options;
    const begin = () => encoder.beginComputePass({ label: 'executable.pass' });
    let encoding = begin();
    for (const { step, groups } of dispatches) {
      const { bound, copies } = resources.steps[step]!;
      if (copies.length) {
        // A compute pass cannot contain a copy.
        encoding.end();
        for (const { operand, from, to } of copies)
          copyToArrayTexture(encoder, from, to, texelsOf(operand, batch.sizes));
        encoding = begin();
      }
      encodeDispatch(encoding, bound, groups);
    }
    encoding.end();
  }

  async #read(submitted: Promise<{ mapped: Promise<void> }>): Promise<Outputs> {
    const { context, readback, signal, check } = this.#options;
    const { mapped } = await submitted;
    const [errors] = await Promise.all([
      Promise.all(this.#refusals),
      withPolling(context.device.queue, mapped, signal),
    ]);
    check();
    const { ranges, bytes } = this.#outputs;
    const mappedBytes = readback.getMappedRange(0, bytes);
    const outputs = ranges.map(({ value, offset, size }) =>
      withoutPadding(new Float32Array(mappedBytes, offset, size / 4), value),
    );
    readback.unmap();
    const error = errors.find(refused => refused !== undefined);
    if (error) throw unexpectedError('the GPU refused a pass', error.message);
    return outputs;
  }
}

/** A copy of rows without their padding. */
function withoutPadding(rows: Float32Array, { columns, stride }: Value): Float32Array<ArrayBuffer> {
  if (columns === stride) return new Float32Array(rows);
  const count = rows.length / stride;
  const copy = new Float32Array(count * columns);
  for (let row = 0; row < count; row++) {
    copy.set(rows.subarray(row * stride, row * stride + columns), row * columns);
  }
  return copy;
}
