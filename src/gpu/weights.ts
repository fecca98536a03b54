import { type Kernel, packParams } from '../../shaders/kernel.ts';
import { TEXEL_FORMATS } from '../../shaders/matrix.ts';
import { halve, quantize } from '../../shaders/pack.ts';
import { place, type StoredType } from '../../shaders/place.ts';
import { isVerbatim, plainBytes, type Weight, weightBytes, weightElements, weightKey } from '../plan/weight.ts';
import { createBuffer } from './buffers.ts';
import { disposed } from './faults.ts';
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

const isBuffer = (each: GPUBuffer | GPUTexture): each is GPUBuffer => 'size' in each;

/** The weights of a model on the GPU: one buffer or texture each, filled piece by piece while the file arrives. */
export interface WeightStore {
  /** Makes room for weights; those that are there already stay. */
  allocate(weights: readonly Weight[]): void;
  /** What a kernel binds of a weight. */
  resource(weight: Weight): GPUBindingResource;
  bytes(): number;
  /** Puts a piece where it belongs, in every weight that has it. The bytes may be reused when it resolves. */
  write(piece: Piece): Promise<void>;
  /** The last piece has been written: the room for pieces under way is given back. */
  finish(): void;
  destroy(): void;
}

export function createWeightStore(device: GPUDevice, pipelines: PipelineCache): WeightStore {
  const { queue } = device;
  const all = new Map<string, Held>();
  /** The bytes of a piece that do not go to their place as they are. */
  let staged: GPUBuffer | undefined;
  let written = 0;
  let isDestroyed = false;
  let taken = Promise.resolve<unknown>(undefined);

  /** Before anything is made or written, and so after every wait. */
  function check(): void {
    if (isDestroyed) throw disposed();
  }

  /** Runs a kernel of the load. */
  async function apply(kernel: Kernel, values: Readonly<Record<string, number>>, operands: readonly GPUBuffer[]) {
    const { pipeline, layout } = await pipelines.get(kernel);
    check();
    const block = new DataView(new ArrayBuffer(4 * kernel.params.length));
    packParams(kernel, values, block, 0);
    const params = createBuffer(device, kernel.name, block.byteLength, 'UNIFORM');
    queue.writeBuffer(params, 0, block.buffer);
    const entries = [params, ...operands].map((buffer, binding) => ({ binding, resource: { buffer } }));
    const encoder = device.createCommandEncoder({ label: kernel.name });
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, device.createBindGroup({ label: kernel.name, layout, entries }));
    pass.dispatchWorkgroups(...kernel.workgroups(values));
    pass.end();
    queue.submit([encoder.finish()]);
    params.destroy();
  }

  /** Puts bytes where `place` can read them. */
  function stage(bytes: Uint8Array<ArrayBuffer>): GPUBuffer {
    if (!staged || staged.size < bytes.length) {
      staged?.destroy();
      staged = createBuffer(device, 'piece', bytes.length);
    }
    // writeBuffer takes multiples of four; a tensor of two-byte elements may end on an odd one.
    const even = bytes.length & ~3;
    queue.writeBuffer(staged, 0, bytes, 0, even);
    if (even < bytes.length) {
      const rest = new Uint8Array(4);
      rest.set(bytes.subarray(even));
      queue.writeBuffer(staged, even, rest);
    }
    return staged;
  }

  /** All float32 rows of a weight are there: brings them into the form in which it is kept. */
  async function pack(held: Held, rows: GPUBuffer): Promise<void> {
    const { weight, kept } = held;
    const { format } = weight.storage;
    let packed = rows;
    if (format !== 'f32') {
      if (isBuffer(kept)) packed = kept;
      else packed = createBuffer(device, `pack.${weight.name}`, weightBytes(weight));
      const kernel = format === 'f16' ? halve() : quantize({ columns: weight.stride });
      await apply(kernel, { count: plainBytes(weight) / 16, rows: weight.height }, [rows, packed]);
    }
    if (!isBuffer(kept)) {
      const encoder = device.createCommandEncoder({ label: `pack.${weight.name}` });
      copyToTexels(encoder, packed, kept, weightElements(weight));
      queue.submit([encoder.finish()]);
    }
    for (const buffer of [rows, packed]) if (buffer !== kept) buffer.destroy();
    held.rows = undefined;
  }

  function finish(): void {
    staged?.destroy();
    staged = undefined;
  }

  return {
    allocate(weights) {
      check();
      for (const weight of weights) {
        const key = weightKey(weight);
        if (all.has(key)) continue;
        const label = `weight.${weight.name}`;
        const { format, texels } = weight.storage;
        const kept = texels
          ? createTexels(device, label, TEXEL_FORMATS[format], weightElements(weight))
          : createBuffer(device, label, weightBytes(weight));
        const missing = weight.parts.length * weight.count * weight.columns;
        all.set(key, { weight, kept, rows: isBuffer(kept) && format === 'f32' ? kept : undefined, missing });
      }
    },

    resource(weight) {
      const { kept } = all.get(weightKey(weight))!;
      return isBuffer(kept) ? { buffer: kept } : kept.createView();
    },

    bytes: () => [...all.values()].reduce((sum, { weight }) => sum + weightBytes(weight), 0),

    async write({ tensor, stored, begin, bytes }) {
      check();
      const size = stored === 'F32' ? 4 : 2;
      for (const held of all.values()) {
        const { weight } = held;
        const { columns, count, stride, rowGroup, columnGroup } = weight;
        for (const part of weight.parts) {
          if (part.tensor !== tensor) continue;
          // The elements of the piece that fall into this weight's slice of the tensor's rows.
          const firstOfSlice = weight.first * columns;
          const from = Math.max(begin / size, firstOfSlice);
          const to = Math.min((begin + bytes.length) / size, firstOfSlice + count * columns);
          if (from >= to) continue;
          held.rows ??= createBuffer(device, `rows.${weight.name}`, plainBytes(weight));
          const slice = bytes.subarray(from * size - begin, to * size - begin);
          const first = from - firstOfSlice;
          if (stored === 'F32' && isVerbatim(weight)) {
            queue.writeBuffer(held.rows, (part.rowOffset * stride + first) * 4, slice);
          } else {
            const values = {
              count: to - from,
              first,
              columns,
              row_offset: part.rowOffset,
              row_size: rowGroup.size,
              row_padded: rowGroup.padded,
              column_size: columnGroup.size,
              column_padded: columnGroup.padded,
              stride,
            };
            await apply(place(stored), values, [stage(slice), held.rows]);
          }
          written += slice.length;
          held.missing -= to - from;
          if (held.missing === 0 && held.rows !== held.kept) await pack(held, held.rows);
        }
      }
      if (written < WAITING_BYTES) return;
      written = 0;
      await taken;
      // Of a device that is lost, whoever runs the load hears otherwise.
      taken = promptly(queue, queue.onSubmittedWorkDone()).catch(() => undefined);
    },

    finish,

    destroy() {
      isDestroyed = true;
      finish();
      for (const { kept, rows } of all.values()) {
        kept.destroy();
        rows?.destroy();
      }
      all.clear();
    },
  };
}
