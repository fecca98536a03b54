import { FLAWS, type FlawKind, inspect, NO_HALF, NOT_FINITE, WORDS_OF_FLAWS } from '../../shaders/inspect.ts';
import { type Kernel, MOST_TEXELS } from '../../shaders/kernel.ts';
import { elementBytes, rowElements, TEXEL_FORMATS } from '../../shaders/matrix.ts';
import { halve, quantize } from '../../shaders/pack.ts';
import { place, type StoredType } from '../../shaders/place.ts';
import { DeviceError } from '../errors.ts';
import {
  type Band,
  bandOf,
  bandRows,
  isVerbatim,
  originOf,
  type Weight,
  type WeightPart,
  weightBytes,
  weightElements,
  weightKey,
} from '../plan/index.ts';
import { createBuffer } from './buffers.ts';
import { ALL_ERRORS, disposed, unexpected, watched } from './errors.ts';
import { createPassing, type Dispatch, type Passing } from './passing.ts';
import type { PipelineCache } from './pipelines.ts';
import { promptly } from './poll.ts';
import { copyToTexels, createTexels } from './texels.ts';

/** A piece of a tensor on its way to the GPU. The pieces of a tensor come in their order, each once. */
export interface Piece {
  readonly tensor: string;
  readonly stored: StoredType;
  /** Offset of the first byte inside the tensor, a multiple of four. */
  readonly begin: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** A number of a weight that no kernel can compute with. */
export interface Flaw {
  readonly tensor: string;
  /** The first such number of the tensor: [row, column], or [row] of a vector. */
  readonly index: readonly number[];
  readonly kind: FlawKind;
}

/** At most twice this much of what is written waits for the browser's GPU process: then the network waits, and not the memory. */
const WAITING_BYTES = 16 << 20;
/** Of the buffers that a piece, and the rows of a weight that is kept otherwise, pass through. */
const PASSING_BYTES = 8 << 20;

/** One weight on the GPU. */
interface Held {
  readonly weight: Weight;
  /** What the kernels bind. */
  readonly kept: GPUBuffer | GPUTexture;
  /** Which one it is in `found`. */
  readonly slot: number;
  /** Makes what is kept of float32 rows, where these are packed. */
  readonly packing: Kernel | undefined;
  /** Rows of a tensor in one band. */
  readonly rows: number;
  /** Numbers that have not arrived. */
  missing: number;
}

/** A part of a weight, and the buffer that its float32 rows arrive in where they are not kept: one band after the other. */
interface Destination {
  readonly held: Held;
  readonly part: WeightPart;
  band: GPUBuffer | undefined;
}

const isBuffer = (each: GPUBuffer | GPUTexture): each is GPUBuffer => 'size' in each;
/** Whether what is kept are the float32 rows themselves. */
const isPlain = ({ storage }: Weight): boolean => storage.format === 'f32' && !storage.texels;

/** The weights of a model on the GPU: one buffer or texture each, filled piece by piece while the file arrives. */
export interface WeightStore {
  /** Makes room for weights; those that are there already stay. Throws DeviceError where the device has no room for them. */
  allocate(weights: readonly Weight[]): Promise<void>;
  /** What a kernel binds of a weight. */
  resource(weight: Weight): GPUBindingResource;
  bytes(): number;
  /**
   * Puts a piece where it belongs, in every weight that has it. The bytes may be reused when it resolves. Throws DeviceError where
   * the device has refused an earlier piece.
   */
  write(piece: Piece): Promise<void>;
  /**
   * The last piece has been written: waits until all is there, and gives the room for pieces under way back. Throws DeviceError where
   * the device has refused any of it. Gives for every weight with numbers that cannot be computed with the first of them.
   */
  finish(): Promise<readonly Flaw[]>;
  destroy(): void;
}

/** The kernel that every load needs, so that it can be compiled ahead. */
export const loadKernel = (): Kernel => inspect();

export function createWeightStore(device: GPUDevice, pipelines: PipelineCache): WeightStore {
  const { queue, limits } = device;
  const mostBytes = Math.min(limits.maxStorageBufferBindingSize, limits.maxBufferSize);
  const passingBytes = Math.min(PASSING_BYTES, mostBytes);
  const all = new Map<string, Held>();
  /** By the name of the tensor. */
  const destinations = new Map<string, Destination[]>();
  const inspecting = loadKernel();
  let passing: Passing | undefined;
  let written = 0;
  let taken = Promise.resolve<unknown>(undefined);
  /** Ends with the store: after every wait, before anything is made or written, it is looked at. */
  const life = new AbortController();
  let refusal: GPUError | undefined;
  let watching: Promise<unknown> = Promise.resolve();

  const bytes = () => [...all.values()].reduce((sum, { weight }) => sum + weightBytes(weight), 0);

  /** Runs GPU calls, none of which may be refused: `check` throws where one was, as soon as the device has said so. */
  function guarded<T>(work: () => T): T {
    const { result, refused } = watched(device, ALL_ERRORS, work);
    // Of a device that is lost, whoever runs the load hears otherwise.
    const noted = refused.catch(() => undefined).then(error => (refusal ??= error));
    watching = Promise.all([watching, noted]);
    return result;
  }

  function check(): void {
    life.signal.throwIfAborted();
    if (!refusal) return;
    const { GPUOutOfMemoryError: OutOfMemory } = globalThis;
    if (OutOfMemory && refusal instanceof OutOfMemory) {
      throw new DeviceError({
        what: 'the weights do not fit into the memory of the GPU',
        actual: `${bytes()} bytes asked for (${refusal.message})`,
        next: 'Dispose other models, or use a smaller one.',
      });
    }
    throw unexpected('the GPU refused the weights', refusal.message);
  }

  /** Throws where a weight is more than a kernel can bind: no device takes it, and a table has been cut to fit before. */
  function checkSize(weight: Weight): void {
    const { format, texels } = weight.storage;
    const [actual, most] = texels
      ? [weightElements(weight) * elementBytes(format), MOST_TEXELS * elementBytes(format)]
      : [weightBytes(weight), mostBytes];
    const band = isPlain(weight) ? 0 : bandOf(weight, weight.parts[0]!, bandRows(weight, passingBytes), 0).height;
    const rows = band * weight.stride * 4;
    if (actual <= most && rows <= mostBytes) return;
    throw new DeviceError({
      what: `the weight "${weight.name}" is larger than this device binds`,
      actual: `${Math.max(actual, rows)} bytes`,
      expected: `at most ${actual > most ? most : mostBytes}`,
      next: 'Use a smaller model, or a device that was asked for a larger maxStorageBufferBindingSize.',
    });
  }

  function hold(weight: Weight): void {
    const { name, storage, parts, count, columns, stride } = weight;
    const { format, texels } = storage;
    const held: Held = {
      weight,
      kept: texels
        ? createTexels(device, `weight.${name}`, TEXEL_FORMATS[format], weightElements(weight))
        : createBuffer(device, `weight.${name}`, weightBytes(weight)),
      slot: all.size,
      packing: format === 'f16' ? halve() : format === 'i8' ? quantize({ columns: stride }) : undefined,
      // What is kept as it arrives is one band.
      rows: isPlain(weight) ? count : bandRows(weight, passingBytes),
      missing: parts.length * count * columns,
    };
    all.set(weightKey(weight), held);
    for (const part of parts) {
      const list = destinations.get(part.tensor) ?? [];
      destinations.set(part.tensor, [...list, { held, part, band: undefined }]);
    }
  }

  const passage = (): Passing => {
    passing ??= createPassing(device, WORDS_OF_FLAWS * all.size);
    return passing;
  };

  const ready = async (kernel: Kernel): Promise<Pick<Dispatch, 'kernel' | 'compiled'>> => ({
    kernel,
    compiled: await pipelines.get(kernel),
  });

  /** Copies a packed band to its rows. */
  function keep(encoder: GPUCommandEncoder, { weight, kept }: Held, from: GPUBuffer, { to, height }: Band): void {
    const { format } = weight.storage;
    const perRow = rowElements(format, weight.stride);
    if (!isBuffer(kept)) copyToTexels(encoder, from, kept, height * perRow, to * perRow);
    else {
      const rowBytes = perRow * elementBytes(format);
      encoder.copyBufferToBuffer(from, 0, kept, to * rowBytes, height * rowBytes);
    }
  }

  /** Numbers `from` to `to`, counted from the first row that the weight takes, all of one band. */
  async function put(destination: Destination, stored: StoredType, from: number, to: number, slice: Piece['bytes']) {
    const { held, part } = destination;
    const { weight, slot, packing } = held;
    const { columns, count, stride, rowGroup, columnGroup } = weight;
    const plain = isPlain(weight);
    const band = bandOf(weight, part, held.rows, Math.floor(from / (held.rows * columns)));
    const first = from - band.first * columns;
    const isVerbatimHere = stored === 'F32' && isVerbatim(weight);
    held.missing -= to - from;
    // What is packed is looked through band by band, the rest when all of it is there.
    const isWhole = plain ? held.missing === 0 : to === (band.first + band.count) * columns;
    const placing = isVerbatimHere ? undefined : await ready(place(stored));
    const looking = isWhole ? await ready(inspecting) : undefined;
    const packer = isWhole && packing ? await ready(packing) : undefined;
    life.signal.throwIfAborted();
    guarded(() => {
      if (!plain) destination.band ??= createBuffer(device, `rows.${weight.name}`, band.height * stride * 4);
      const rows = destination.band ?? (held.kept as GPUBuffer);
      const dispatches: Dispatch[] = [];
      if (placing) {
        const values = {
          count: to - from,
          first,
          columns,
          row_offset: plain ? part.rowOffset : 0,
          row_size: rowGroup.size,
          row_padded: rowGroup.padded,
          column_size: columnGroup.size,
          column_padded: columnGroup.padded,
          stride,
        };
        dispatches.push({ ...placing, values, operands: [passage().stage(slice), rows] });
      } else {
        queue.writeBuffer(rows, ((plain ? part.rowOffset * stride : 0) + first) * 4, slice);
      }
      if (looking) {
        const numbers = plain ? rows.size / 4 : band.height * stride;
        const limit = weight.storage.format === 'f16' ? NO_HALF : NOT_FINITE;
        const values = { count: numbers / 4, base: plain ? 0 : band.to * stride, slot, limit };
        dispatches.push({ ...looking, values, operands: [rows, passage().found] });
      }
      let finished = rows;
      if (packer) {
        const { format } = weight.storage;
        finished = passage().packed(band.height * rowElements(format, stride) * elementBytes(format));
        const values = { count: (band.height * stride) / 4, rows: band.height };
        dispatches.push({ ...packer, values, operands: [rows, finished] });
      }
      const copies = isWhole && !plain;
      if (dispatches.length) {
        passage().submit(dispatches, copies ? encoder => keep(encoder, held, finished, band) : undefined);
      }
      if (to !== count * columns) return;
      destination.band?.destroy();
      destination.band = undefined;
    });
    written += slice.length;
  }

  function release(): void {
    for (const destination of [...destinations.values()].flat()) {
      destination.band?.destroy();
      destination.band = undefined;
    }
    passing?.destroy();
    passing = undefined;
  }

  /** What the kernels have found, by weight. */
  function flawsOf(found: Uint32Array): Flaw[] {
    return [...all.values()].flatMap(({ weight, slot }) => {
      const words = found.subarray(slot * WORDS_OF_FLAWS, (slot + 1) * WORDS_OF_FLAWS);
      const first = Math.max(...words);
      const origin = first > 0 ? originOf(weight, ~first >>> 0) : undefined;
      return origin ? [{ ...origin, kind: FLAWS[words.indexOf(first)]! }] : [];
    });
  }

  return {
    async allocate(weights) {
      check();
      const fresh = weights.filter(weight => !all.has(weightKey(weight)));
      fresh.forEach(checkSize);
      guarded(() => fresh.forEach(hold));
      await watching;
      check();
    },

    resource(weight) {
      const { kept } = all.get(weightKey(weight))!;
      return isBuffer(kept) ? { buffer: kept } : kept.createView();
    },

    bytes,

    async write({ tensor, stored, begin, bytes: piece }) {
      check();
      const size = stored === 'F32' ? 4 : 2;
      for (const destination of destinations.get(tensor) ?? []) {
        const { weight, rows } = destination.held;
        const { columns, count } = weight;
        // The numbers of the piece that fall into this weight's slice of the tensor's rows.
        const firstOfSlice = weight.first * columns;
        const end = Math.min((begin + piece.length) / size - firstOfSlice, count * columns);
        for (let from = Math.max(begin / size - firstOfSlice, 0); from < end; ) {
          const endOfBand = (Math.floor(from / (rows * columns)) + 1) * rows * columns;
          const to = Math.min(end, endOfBand, from + passingBytes / size);
          const at = (firstOfSlice + from) * size - begin;
          await put(destination, stored, from, to, piece.subarray(at, at + (to - from) * size));
          from = to;
        }
      }
      if (written < WAITING_BYTES) return;
      written = 0;
      await taken;
      // Of a device that is lost, whoever runs the load hears otherwise.
      taken = promptly(queue, queue.onSubmittedWorkDone(), life.signal).catch(() => undefined);
    },

    async finish() {
      check();
      if (!passing) return [];
      const room = passing;
      const { readback, mapped } = guarded(() => room.readFound());
      const refused = await promptly(queue, mapped, life.signal).then(
        () => undefined,
        (error: unknown) => ({ error }),
      );
      await watching;
      check();
      if (refused) throw refused.error;
      const flaws = flawsOf(new Uint32Array(readback.getMappedRange()));
      guarded(release);
      await watching;
      check();
      return flaws;
    },

    destroy() {
      life.abort(disposed());
      guarded(() => {
        release();
        for (const { kept } of all.values()) kept.destroy();
      });
      all.clear();
      destinations.clear();
    },
  };
}
