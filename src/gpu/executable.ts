import { packParams } from '../../shaders/kernel.ts';
import { DeviceError, WebGPUBertError } from '../errors.ts';
import type { Batch } from '../plan/batch.ts';
import type { Value } from '../plan/op.ts';
import type { Plan } from '../plan/plan.ts';
import type { Sizes } from '../plan/sizes.ts';
import { INPUTS } from '../plan/step.ts';
import { texelsOf } from '../plan/texels.ts';
import { createBuffer } from './buffers.ts';
import { ALL_ERRORS, disposed, unexpected, watched } from './faults.ts';
import { explained } from './loss.ts';
import type { PipelineCache } from './pipelines.ts';
import { promptly } from './promptly.ts';
import {
  aligned,
  BLOCK,
  capacityFor,
  excess,
  fits,
  IN_FLIGHT,
  makeRoom,
  type Room,
  rowBytes,
  type Tenant,
} from './room.ts';
import { copyToTexels } from './texels.ts';
import type { WeightStore } from './weights.ts';

/** The outputs of a pass by name: rows x columns without padding, [pairs, H] as H blocks of L x L per sequence. */
export type Outputs = ReadonlyMap<string, Float32Array<ArrayBuffer>>;

/** A plan made ready on a device. */
export interface Executable {
  readonly plan: Plan;
  /** Bytes of activations, inputs and readbacks held now. */
  bytes(): number;
  /** Makes room for passes of this size ahead of the first one, where the device allows it. */
  reserve(sizes: Sizes): Promise<void>;
  /**
   * Runs one pass. `submitted` settles when the pass has been handed to the GPU, so that the next one may be prepared;
   * `outputs` when its answer has been read. Both reject with DeviceError alone, a LostDeviceError where the device is gone.
   */
  run(batch: Batch): { submitted: Promise<void>; outputs: Promise<Outputs> };
  destroy(): void;
}

/**
 * Waits for the pipelines of a plan; its weights must have been allocated. A run writes the batch, encodes every step into one
 * command buffer, submits once and maps one buffer; it creates nothing, unless the pass is larger than any before it.
 * When `signal` aborts, all that waits rejects with its reason and nothing is made any more; `destroy` gives back what was.
 */
export async function createExecutable(
  device: GPUDevice,
  plan: Plan,
  weights: WeightStore,
  pipelines: PipelineCache,
  signal: AbortSignal,
): Promise<Executable> {
  const kernels = await Promise.all(plan.steps.map(step => pipelines.get(step.kernel)));
  signal.throwIfAborted();
  // One uniform block per distinct list of params: most steps of an encoder share one.
  const keys = plan.steps.map(({ kernel, params }) => JSON.stringify([kernel.params, params]));
  const blocks = [...new Set(keys)];
  const offsets = keys.map(key => blocks.indexOf(key) * BLOCK);
  const params = new DataView(new ArrayBuffer(blocks.length * BLOCK));
  const made = watched(device, ALL_ERRORS, () =>
    createBuffer(device, 'executable.params', params.byteLength, 'UNIFORM'),
  );
  const uniforms = made.result;
  const tenant: Tenant = { device, plan, weights, kernels, offsets, uniforms };
  // Pairs grow with the square of the length, and most plans keep none.
  const holdsPairs = plan.slots.some(slot => slot.has('pairs'));
  let room: Room | undefined;
  /** One entry per readback buffer: settles when that buffer may be used again. */
  const busy = Array.from({ length: IN_FLIGHT }, (): Promise<unknown> => Promise.resolve());
  let turn = 0;
  let isDestroyed = false;
  let entry: Promise<unknown> = Promise.resolve();

  /** After every wait: nothing may be made for an executable that is gone. */
  function check(): void {
    signal.throwIfAborted();
    if (isDestroyed) throw disposed();
  }

  /** Why something failed: of what is gone, buffers and maps fail in their own words. */
  async function reason(error: unknown): Promise<unknown> {
    if (isDestroyed && !signal.aborted) return disposed();
    const why = await explained(device, error, signal);
    return why instanceof WebGPUBertError ? why : unexpected('the GPU did not run a pass', String(why), why);
  }

  /** One after the other: rooms, readbacks and the order of submits belong to whoever is inside. */
  function inTurn<T>(action: () => Promise<T>): Promise<T> {
    const result = entry.then(async () => {
      check();
      try {
        return await action();
      } catch (error) {
        throw await reason(error);
      }
    });
    entry = result.catch(() => undefined);
    return result;
  }

  function release(): void {
    watched(device, ALL_ERRORS, () => room?.destroy());
    room = undefined;
  }

  async function roomFor(wanted: Sizes): Promise<Room> {
    const sizes = holdsPairs ? wanted : { ...wanted, pairs: 0 };
    if (room && fits(sizes, room.capacity)) return room;
    await Promise.all(busy);
    check();
    const capacity = capacityFor(tenant, sizes, room?.capacity);
    const over = excess(tenant, capacity);
    if (over) {
      throw new DeviceError({
        what: 'a pass needs a buffer larger than this device allows',
        actual: `${over.bytes} bytes`,
        expected: `at most ${over.most}`,
        next: 'Ask for fewer layers at a time, or give shorter texts.',
      });
    }
    release();
    const { result, refused } = watched(device, ALL_ERRORS, () => makeRoom(tenant, capacity));
    room = result;
    const errors = await Promise.all([made.refused, refused]);
    check();
    const error = errors.find(each => each);
    if (!error) return room;
    release();
    throw new DeviceError({
      what: 'the GPU has no room for a pass',
      actual: error.message,
      next: 'Give fewer or shorter texts, or dispose other models.',
    });
  }

  /** Submits before it awaits anything. */
  async function pass({ inputs, slotOf, steps }: Room, readback: GPUBuffer, batch: Batch): Promise<Outputs> {
    const { queue } = device;
    const { sizes } = batch;
    const values = plan.steps.map(({ kernel, params: named }, i) => {
      const known = Object.fromEntries(
        Object.entries(named).map(([name, v]) => [name, typeof v === 'number' ? v : sizes[v]]),
      );
      packParams(kernel, known, params, offsets[i]!);
      return known;
    });
    let end = 0;
    const { result, refused } = watched(device, ALL_ERRORS, () => {
      queue.writeBuffer(uniforms, 0, params.buffer);
      // Deno does not survive a write of nothing.
      for (const name of INPUTS) if (batch[name].length) queue.writeBuffer(inputs[name], 0, batch[name]);
      const encoder = device.createCommandEncoder({ label: 'executable.pass' });
      const begin = () => encoder.beginComputePass({ label: 'executable.pass' });
      let encoding = begin();
      steps.forEach(({ bindGroup, copies }, i) => {
        if (copies.length) {
          // A copy stands between passes.
          encoding.end();
          for (const { operand, from, to } of copies) copyToTexels(encoder, from, to, texelsOf(operand, sizes));
          encoding = begin();
        }
        encoding.setPipeline(kernels[i]!.pipeline);
        encoding.setBindGroup(0, bindGroup);
        encoding.dispatchWorkgroups(...plan.steps[i]!.kernel.workgroups(values[i]!));
      });
      encoding.end();
      const places = [...plan.outputs].map(([name, value]) => {
        const offset = end;
        const size = sizes[value.rows] * rowBytes(value);
        encoder.copyBufferToBuffer(slotOf(value), 0, readback, offset, size);
        end += aligned(size);
        return { name, value, offset, size };
      });
      queue.submit([encoder.finish()]);
      return { places, mapped: readback.mapAsync(GPUMapMode.READ, 0, end) };
    });
    const { places, mapped } = result;
    const [error] = await Promise.all([refused, promptly(queue, mapped, signal)]);
    check();
    const bytes = readback.getMappedRange(0, end);
    const outputs = new Map(
      places.map(({ name, value, offset, size }) => [name, unpad(new Float32Array(bytes, offset, size / 4), value)]),
    );
    readback.unmap();
    if (error) throw unexpected('the GPU refused a pass', error.message);
    return outputs;
  }

  return {
    plan,
    bytes: () => (room?.bytes ?? 0) + params.byteLength,
    reserve: sizes =>
      inTurn(async () => {
        if (!excess(tenant, sizes)) await roomFor(sizes);
      }),
    run(batch) {
      const handed = inTurn(async () => {
        const free = await roomFor(batch.sizes);
        const slot = turn++ % IN_FLIGHT;
        await busy[slot];
        check();
        const outputs = pass(free, free.readbacks[slot]!, batch).catch(async error => {
          throw await reason(error);
        });
        busy[slot] = outputs.catch(() => undefined);
        return { outputs };
      });
      return { submitted: handed.then(() => undefined), outputs: handed.then(({ outputs }) => outputs) };
    },
    destroy() {
      if (isDestroyed) return;
      isDestroyed = true;
      release();
      watched(device, ALL_ERRORS, () => uniforms.destroy());
    },
  };
}

/** A copy without the padding of the rows. */
function unpad(from: Float32Array, { columns, stride }: Value): Float32Array<ArrayBuffer> {
  if (columns === stride) return new Float32Array(from);
  const rows = from.length / stride;
  const to = new Float32Array(rows * columns);
  for (let row = 0; row < rows; row++) to.set(from.subarray(row * stride, row * stride + columns), row * columns);
  return to;
}
