import { NO_HALF, NOT_FINITE, WORDS_OF_FLAWS } from '../../shaders/inspect.ts';
import type { Kernel } from '../../shaders/kernel.ts';
import { type Placing, place, type StoredType } from '../../shaders/place.ts';
import { type Band, bandOf, isJoined, isVerbatim, numbersOf, type Weight, type WeightPart } from '../plan/index.ts';
import { createBuffer } from './buffers.ts';
import type { ParamValues } from './dispatch.ts';
import { loadKernel } from './flaws.ts';
import type { CompiledKernel, PipelineCache } from './pipelines.ts';
import { withPolling } from './poll.ts';
import { type LoadDispatch, Staging } from './staging.ts';
import type { StoredWeight } from './stored-weight.ts';

/** A piece of a tensor on its way to the GPU. The pieces of a tensor come in their order, each once. */
export interface Piece {
  readonly tensor: string;
  readonly stored: StoredType;
  /** Offset of the first byte inside the tensor, a multiple of four. */
  readonly begin: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/**
 * Back-pressure: at most twice this many bytes that were written wait for the browser's GPU process before the next write pauses. So the
 * network waits, and memory does not fill up.
 */
const UNCONFIRMED_BYTES = 16 << 20;

/** Where a tensor goes: a part of a weight. */
interface Destination {
  readonly stored: StoredWeight;
  readonly part: WeightPart;
  readonly band: BandRows;
}

/** The float32 rows of the present band. */
interface BandRows {
  /** Where they are placed. None where the weight stores such rows itself. */
  buffer: GPUBuffer | undefined;
}

/** Numbers of a tensor for one destination, all of one band. */
interface Slice {
  readonly stored: StoredType;
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Counted from the first number that the weight takes; `end` is the number after the last. */
  readonly begin: number;
  readonly end: number;
}

interface LoadKernel {
  readonly kernel: Kernel;
  readonly compiled: CompiledKernel;
}

/** The kernels that a slice needs: those that it does not need are undefined. */
interface SliceKernels {
  readonly placing: LoadKernel | undefined;
  readonly inspecting: LoadKernel | undefined;
  readonly packing: LoadKernel | undefined;
}

export interface UploadOptions {
  readonly device: GPUDevice;
  readonly pipelines: Pick<PipelineCache, 'get'>;
  /** Aborts when the weights are given back: checked after every wait, before anything is created or written. */
  readonly signal: AbortSignal;
  /** Runs GPU calls inside error scopes. */
  readonly guard: <T>(work: () => T) => T;
  /** How many weights there are now. */
  readonly weightCount: () => number;
  readonly stagingBytes: number;
}

/** Brings the pieces of tensors into the weights that are made of them. */
export class WeightUpload {
  readonly #options: UploadOptions;
  /** By the name of the tensor: a tensor may be a part of several weights. */
  readonly #destinations = new Map<string, Destination[]>();
  readonly #inspectKernel = loadKernel();
  #staging: Staging | undefined;
  /** Bytes written since the GPU was last asked to confirm. */
  #unconfirmed = 0;
  #confirmed: Promise<unknown> = Promise.resolve();

  constructor(options: UploadOptions) {
    this.#options = options;
  }

  /** Makes a weight a destination of the tensors that it is made of. */
  add(stored: StoredWeight): void {
    const shared: BandRows | undefined = isJoined(stored.weight) ? { buffer: undefined } : undefined;
    for (const part of stored.weight.parts) {
      const destinations = this.#destinations.get(part.tensor) ?? [];
      destinations.push({ stored, part, band: shared ?? { buffer: undefined } });
      this.#destinations.set(part.tensor, destinations);
    }
  }

  /** Puts a piece into every weight that has a part of its tensor. The bytes may be reused when it resolves. */
  async write({ tensor, stored, begin, bytes }: Piece): Promise<void> {
    const size = stored === 'F32' ? 4 : 2;
    for (const destination of this.#destinations.get(tensor) ?? []) {
      const { weight, rowsPerBand, isOneBand } = destination.stored;
      const { columns, first: firstNumber, count } = numbersOf(weight, destination.part);
      const bandNumbers = isOneBand ? count : rowsPerBand * columns;
      // The numbers of the piece that this weight takes of the tensor.
      const end = Math.min((begin + bytes.length) / size - firstNumber, count);
      for (let from = Math.max(begin / size - firstNumber, 0); from < end; ) {
        const endOfBand = (Math.floor(from / bandNumbers) + 1) * bandNumbers;
        const to = Math.min(end, endOfBand, from + this.#options.stagingBytes / size);
        const offset = (firstNumber + from) * size - begin;
        const slice = bytes.subarray(offset, offset + (to - from) * size);
        await this.#writeSlice(destination, { stored, bytes: slice, begin: from, end: to });
        from = to;
      }
    }
    await this.#limitUnconfirmed();
  }

  /** Begins to read what the kernels have found (see Staging). Undefined where none has run. */
  readFlaws(): ReturnType<Staging['readFlaws']> | undefined {
    return this.#staging?.readFlaws();
  }

  /** Gives back the staging buffers. */
  release(): void {
    for (const destination of [...this.#destinations.values()].flat()) releaseBand(destination);
    this.#staging?.destroy();
    this.#staging = undefined;
  }

  async #writeSlice(destination: Destination, slice: Slice): Promise<void> {
    const { stored, part } = destination;
    const { weight, rowsPerBand, isOneBand } = stored;
    const { columns } = numbersOf(weight, part);
    const index = isOneBand ? 0 : Math.floor(slice.begin / (rowsPerBand * columns));
    const band = bandOf(weight, part, rowsPerBand, index);
    stored.missing -= slice.end - slice.begin;
    // Packed rows are inspected and packed band by band; plain rows are inspected when all of the weight is there.
    const isComplete = isOneBand ? stored.missing === 0 : slice.end === (band.first + band.count) * columns;
    const isAsStored = slice.stored === 'F32' && isVerbatim(weight);
    const kernels: SliceKernels = {
      placing: isAsStored ? undefined : await this.#compiled(place(slice.stored, placingOf(part))),
      inspecting: isComplete ? await this.#compiled(this.#inspectKernel) : undefined,
      packing: isComplete && stored.packingKernel ? await this.#compiled(stored.packingKernel) : undefined,
    };
    this.#options.signal.throwIfAborted();
    this.#options.guard(() => this.#submitSlice(destination, slice, band, kernels));
    this.#unconfirmed += slice.bytes.length;
  }

  /** Places a slice; where it completes a band, or a weight of plain rows, inspects it, packs it and copies it to where it is stored. */
  #submitSlice(
    destination: Destination,
    slice: Slice,
    band: Band,
    { placing, inspecting, packing }: SliceKernels,
  ): void {
    const { stored, part } = destination;
    const { weight, plainRows } = stored;
    const { stride, storage } = weight;
    const { columns, count } = numbersOf(weight, part);
    if (!plainRows) {
      destination.band.buffer ??= createBuffer(this.#options.device, `rows.${weight.name}`, band.height * stride * 4);
    }
    const rows = plainRows ?? destination.band.buffer!;
    const firstRow = plainRows ? part.rowOffset : 0;
    const firstNumber = slice.begin - band.first * columns;
    const dispatches: LoadDispatch[] = [];
    if (placing) {
      const place = { count: slice.end - slice.begin, firstNumber, firstRow, tensorRow: weight.first + band.first };
      const params = placingParams(weight, part, place);
      dispatches.push({
        ...placing,
        params,
        resources: { piece: this.#stage().write(slice.bytes), destination: rows },
      });
    } else {
      this.#options.device.queue.writeBuffer(rows, (firstRow * stride + firstNumber) * 4, slice.bytes);
    }
    if (inspecting) {
      const numbers = plainRows ? plainRows.size / 4 : band.height * stride;
      const params = {
        count: numbers / 4,
        base: plainRows ? 0 : band.to * stride,
        slot: stored.index,
        limit: storage.format === 'f16' ? NO_HALF : NOT_FINITE,
      };
      dispatches.push({ ...inspecting, params, resources: { x: rows, found: this.#stage().flaws } });
    }
    let complete = rows;
    if (packing) {
      complete = this.#stage().packed(stored.storedBytes(band.height));
      dispatches.push({ ...packing, params: stored.packingParams(band.height), resources: { x: rows, y: complete } });
    }
    if (dispatches.length) {
      const isCopied = inspecting && !plainRows;
      this.#stage().submit(dispatches, isCopied ? encoder => stored.copyBand(encoder, complete, band) : undefined);
    }
    // The next band begins with zeros where a group writes none of its own: in a buffer of its own.
    const isLast = isJoined(weight) ? stored.missing === 0 : slice.end === count;
    if (isLast || (inspecting && part.layout)) releaseBand(destination);
  }

  async #compiled(kernel: Kernel): Promise<LoadKernel> {
    return { kernel, compiled: await this.#options.pipelines.get(kernel) };
  }

  #stage(): Staging {
    const { device, weightCount } = this.#options;
    this.#staging ??= new Staging(device, WORDS_OF_FLAWS * weightCount());
    return this.#staging;
  }

  async #limitUnconfirmed(): Promise<void> {
    if (this.#unconfirmed < UNCONFIRMED_BYTES) return;
    this.#unconfirmed = 0;
    await this.#confirmed;
    const { device, signal } = this.#options;
    const { queue } = device;
    // It rejects only when the device is lost, and that is reported to the load in another way: see onLoss.
    this.#confirmed = withPolling(queue, queue.onSubmittedWorkDone(), signal).catch(() => undefined);
  }
}

function releaseBand({ band }: Destination): void {
  band.buffer?.destroy();
  band.buffer = undefined;
}

/** How the kernel `place` puts the rows of a part. */
function placingOf({ layout }: WeightPart): Placing {
  if (!layout) return 'rows';
  if (layout.kind === 'matrices') return 'matrices';
  return layout.kind === 'columns' && layout.transposed ? 'transposed' : 'blocks';
}

interface Place {
  readonly count: number;
  /** The first number, counted from that of the band. */
  readonly firstNumber: number;
  /** The row of the buffer where the rows of the band begin, and the row of the tensor that is the first of them. */
  readonly firstRow: number;
  readonly tensorRow: number;
}

/** The params of the kernel `place`. */
function placingParams(weight: Weight, part: WeightPart, { count, firstNumber, firstRow, tensorRow }: Place) {
  const { stride, rowGroup, columnGroup } = weight;
  return {
    count,
    first: firstNumber,
    columns: numbersOf(weight, part).columns,
    row_offset: firstRow,
    row_size: rowGroup.size,
    row_padded: rowGroup.padded,
    column_size: columnGroup.size,
    column_padded: columnGroup.padded,
    stride,
    ...layoutParams(weight, part, tensorRow),
  };
}

/** The params of `place` that one way of placing has. */
function layoutParams({ columns }: Weight, { layout, shape, count }: WeightPart, tensorRow: number): ParamValues {
  switch (layout?.kind) {
    case undefined:
      return {};
    case 'blocks': {
      const { blocks } = layout;
      return { first_row: tensorRow, block_rows: shape[0]! / blocks, block_columns: columns / blocks, shift: 0 };
    }
    case 'matrices':
      return { first_row: tensorRow, rows: count, block_columns: shape[1]! };
    case 'columns': {
      const { first: shift, transposed } = layout;
      // All rows are one block.
      const block = { block_rows: shape[0]!, block_columns: 0 };
      return { first_row: tensorRow, shift, ...(transposed ? { rows: count } : block) };
    }
    default:
      return layout satisfies never;
  }
}
