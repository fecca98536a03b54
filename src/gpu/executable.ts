import { type Binding, MOST_TEXELS, packParams, type TexelFormat, textureBytes } from '../../shaders/kernel.ts';
import { DeviceError } from '../errors.ts';
import { slotBytes } from '../plan/arena.ts';
import type { Batch } from '../plan/batch.ts';
import type { Value } from '../plan/op.ts';
import type { Plan } from '../plan/plan.ts';
import type { Sizes } from '../plan/sizes.ts';
import type { Argument, InputName, Step } from '../plan/step.ts';
import { mostTexels, type TexelOperand, texelOperands, texelsOf } from '../plan/texels.ts';
import type { CompiledKernel, PipelineCache } from './pipelines.ts';
import { promptly } from './promptly.ts';
import { copyToTexels, createTexels } from './texels.ts';
import type { WeightStore } from './weights.ts';

/** The outputs of a pass by name: rows x columns without padding, [pairs, H] as H blocks of L x L per sequence. */
export type Outputs = ReadonlyMap<string, Float32Array<ArrayBuffer>>;

/** Everything on the GPU that belongs to passes of at most `capacity`. */
interface Room {
  readonly capacity: Sizes;
  readonly inputs: Readonly<Record<InputName, GPUBuffer>>;
  readonly slots: readonly GPUBuffer[];
  /** The values that a step reads as textures are copied into these right before it. */
  readonly textures: ReadonlyMap<TexelFormat, GPUTexture>;
  readonly bindGroups: readonly GPUBindGroup[];
  readonly readbacks: readonly GPUBuffer[];
  readonly bytes: number;
}

const INPUTS: readonly InputName[] = ['tokens', 'sequences', 'tiles', 'masked'];
/** Passes under way at once: the CPU prepares one while the GPU runs the other. */
const IN_FLIGHT = 2;
/** minUniformBufferOffsetAlignment of every adapter. */
const BLOCK = 256;

const rowBytes = ({ stride }: Value): number => stride * 4;
const aligned = (bytes: number): number => Math.ceil(bytes / BLOCK) * BLOCK;

/** The next capacity: sizes grow by doubling, so that a longer pass now and then makes few new rooms. */
function grown(sizes: Sizes, previous: Sizes | undefined): Sizes {
  const grow = (key: keyof Sizes) =>
    Math.max(previous?.[key] ?? 0, 2 ** Math.ceil(Math.log2(Math.max(sizes[key], 16))));
  return {
    tokens: grow('tokens'),
    sequences: grow('sequences'),
    tiles: grow('tiles'),
    pairs: grow('pairs'),
    masked: grow('masked'),
  };
}

const fits = (sizes: Sizes, capacity: Sizes): boolean =>
  (Object.keys(sizes) as (keyof Sizes)[]).every(key => sizes[key] <= capacity[key]);

/**
 * A plan made ready on a device. A run writes the batch, encodes every step into one command buffer, submits once and maps
 * one buffer; it creates nothing, unless the pass is larger than any before it.
 */
export class Executable {
  readonly plan: Plan;
  readonly #device: GPUDevice;
  readonly #weights: WeightStore;
  readonly #kernels: readonly CompiledKernel[];
  /** One uniform block per distinct list of params: most steps of an encoder share one. */
  readonly #blocks: { step: Step; offset: number }[] = [];
  readonly #blockOf: number[];
  /** Of every step. */
  readonly #texels: readonly (readonly TexelOperand[])[];
  readonly #uniforms: GPUBuffer;
  readonly #uniformData: DataView<ArrayBuffer>;
  readonly #constants = new Map<Uint32Array, GPUBuffer>();
  #room: Room | undefined;
  /** One entry per readback buffer: settles when that buffer may be used again. */
  readonly #busy: Promise<unknown>[] = Array.from({ length: IN_FLIGHT }, () => Promise.resolve());
  #turn = 0;
  #destroyed = false;
  #entry: Promise<unknown> = Promise.resolve();

  private constructor(device: GPUDevice, plan: Plan, weights: WeightStore, kernels: readonly CompiledKernel[]) {
    this.#device = device;
    this.plan = plan;
    this.#weights = weights;
    this.#kernels = kernels;
    this.#texels = plan.steps.map(texelOperands);
    const blocks = new Map<string, number>();
    this.#blockOf = plan.steps.map(step => {
      const key = JSON.stringify([step.kernel.params, step.params]);
      let offset = blocks.get(key);
      if (offset === undefined) {
        offset = blocks.size * BLOCK;
        blocks.set(key, offset);
        this.#blocks.push({ step, offset });
      }
      return offset;
    });
    this.#uniformData = new DataView(new ArrayBuffer(blocks.size * BLOCK));
    this.#uniforms = device.createBuffer({
      label: 'executable.params',
      size: this.#uniformData.byteLength,
      usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
    });
    for (const { args, label } of plan.steps) {
      for (const arg of args) {
        if (arg.kind !== 'constant' || this.#constants.has(arg.constant)) continue;
        const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST;
        const buffer = device.createBuffer({ label: `${label}.constant`, size: arg.constant.byteLength, usage });
        device.queue.writeBuffer(buffer, 0, arg.constant);
        this.#constants.set(arg.constant, buffer);
      }
    }
  }

  /** Waits for the pipelines of a plan. Its weights must have been allocated. */
  static async create(
    device: GPUDevice,
    plan: Plan,
    weights: WeightStore,
    pipelines: PipelineCache,
  ): Promise<Executable> {
    const kernels = await Promise.all(plan.steps.map(step => pipelines.get(step.kernel)));
    return new Executable(device, plan, weights, kernels);
  }

  /** Bytes of activations, inputs and readbacks held now. */
  get bytes(): number {
    let bytes = (this.#room?.bytes ?? 0) + this.#uniformData.byteLength;
    for (const { size } of this.#constants.values()) bytes += size;
    return bytes;
  }

  /** Makes room for passes of this size ahead of the first one, where the device allows it. */
  async reserve(sizes: Sizes): Promise<void> {
    await this.#inTurn(async () => {
      if (!this.#excess(sizes)) await this.#reserve(sizes);
    });
  }

  /**
   * Runs one pass. `submitted` settles when the pass has been handed to the GPU, so that the next one may be prepared;
   * `outputs` when its answer has been read.
   */
  run(batch: Batch): { submitted: Promise<void>; outputs: Promise<Outputs> } {
    const handed = this.#inTurn(async () => {
      await this.#reserve(batch.sizes);
      const slot = this.#turn++ % IN_FLIGHT;
      await this.#busy[slot];
      const outputs = this.#submit(this.#room!, batch, slot);
      this.#busy[slot] = outputs.catch(() => undefined);
      return { outputs };
    });
    return { submitted: handed.then(() => undefined), outputs: handed.then(({ outputs }) => outputs) };
  }

  destroy(): void {
    this.#destroyed = true;
    this.#release();
    this.#uniforms.destroy();
    for (const buffer of this.#constants.values()) buffer.destroy();
  }

  /** One after the other: rooms, readbacks and the order of submits belong to whoever is inside. */
  #inTurn<T>(action: () => Promise<T>): Promise<T> {
    const result = this.#entry.then(() => {
      if (this.#destroyed) throw new DeviceError({ what: 'the model was disposed', next: 'Load it again.' });
      return action();
    });
    this.#entry = result.catch(() => undefined);
    return result;
  }

  async #reserve(wanted: Sizes): Promise<void> {
    // Pairs grow with the square of the length, and most plans keep none.
    const holdsPairs = this.plan.slots.some(slot => slot.has('pairs'));
    const sizes = holdsPairs ? wanted : { ...wanted, pairs: 0 };
    if (this.#room && fits(sizes, this.#room.capacity)) return;
    await Promise.all(this.#busy);
    // Doubling must not make a slot of logits larger than a binding may be when the pass itself is not.
    const doubled = grown(sizes, this.#room?.capacity);
    const capacity = this.#excess(doubled) === undefined ? doubled : sizes;
    const excess = this.#excess(capacity);
    if (excess) {
      throw new DeviceError({
        what: 'a pass needs a buffer larger than this device allows',
        actual: `${excess.bytes} bytes`,
        expected: `at most ${excess.most}`,
        next: 'Ask for fewer layers at a time, or give shorter texts.',
      });
    }
    this.#release();
    this.#device.pushErrorScope('out-of-memory');
    this.#device.pushErrorScope('validation');
    this.#room = this.#build(capacity);
    // Both are popped, whatever the first one says.
    const scopes = [this.#device.popErrorScope(), this.#device.popErrorScope()];
    const [invalid, full] = await Promise.all(scopes);
    const refused = invalid ?? full;
    if (!refused) return;
    this.#release();
    throw new DeviceError({
      what: 'the GPU has no room for a pass',
      actual: refused.message,
      next: 'Give fewer or shorter texts, or dispose other models.',
    });
  }

  /** The first buffer of a room of this capacity that the device could not have. */
  #excess(capacity: Sizes): { bytes: number; most: number } | undefined {
    const { maxStorageBufferBindingSize, maxBufferSize } = this.#device.limits;
    const slot = this.plan.slots
      .map(each => slotBytes(each, capacity))
      .find(bytes => bytes > maxStorageBufferBindingSize);
    if (slot !== undefined) return { bytes: slot, most: maxStorageBufferBindingSize };
    for (const [format, texels] of mostTexels(this.plan.steps, capacity)) {
      if (texels > MOST_TEXELS) return { bytes: textureBytes(format, texels), most: textureBytes(format, MOST_TEXELS) };
    }
    const readback = this.#readbackBytes(capacity);
    return readback > maxBufferSize ? { bytes: readback, most: maxBufferSize } : undefined;
  }

  #readbackBytes(capacity: Sizes): number {
    let bytes = 0;
    for (const value of this.plan.outputs.values()) bytes += aligned(capacity[value.rows] * rowBytes(value));
    return Math.max(bytes, BLOCK);
  }

  #release(): void {
    const room = this.#room;
    if (!room) return;
    const { inputs, slots, textures, readbacks } = room;
    for (const each of [...Object.values(inputs), ...slots, ...textures.values(), ...readbacks]) each.destroy();
    this.#room = undefined;
  }

  #build(capacity: Sizes): Room {
    const device = this.#device;
    let bytes = 0;
    const make = (label: string, size: number, usage: number) => {
      bytes += size;
      return device.createBuffer({ label: `executable.${label}`, size, usage });
    };
    const input = (name: InputName) =>
      make(name, Math.max(1, capacity[name]) * 16, GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST);
    const inputs = {
      tokens: input('tokens'),
      sequences: input('sequences'),
      tiles: input('tiles'),
      masked: input('masked'),
    };
    const slots = this.plan.slots.map((slot, i) =>
      make(`slot${i}`, slotBytes(slot, capacity), GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC),
    );
    const textures = new Map<TexelFormat, GPUTexture>();
    for (const [format, elements] of mostTexels(this.plan.steps, capacity)) {
      bytes += textureBytes(format, elements);
      textures.set(format, createTexels(device, `executable.${format}`, format, elements));
    }
    const readback = this.#readbackBytes(capacity);
    const readbacks = this.#busy.map((_, i) =>
      make(`readback${i}`, readback, GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST),
    );
    const buffer = (arg: Exclude<Argument, { kind: 'weight' }>): GPUBuffer => {
      switch (arg.kind) {
        case 'value':
          return slots[this.plan.slotOf.get(arg.value.id)!]!;
        case 'input':
          return inputs[arg.input];
        case 'constant':
          return this.#constants.get(arg.constant)!;
        default:
          return arg satisfies never;
      }
    };
    const resource = (arg: Argument, { access, type }: Binding): GPUBindingResource => {
      if (arg.kind === 'weight') return this.#weights.resource(arg.weight);
      return access === 'texel' ? textures.get(type as TexelFormat)!.createView() : { buffer: buffer(arg) };
    };
    const bindGroups = this.plan.steps.map((step, i) =>
      device.createBindGroup({
        label: step.label,
        layout: this.#kernels[i]!.layout,
        entries: [
          { binding: 0, resource: { buffer: this.#uniforms, offset: this.#blockOf[i]!, size: BLOCK } },
          ...step.args.map((arg, j) => ({ binding: j + 1, resource: resource(arg, step.kernel.bindings[j]!) })),
        ],
      }),
    );
    return { capacity, inputs, slots, textures, bindGroups, readbacks, bytes };
  }

  #submit(room: Room, batch: Batch, turn: number): Promise<Outputs> {
    const { queue } = this.#device;
    const { sizes } = batch;
    const known = (params: Step['params']): Record<string, number> =>
      Object.fromEntries(Object.entries(params).map(([name, v]) => [name, typeof v === 'number' ? v : sizes[v]]));
    for (const { step, offset } of this.#blocks) packParams(step.kernel, known(step.params), this.#uniformData, offset);
    queue.writeBuffer(this.#uniforms, 0, this.#uniformData.buffer);
    // Deno does not survive a write of nothing.
    for (const name of INPUTS) if (batch[name].length) queue.writeBuffer(room.inputs[name], 0, batch[name]);

    this.#device.pushErrorScope('validation');
    const encoder = this.#device.createCommandEncoder({ label: 'executable.pass' });
    const begin = () => encoder.beginComputePass({ label: 'executable.pass' });
    let pass = begin();
    this.plan.steps.forEach(({ kernel, params }, i) => {
      const texels = this.#texels[i]!;
      if (texels.length) {
        // A copy stands between passes.
        pass.end();
        for (const each of texels) {
          const slot = room.slots[this.plan.slotOf.get(each.value.id)!]!;
          copyToTexels(encoder, slot, room.textures.get(each.format)!, texelsOf(each, sizes));
        }
        pass = begin();
      }
      pass.setPipeline(this.#kernels[i]!.pipeline);
      pass.setBindGroup(0, room.bindGroups[i]!);
      pass.dispatchWorkgroups(...kernel.workgroups(known(params)));
    });
    pass.end();
    const readback = room.readbacks[turn]!;
    const places: { name: string; value: Value; offset: number }[] = [];
    let end = 0;
    for (const [name, value] of this.plan.outputs) {
      const size = sizes[value.rows] * rowBytes(value);
      encoder.copyBufferToBuffer(room.slots[this.plan.slotOf.get(value.id)!]!, 0, readback, end, size);
      places.push({ name, value, offset: end });
      end += aligned(size);
    }
    queue.submit([encoder.finish()]);
    const refusing = this.#device.popErrorScope();
    return this.#read(refusing, readback, end, places, sizes);
  }

  async #read(
    refusing: Promise<GPUError | null>,
    readback: GPUBuffer,
    end: number,
    places: readonly { name: string; value: Value; offset: number }[],
    sizes: Sizes,
  ): Promise<Outputs> {
    const [refused] = await Promise.all([
      refusing,
      promptly(this.#device.queue, readback.mapAsync(GPUMapMode.READ, 0, end)),
    ]);
    if (refused) {
      readback.unmap();
      throw new DeviceError({
        what: 'the GPU refused a pass',
        actual: refused.message,
        next: 'Please report this with the name of the browser and of the graphics adapter.',
      });
    }
    const bytes = readback.getMappedRange(0, end);
    const outputs = new Map(
      places.map(({ name, value, offset }) => {
        const rows = sizes[value.rows];
        return [name, unpad(new Float32Array(bytes, offset, rows * value.stride), rows, value)] as const;
      }),
    );
    readback.unmap();
    return outputs;
  }
}

/** A copy without the padding of the rows. */
function unpad(from: Float32Array, rows: number, { columns, stride }: Value): Float32Array<ArrayBuffer> {
  if (columns === stride) return new Float32Array(from);
  const to = new Float32Array(rows * columns);
  for (let row = 0; row < rows; row++) to.set(from.subarray(row * stride, row * stride + columns), row * columns);
  return to;
}
