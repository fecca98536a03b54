import { type Kernel, packParams } from '../../shaders/kernel.ts';
import { TEXEL_FORMATS } from '../../shaders/matrix.ts';
import { halve, quantize } from '../../shaders/pack.ts';
import { place, type StoredType } from '../../shaders/place.ts';
import {
  isVerbatim,
  plainBytes,
  type Weight,
  type WeightPart,
  weightBytes,
  weightElements,
  weightKey,
} from '../plan/weight.ts';
import type { PipelineCache } from './pipelines.ts';
import { promptly } from './promptly.ts';
import { copyToTexels, createTexels } from './texels.ts';

/** A piece of a tensor on its way to the GPU. */
export interface Piece {
  readonly tensor: string;
  readonly stored: StoredType;
  /** Offset of the first byte inside the tensor, a multiple of four. */
  readonly begin: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

const ELEMENT_BYTES: Record<StoredType, number> = { F32: 4, F16: 2, BF16: 2 };

interface Stager {
  readonly piece: GPUBuffer;
  readonly params: GPUBuffer;
  readonly kernel: Kernel;
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
}

/** Of what is written, at most twice this much waits for the browser's GPU process: the network waits then, not the memory. */
const WAITING_BYTES = 16 << 20;

/** One weight on the GPU. */
interface Held {
  readonly weight: Weight;
  /** What the kernels bind. */
  readonly kept: GPUBuffer | GPUTexture;
  /** Float32 rows, while they arrive: `kept` itself, where it holds just these. */
  rows: GPUBuffer | undefined;
  /** Numbers that have not arrived. */
  missing: number;
}

const isPlain = ({ storage }: Weight): boolean => storage.format === 'f32' && !storage.texels;

/** The weights of a model on the GPU: one buffer or texture each, filled piece by piece while the file arrives. */
export class WeightStore {
  readonly #device: GPUDevice;
  readonly #pipelines: PipelineCache;
  readonly #held = new Map<string, Held>();
  #bytes = 0;
  #written = 0;
  #taken: Promise<undefined> = Promise.resolve(undefined);
  readonly #users = new Map<string, { held: Held; part: WeightPart }[]>();
  readonly #stagers = new Map<StoredType, Stager>();

  constructor(device: GPUDevice, pipelines: PipelineCache) {
    this.#device = device;
    this.#pipelines = pipelines;
  }

  /** Makes room for weights; those that are there already stay. */
  allocate(weights: readonly Weight[]): void {
    for (const weight of weights) {
      const key = weightKey(weight);
      if (this.#held.has(key)) continue;
      const label = `weight.${weight.name}`;
      const { format, texels } = weight.storage;
      const kept = texels
        ? createTexels(this.#device, label, TEXEL_FORMATS[format], weightElements(weight))
        : this.#device.createBuffer({
            label,
            size: Math.ceil(weightBytes(weight) / 4) * 4,
            usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST,
          });
      const missing = weight.parts.length * weight.count * weight.columns;
      const held: Held = { weight, kept, rows: 'size' in kept && isPlain(weight) ? kept : undefined, missing };
      this.#held.set(key, held);
      this.#bytes += weightBytes(weight);
      for (const part of weight.parts) {
        const users = this.#users.get(part.tensor) ?? [];
        users.push({ held, part });
        this.#users.set(part.tensor, users);
      }
    }
  }

  /** What a kernel binds of a weight. */
  resource(weight: Weight): GPUBindingResource {
    const held = this.#held.get(weightKey(weight));
    if (!held) throw new Error(`weight ${weight.name} was never allocated`);
    return 'size' in held.kept ? { buffer: held.kept } : held.kept.createView();
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Puts a piece where it belongs, in every weight that has it. The bytes may be reused when it resolves. */
  async write({ tensor, stored, begin, bytes }: Piece): Promise<void> {
    const size = ELEMENT_BYTES[stored];
    for (const { held, part } of this.#users.get(tensor) ?? []) {
      const { weight } = held;
      // The elements of the piece that fall into this weight's slice of the tensor's rows.
      const firstOfSlice = weight.first * weight.columns;
      const from = Math.max(begin / size, firstOfSlice);
      const to = Math.min((begin + bytes.length) / size, firstOfSlice + weight.count * weight.columns);
      if (from >= to) continue;
      held.rows ??= this.#device.createBuffer({
        label: `rows.${weight.name}`,
        size: plainBytes(weight),
        usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC,
      });
      const slice = bytes.subarray(from * size - begin, to * size - begin);
      const first = from - firstOfSlice;
      if (stored === 'F32' && isVerbatim(weight)) {
        const target = (part.rowOffset * weight.stride + first) * 4;
        this.#device.queue.writeBuffer(held.rows, target, slice);
      } else {
        await this.#place(weight, part, held.rows, stored, first, to - from, slice);
      }
      this.#written += slice.length;
      held.missing -= to - from;
      if (held.missing === 0 && held.rows !== held.kept) await this.#pack(held, held.rows);
    }
    if (this.#written < WAITING_BYTES) return;
    this.#written = 0;
    await this.#taken;
    // Of a device that is lost, whoever runs the load hears otherwise.
    const { queue } = this.#device;
    this.#taken = promptly(queue, queue.onSubmittedWorkDone()).catch(() => undefined);
  }

  async #place(
    weight: Weight,
    part: WeightPart,
    rows: GPUBuffer,
    stored: StoredType,
    first: number,
    count: number,
    bytes: Uint8Array<ArrayBuffer>,
  ): Promise<void> {
    const { piece, params, kernel, pipeline, layout } = await this.#stager(stored, bytes.length);
    const { queue } = this.#device;
    const { columns, rowGroup, columnGroup, stride } = weight;
    const values = {
      count,
      first,
      columns,
      row_offset: part.rowOffset,
      row_size: rowGroup.size,
      row_padded: rowGroup.padded,
      column_size: columnGroup.size,
      column_padded: columnGroup.padded,
      stride,
    };
    const block = new DataView(new ArrayBuffer(4 * kernel.params.length));
    packParams(kernel, values, block, 0);
    queue.writeBuffer(params, 0, block.buffer);
    // writeBuffer takes multiples of four; a tensor of two-byte elements may end on an odd one.
    const even = bytes.length - (bytes.length % 4);
    queue.writeBuffer(piece, 0, bytes, 0, even);
    if (even < bytes.length) {
      const rest = new Uint8Array(4);
      rest.set(bytes.subarray(even));
      queue.writeBuffer(piece, even, rest);
    }
    const encoder = this.#device.createCommandEncoder({ label: `place.${part.tensor}` });
    this.#dispatch(encoder, { kernel, pipeline, layout }, [params, piece, rows], values);
    queue.submit([encoder.finish()]);
  }

  /** All float32 rows of a weight are there: brings them into the form in which it is kept. */
  async #pack(held: Held, rows: GPUBuffer): Promise<void> {
    const { weight, kept } = held;
    const { format } = weight.storage;
    const device = this.#device;
    const encoder = device.createCommandEncoder({ label: `pack.${weight.name}` });
    const spent = [rows];
    let packed = rows;
    if (format !== 'f32') {
      const values = { count: plainBytes(weight) / 16, rows: weight.height };
      const kernel = format === 'f16' ? halve() : quantize({ columns: weight.stride });
      const { pipeline, layout } = await this.#pipelines.get(kernel);
      const make = (size: number, usage: number) => {
        const buffer = device.createBuffer({ label: `pack.${weight.name}`, size, usage });
        spent.push(buffer);
        return buffer;
      };
      const params = make(4, GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST);
      const block = new DataView(new ArrayBuffer(4));
      packParams(kernel, values, block, 0);
      device.queue.writeBuffer(params, 0, block.buffer);
      packed = 'size' in kept ? kept : make(weightBytes(weight), GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC);
      this.#dispatch(encoder, { kernel, pipeline, layout }, [params, rows, packed], values);
    }
    if (!('size' in kept)) copyToTexels(encoder, packed, kept, weightElements(weight));
    device.queue.submit([encoder.finish()]);
    for (const buffer of spent) buffer.destroy();
    held.rows = undefined;
  }

  #dispatch(
    encoder: GPUCommandEncoder,
    { kernel, pipeline, layout }: Pick<Stager, 'kernel' | 'pipeline' | 'layout'>,
    buffers: readonly GPUBuffer[],
    values: Readonly<Record<string, number>>,
  ): void {
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    const entries = buffers.map((buffer, binding) => ({ binding, resource: { buffer } }));
    pass.setBindGroup(0, this.#device.createBindGroup({ label: kernel.name, layout, entries }));
    pass.dispatchWorkgroups(...kernel.workgroups(values));
    pass.end();
  }

  async #stager(stored: StoredType, bytes: number): Promise<Stager> {
    const known = this.#stagers.get(stored);
    if (known && known.piece.size >= bytes) return known;
    known?.piece.destroy();
    known?.params.destroy();
    const kernel = place(stored);
    const { pipeline, layout } = await this.#pipelines.get(kernel);
    const buffer = (name: string, size: number, usage: number) =>
      this.#device.createBuffer({ label: `stager.${name}`, size, usage: usage | GPUBufferUsage.COPY_DST });
    const stager = {
      piece: buffer('piece', Math.ceil(bytes / 4) * 4, GPUBufferUsage.STORAGE),
      params: buffer('params', 4 * kernel.params.length, GPUBufferUsage.UNIFORM),
      kernel,
      pipeline,
      layout,
    };
    this.#stagers.set(stored, stager);
    return stager;
  }

  /** The last piece has been written: the room for pieces under way is given back. */
  finish(): void {
    for (const { piece, params } of this.#stagers.values()) {
      piece.destroy();
      params.destroy();
    }
    this.#stagers.clear();
  }

  destroy(): void {
    this.finish();
    for (const { kept, rows } of this.#held.values()) {
      kept.destroy();
      rows?.destroy();
    }
    this.#held.clear();
    this.#users.clear();
  }
}
