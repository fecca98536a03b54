import { packParams } from '../../shaders/kernel.ts';
import { DeviceError, WebGPUBertError } from '../errors.ts';
import {
  type Batch,
  INPUTS,
  type Plan,
  type Sizes,
  type Submit,
  submitsOf,
  texelsOf,
  type Value,
} from '../plan/index.ts';
import { createBuffer } from './buffers.ts';
import { ALL_ERRORS, disposed, unexpected, watched } from './errors.ts';
import { MapMode } from './flags.ts';
import { explained } from './loss.ts';
import type { PaceKeeper } from './pace.ts';
import type { PipelineCache } from './pipelines.ts';
import { promptly } from './poll.ts';
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
} from './resources.ts';
import { copyToTexels } from './texels.ts';
import type { WeightStore } from './weights.ts';

/** The numbers of each of the plan's outputs: rows x columns without padding, [pairs, H] as H blocks of L x L per sequence. */
export type Outputs = readonly Float32Array<ArrayBuffer>[];

/** A plan made ready on a device. */
export interface Executable {
  readonly plan: Plan;
  /** The work that a pass should have by what the device has told of its speed: see src/plan/pace.ts. */
  budget(): number;
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
 * command buffer, submits once and maps one buffer; it creates nothing, unless the pass is larger than any before it. A pass that
 * is too much for one submit on this device (see src/plan/pace.ts) is several, one after the other.
 * When `signal` aborts, all that waits rejects with its reason and nothing is made any more; `destroy` gives back what was.
 */
export async function createExecutable(
  device: GPUDevice,
  plan: Plan,
  weights: WeightStore,
  pipelines: PipelineCache,
  signal: AbortSignal,
  pace: PaceKeeper,
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

  /** Packs the params of every step for a pass of these sizes. Gives the values of each, and its grid. */
  function prepare(sizes: Sizes) {
    const values = plan.steps.map(({ kernel, params: named }, i) => {
      const known: Readonly<Record<string, number>> = Object.fromEntries(
        Object.entries(named).map(([name, v]) => [name, typeof v === 'number' ? v : sizes[v]]),
      );
      packParams(kernel, known, params, offsets[i]!);
      return known;
    });
    return { values, grids: plan.steps.map(({ kernel }, i) => kernel.workgroups(values[i]!)) };
  }

  /** Writes the params of one step anew, for the submits from now on: those before have theirs. */
  function rewrite(step: number, values: Readonly<Record<string, number>>): void {
    const offset = offsets[step]!;
    packParams(plan.steps[step]!.kernel, values, params, offset);
    device.queue.writeBuffer(uniforms, offset, params.buffer, offset, BLOCK);
  }

  function encode(encoder: GPUCommandEncoder, { steps }: Room, sizes: Sizes, { dispatches }: Submit): void {
    const begin = () => encoder.beginComputePass({ label: 'executable.pass' });
    let encoding = begin();
    for (const { step, groups } of dispatches) {
      const { bindGroup, copies } = steps[step]!;
      if (copies.length) {
        // A copy stands between passes.
        encoding.end();
        for (const { operand, from, to } of copies) copyToTexels(encoder, from, to, texelsOf(operand, sizes));
        encoding = begin();
      }
      encoding.setPipeline(kernels[step]!.pipeline);
      encoding.setBindGroup(0, bindGroup);
      encoding.dispatchWorkgroups(...groups);
    }
    encoding.end();
  }

  /**
   * Submits before it awaits anything. `handed` settles when the last submit has been handed over: each but the first waits for the
   * one before it, which tells how much work it may have. `outputs` settles when the answer has been read.
   */
  function pass(room: Room, readback: GPUBuffer, { sizes, ...batch }: Batch) {
    const { queue } = device;
    const { values, grids } = prepare(sizes);
    let end = 0;
    const places: { value: Value; offset: number; size: number }[] = [];
    const refusals: Promise<GPUError | undefined>[] = [];
    /** Notes what the device refuses of `work`. */
    function watch<T>(work: () => T): T {
      const { result, refused } = watched(device, ALL_ERRORS, work);
      refusals.push(refused);
      return result;
    }

    /** The first submit writes the batch. Settles when the GPU has done the part, at the last one when the answer can be read. */
    function submit(part: Submit): Promise<undefined> {
      if (refusals.length === 0) {
        queue.writeBuffer(uniforms, 0, params.buffer);
        // Deno does not survive a write of nothing.
        for (const name of INPUTS) if (batch[name].length) queue.writeBuffer(room.inputs[name], 0, batch[name]);
      }
      const cut = part.dispatches.find(({ first }) => first);
      if (cut) rewrite(cut.step, { ...values[cut.step]!, ...cut.first });
      const encoder = device.createCommandEncoder({ label: 'executable.pass' });
      encode(encoder, room, sizes, part);
      for (const { value } of part.isLast ? plan.outputs : []) {
        const size = sizes[value.rows] * rowBytes(value);
        encoder.copyBufferToBuffer(room.slotOf(value), 0, readback, end, size);
        places.push({ value, offset: end, size });
        end += aligned(size);
      }
      const commands = encoder.finish();
      const ended = pace.begin(part.work);
      queue.submit([commands]);
      if (cut) rewrite(cut.step, values[cut.step]!);
      const done = part.isLast ? readback.mapAsync(MapMode.READ, 0, end) : queue.onSubmittedWorkDone();
      return done.then(() => void ended());
    }

    async function submitAll(): Promise<{ mapped: Promise<undefined> }> {
      for (const part of submitsOf(plan, sizes, grids, pace.budget)) {
        const done = watch(() => submit(part));
        if (part.isLast) return { mapped: done };
        await promptly(queue, done, signal);
        check();
      }
      throw new Error('a pass has no last submit');
    }

    async function read(handed: Promise<{ mapped: Promise<undefined> }>): Promise<Outputs> {
      const { mapped } = await handed;
      const [errors] = await Promise.all([Promise.all(refusals), promptly(queue, mapped, signal)]);
      check();
      const bytes = readback.getMappedRange(0, end);
      const outputs = places.map(({ value, offset, size }) => unpad(new Float32Array(bytes, offset, size / 4), value));
      readback.unmap();
      const error = errors.find(each => each !== undefined);
      if (error) throw unexpected('the GPU refused a pass', error.message);
      return outputs;
    }
    const handed = submitAll();
    return { handed, outputs: read(handed) };
  }

  return {
    plan,
    budget: pace.budget,
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
        const { handed: all, outputs: read } = pass(free, free.readbacks[slot]!, batch);
        const outputs = read.catch(async error => {
          throw await reason(error);
        });
        busy[slot] = outputs.catch(() => undefined);
        await all;
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
