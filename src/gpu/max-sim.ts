import { padded } from '../../shaders/kernel.ts';
import { CHUNK, maxSim } from '../../shaders/max-sim.ts';
import { DeviceError } from '../errors.ts';
import { createBuffer } from './buffers.ts';
import { type BoundKernel, bindKernel, encodeDispatch, UniformBlocks } from './dispatch.ts';
import { ALL_FILTERS, inErrorScopes, unexpectedError } from './errors.ts';
import { MapMode } from './flags.ts';
import type { Pacer } from './measured-pace.ts';
import type { PipelineCache } from './pipelines.ts';
import { withPolling } from './poll.ts';

/** Rows of vectors [tokens, columns], one list for each text; every text has one row at least. */
export interface MaxSimInput {
  readonly queries: readonly Float32Array[];
  readonly documents: readonly Float32Array[];
  readonly columns: number;
}

/** Vectors of one side of a submit take at most so many bytes: then a list of any length needs the same memory. */
const BLOCK_BYTES = 16 << 20;
/** Texts of one side of a submit: no grid has more workgroups in a direction. */
const BLOCK_TEXTS = 4096;
/** Rows of queries of a submit. */
const MOST_ROWS = 1024;
/** Rooms are made for so many rows, texts and scores at least, and then double. */
const SMALLEST = 256;

/** Some texts of one side: neighbours, packed. */
interface Block {
  readonly first: number;
  readonly texts: readonly Float32Array[];
  readonly rows: number;
}

const ROOMS = ['queries', 'documents', 'query_ranges', 'document_ranges', 'scores'] as const;
type Room = (typeof ROOMS)[number];

/** The buffers of submits of one width of vectors. A warm call writes them and creates nothing. */
interface Resources {
  readonly columns: number;
  readonly bytes: Readonly<Record<Room, number>>;
  readonly buffers: Readonly<Record<Room, GPUBuffer>>;
  readonly readback: GPUBuffer;
  readonly uniforms: UniformBlocks;
  readonly bound: BoundKernel;
}

export interface MaxSimOptions {
  readonly device: GPUDevice;
  readonly pipelines: Pick<PipelineCache, 'get'>;
  readonly pacer: Pacer;
  /** When it aborts, what waits rejects and nothing is created any more. `destroy` is still needed. */
  readonly signal: AbortSignal;
}

/**
 * Scores queries and documents of several vectors each: shaders/max-sim.ts. A call is one submit, or several one after the other where
 * it is more work than one should have; so is one pair of long texts. A score does not depend on how the call is divided.
 */
export class MaxSim {
  readonly #options: MaxSimOptions;
  #resources: Resources | undefined;
  #lastTurn: Promise<unknown> = Promise.resolve();

  constructor(options: MaxSimOptions) {
    this.#options = options;
  }

  /** Scores [queries, documents]. Throws DeviceError, or the reason of the signal. */
  score(input: MaxSimInput): Promise<Float32Array> {
    // One call after the other: they share the buffers.
    const scores = this.#lastTurn.then(async () => {
      try {
        this.#options.signal.throwIfAborted();
        return await this.#score(input);
      } catch (error) {
        // Buffers that were refused, or that wait to be mapped, are of no use to the next call.
        this.destroy();
        throw error;
      }
    });
    this.#lastTurn = scores.catch(() => undefined);
    return scores;
  }

  destroy(): void {
    const { device } = this.#options;
    inErrorScopes(device, ALL_FILTERS, () => this.#release());
  }

  async #score({ queries, documents, columns }: MaxSimInput): Promise<Float32Array> {
    const { device, pacer } = this.#options;
    const stride = padded(columns);
    const limit = Math.min(BLOCK_BYTES, device.limits.maxStorageBufferBindingSize);
    const maxRows = Math.floor(limit / (4 * stride));
    const scores = new Float32Array(queries.length * documents.length);
    for (const block of blocksOf(queries, columns, () => ({ maxRows: Math.min(maxRows, MOST_ROWS) }))) {
      const others = blocksOf(documents, columns, () => ({
        maxRows: Math.min(maxRows, Math.floor(pacer.budget() / (block.rows * stride))),
        maxTexts: Math.floor(limit / (4 * block.texts.length)),
      }));
      for (const other of others) {
        const fits = Math.max(block.rows, other.rows) <= maxRows && block.rows * other.rows * stride <= pacer.budget();
        const part = fits
          ? await this.#submit(block, other, columns)
          : await this.#inParts(block, other, { columns, maxRows });
        for (let q = 0; q < block.texts.length; q++) {
          const row = part.subarray(q * other.texts.length, (q + 1) * other.texts.length);
          scores.set(row, (block.first + q) * documents.length + other.first);
        }
      }
    }
    return scores;
  }

  /**
   * The scores of pairs of which one alone is more than a submit should have: each in parts of both texts. A maximum is the same in any
   * order, and the sum is that of the kernel: float32, in the order of the query's tokens.
   */
  async #inParts(
    queries: Block,
    documents: Block,
    { columns, maxRows }: { columns: number; maxRows: number },
  ): Promise<Float32Array> {
    const scores: number[] = [];
    for (const query of queries.texts) {
      for (const document of documents.texts) {
        let sum = 0;
        for (const part of this.#partsOf(query, CHUNK, { columns, maxRows: Math.min(maxRows, MOST_ROWS) })) {
          const maxima = new Float32Array(part.rows).fill(Number.NEGATIVE_INFINITY);
          for (const other of this.#partsOf(document, part.rows, { columns, maxRows })) {
            const found = await this.#submit(part, other, columns, true);
            for (const [i, value] of found.entries()) maxima[i] = Math.max(maxima[i]!, value);
          }
          for (const value of maxima) sum = Math.fround(sum + value);
        }
        scores.push(sum);
      }
    }
    return Float32Array.from(scores);
  }

  /** A text in parts, as many rows each as a submit may have beside so many of the other side, but no less than a workgroup takes. */
  *#partsOf(
    text: Float32Array,
    others: number,
    { columns, maxRows }: { columns: number; maxRows: number },
  ): Generator<Block> {
    const work = others * padded(columns);
    for (let first = 0; first < text.length; ) {
      const rows = Math.min(maxRows, Math.max(CHUNK, Math.floor(this.#options.pacer.budget() / work)));
      const part = text.subarray(first, first + rows * columns);
      yield { first: 0, texts: [part], rows: part.length / columns };
      first += part.length;
    }
  }

  /** @param each whether the result is the maximum of every token of the queries instead of scores: [rows, documents] */
  async #submit(queries: Block, documents: Block, columns: number, each = false): Promise<Float32Array> {
    const { device, pipelines, pacer, signal } = this.#options;
    const stride = padded(columns);
    const kernel = maxSim({ columns });
    const compiled = await pipelines.get(kernel);
    signal.throwIfAborted();
    const bytes: Record<Room, number> = {
      queries: 4 * stride * queries.rows,
      documents: 4 * stride * documents.rows,
      query_ranges: 8 * queries.texts.length,
      document_ranges: 8 * documents.texts.length,
      scores: 4 * (each ? queries.rows : queries.texts.length) * documents.texts.length,
    };
    const { result, refused } = inErrorScopes(device, ALL_FILTERS, () => {
      const resources = this.#resourcesFor(columns, bytes, (buffers, params) =>
        bindKernel(device, { kernel, compiled, params, resources: buffers }),
      );
      const { buffers, readback, uniforms, bound } = resources;
      const params = { queries: queries.texts.length, documents: documents.texts.length, each: Number(each) };
      const { queue } = device;
      queue.writeBuffer(buffers.queries, 0, packed(queries, columns));
      queue.writeBuffer(buffers.documents, 0, packed(documents, columns));
      queue.writeBuffer(buffers.query_ranges, 0, rangesOf(queries, columns));
      queue.writeBuffer(buffers.document_ranges, 0, rangesOf(documents, columns));
      uniforms.pack(0, kernel, params);
      uniforms.write();
      const encoder = device.createCommandEncoder({ label: 'max-sim' });
      const pass = encoder.beginComputePass({ label: 'max-sim' });
      encodeDispatch(pass, bound, kernel.workgroups(params));
      pass.end();
      encoder.copyBufferToBuffer(buffers.scores, 0, readback, 0, bytes.scores);
      const ended = pacer.begin(queries.rows * documents.rows * stride);
      queue.submit([encoder.finish()]);
      return { readback, mapped: readback.mapAsync(MapMode.READ, 0, bytes.scores).then(() => ended()) };
    });
    result.mapped.catch(() => undefined);
    const error = await refused;
    if (error) throw refusedError(error);
    await withPolling(device.queue, result.mapped, signal);
    signal.throwIfAborted();
    const scores = new Float32Array(result.readback.getMappedRange(0, bytes.scores).slice(0));
    result.readback.unmap();
    return scores;
  }

  /** Those there are, where they are large enough and of this width; else others in their place. */
  #resourcesFor(
    columns: number,
    bytes: Readonly<Record<Room, number>>,
    bind: (buffers: Resources['buffers'], params: GPUBufferBinding) => BoundKernel,
  ): Resources {
    const present = this.#resources;
    if (present?.columns === columns && ROOMS.every(room => bytes[room] <= present.bytes[room])) return present;
    this.#release();
    const { device } = this.#options;
    const limit = device.limits.maxStorageBufferBindingSize;
    const room = (name: Room) => {
      const doubled = 2 ** Math.ceil(Math.log2(Math.max(bytes[name], present?.bytes[name] ?? 0, SMALLEST)));
      return Math.max(bytes[name], Math.min(doubled, limit));
    };
    const sizes = Object.fromEntries(ROOMS.map(name => [name, room(name)])) as Record<Room, number>;
    const buffers = Object.fromEntries(
      ROOMS.map(name => [name, createBuffer(device, `max-sim.${name}`, sizes[name])]),
    ) as Record<Room, GPUBuffer>;
    const readback = createBuffer(device, 'max-sim.readback', sizes.scores, 'MAP_READ');
    const uniforms = new UniformBlocks(device, 'max-sim.params', 1);
    const bound = bind(buffers, uniforms.binding(0));
    this.#resources = { columns, bytes: sizes, buffers, readback, uniforms, bound };
    return this.#resources;
  }

  #release(): void {
    const { buffers, readback, uniforms } = this.#resources ?? {};
    for (const resource of [...Object.values(buffers ?? {}), readback, uniforms]) resource?.destroy();
    this.#resources = undefined;
  }
}

const refusedError = (error: GPUError): DeviceError =>
  'GPUOutOfMemoryError' in globalThis && error instanceof GPUOutOfMemoryError
    ? new DeviceError({
        what: 'the GPU has no room for vectors to compare',
        actual: error.message,
        next: 'Compare fewer at a time, or dispose other models.',
      })
    : unexpectedError('the GPU did not compare vectors', error.message);

/** Texts in blocks of so many rows and texts; one text always fits. The limits are asked for before each block. */
function* blocksOf(
  texts: readonly Float32Array[],
  columns: number,
  limits: () => { maxRows: number; maxTexts?: number },
): Generator<Block> {
  for (let first = 0; first < texts.length; ) {
    const { maxRows, maxTexts = BLOCK_TEXTS } = limits();
    const most = Math.max(1, Math.min(maxTexts, BLOCK_TEXTS));
    let rows = texts[first]!.length / columns;
    let end = first + 1;
    while (end < texts.length && end - first < most && rows + texts[end]!.length / columns <= maxRows) {
      rows += texts[end++]!.length / columns;
    }
    yield { first, texts: texts.slice(first, end), rows };
    first = end;
  }
}

/** The rows of a block one behind the other, each padded with zeros to a multiple of four numbers. */
function packed({ texts, rows }: Block, columns: number): Float32Array<ArrayBuffer> {
  const stride = padded(columns);
  const data = new Float32Array(rows * stride);
  let row = 0;
  for (const text of texts) {
    if (stride === columns) data.set(text, row * stride);
    else {
      for (let i = 0; i < text.length; i += columns) {
        data.set(text.subarray(i, i + columns), (row + i / columns) * stride);
      }
    }
    row += text.length / columns;
  }
  return data;
}

/** (first row, end) of every text. */
function rangesOf({ texts }: Block, columns: number): Uint32Array<ArrayBuffer> {
  let row = 0;
  return Uint32Array.from(
    texts.flatMap(({ length }) => {
      const first = row;
      row += length / columns;
      return [first, row];
    }),
  );
}
