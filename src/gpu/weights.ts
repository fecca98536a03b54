import { type Kernel, packParams } from '../../shaders/kernel.ts';
import { place, type StoredType } from '../../shaders/place.ts';
import { isVerbatim, type Weight, type WeightPart, weightBytes, weightKey } from '../plan/weight.ts';
import type { PipelineCache } from './pipelines.ts';

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

/** The weights of a model on the GPU: one buffer each, filled piece by piece while the file arrives. */
export class WeightStore {
  readonly #device: GPUDevice;
  readonly #pipelines: PipelineCache;
  readonly #buffers = new Map<string, GPUBuffer>();
  #bytes = 0;
  #written = 0;
  #taken: Promise<undefined> = Promise.resolve(undefined);
  readonly #users = new Map<string, { weight: Weight; part: WeightPart }[]>();
  readonly #stagers = new Map<StoredType, Stager>();

  constructor(device: GPUDevice, pipelines: PipelineCache) {
    this.#device = device;
    this.#pipelines = pipelines;
  }

  /** Makes room for weights; those that are there already stay. */
  allocate(weights: readonly Weight[]): void {
    for (const weight of weights) {
      const key = weightKey(weight);
      if (this.#buffers.has(key)) continue;
      const buffer = this.#device.createBuffer({
        label: `weight.${weight.name}`,
        size: weightBytes(weight),
        usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST,
      });
      this.#buffers.set(key, buffer);
      this.#bytes += buffer.size;
      for (const part of weight.parts) {
        const users = this.#users.get(part.tensor) ?? [];
        users.push({ weight, part });
        this.#users.set(part.tensor, users);
      }
    }
  }

  buffer(weight: Weight): GPUBuffer {
    const buffer = this.#buffers.get(weightKey(weight));
    if (!buffer) throw new Error(`weight ${weight.name} was never allocated`);
    return buffer;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Puts a piece where it belongs, in every weight that has it. The bytes may be reused when it resolves. */
  async write({ tensor, stored, begin, bytes }: Piece): Promise<void> {
    const size = ELEMENT_BYTES[stored];
    for (const { weight, part } of this.#users.get(tensor) ?? []) {
      // The elements of the piece that fall into this weight's slice of the tensor's rows.
      const firstOfSlice = weight.first * weight.columns;
      const from = Math.max(begin / size, firstOfSlice);
      const to = Math.min((begin + bytes.length) / size, firstOfSlice + weight.count * weight.columns);
      if (from >= to) continue;
      const slice = bytes.subarray(from * size - begin, to * size - begin);
      const first = from - firstOfSlice;
      if (stored === 'F32' && isVerbatim(weight)) {
        const target = (part.rowOffset * weight.stride + first) * 4;
        this.#device.queue.writeBuffer(this.buffer(weight), target, slice);
      } else {
        await this.#place(weight, part, stored, first, to - from, slice);
      }
      this.#written += slice.length;
    }
    if (this.#written < WAITING_BYTES) return;
    this.#written = 0;
    await this.#taken;
    // Of a device that is lost, whoever runs the load hears otherwise.
    this.#taken = this.#device.queue.onSubmittedWorkDone().catch(() => undefined);
  }

  async #place(
    weight: Weight,
    part: WeightPart,
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
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    const entries = [params, piece, this.buffer(weight)].map((buffer, binding) => ({ binding, resource: { buffer } }));
    pass.setBindGroup(0, this.#device.createBindGroup({ label: `place.${weight.name}`, layout, entries }));
    pass.dispatchWorkgroups(...kernel.workgroups(values));
    pass.end();
    queue.submit([encoder.finish()]);
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
    for (const buffer of this.#buffers.values()) buffer.destroy();
    this.#buffers.clear();
    this.#users.clear();
  }
}
