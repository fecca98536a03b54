import { UnsupportedError, WebGPUBertError } from '../errors.ts';
import { halvesToFloats } from '../halves.ts';
import { bandOf, bandRows, isRowByRow, numbersOf, takeOut, type WeightPart } from '../plan/index.ts';
import { until } from '../runtime/index.ts';
import { createBuffer } from './buffers.ts';
import { ALL_FILTERS, inErrorScopes, unexpectedError } from './errors.ts';
import { MapMode } from './flags.ts';
import { explainError } from './loss.ts';
import { withPolling } from './poll.ts';
import type { StoredWeight } from './stored-weight.ts';
import type { WeightStore } from './weights.ts';

/** Bytes of float32 rows that are read at once; one row of heads at least. */
const PIECE_BYTES = 4 << 20;

export interface WeightReaderOptions {
  readonly device: GPUDevice;
  readonly weights: Pick<WeightStore, 'stored'>;
  /** Aborts when the weights are given back: then reading rejects with its reason. */
  readonly life: AbortSignal;
  /** The caller's: reading rejects at once with its reason. */
  readonly signal?: AbortSignal | undefined;
  /** Bytes of float32 rows that are read at once. Default: 4 MiB. */
  readonly pieceBytes?: number;
}

/** A part of a weight that has some rows of a tensor, or all. */
interface Holder {
  readonly stored: StoredWeight;
  readonly part: WeightPart;
}

/**
 * Reads tensors back from the GPU: the numbers that the file had, or what has become of them since, as float32, in the order of the file
 * and without padding. At most one piece of a few MiB is on its way at a time.
 */
export class WeightReader {
  readonly #options: WeightReaderOptions;

  constructor(options: WeightReaderOptions) {
    this.#options = options;
  }

  /** Whether a weight is made of the tensor. */
  has(tensor: string): boolean {
    return this.#holdersOf(tensor).length > 0;
  }

  /**
   * The numbers of a tensor, in consecutive pieces. Throws UnsupportedError where they are kept as q8, DeviceError, or the signal's reason.
   * @param tensor its canonical name
   */
  async *read(tensor: string): AsyncGenerator<Float32Array<ArrayBuffer>> {
    const holders = this.#holdersOf(tensor);
    if (holders.length === 0) throw new Error(`no weight is made of "${tensor}"`);
    if (holders.some(({ stored }) => stored.weight.storage.format === 'i8')) throw roundedError(tensor);
    // Rows of one may be columns of the other: then there is no order of pieces.
    const whole = holders.every(({ part }) => isRowByRow(part))
      ? undefined
      : new Float32Array(holders[0]!.part.shape.reduce((a, b) => a * b, 1));
    for (const holder of holders) yield* this.#readPart(holder, whole);
    if (whole) yield whole;
  }

  /** The parts that have the tensor's rows, each row once, in order. */
  #holdersOf(tensor: string): Holder[] {
    const all = this.#options.weights
      .stored()
      .flatMap(stored => stored.weight.parts.filter(part => part.tensor === tensor).map(part => ({ stored, part })));
    const firstOf = ({ stored }: Holder) => stored.weight.first;
    const most = ({ part }: Holder) => part.count + (isRowByRow(part) ? 0.5 : 0);
    const holders: Holder[] = [];
    let next = 0;
    // A tensor may be in several weights: whole, and in slices.
    for (const holder of all.sort((a, b) => firstOf(a) - firstOf(b) || most(b) - most(a))) {
      if (firstOf(holder) !== next) continue;
      holders.push(holder);
      next += holder.part.count;
    }
    return holders;
  }

  async *#readPart(
    { stored, part }: Holder,
    whole: Float32Array<ArrayBuffer> | undefined,
  ): AsyncGenerator<Float32Array<ArrayBuffer>> {
    const { device, pieceBytes = PIECE_BYTES } = this.#options;
    const { weight } = stored;
    const { columns } = numbersOf(weight, part);
    const rowsAtOnce = Math.min(part.count, bandRows(weight, pieceBytes));
    const largest = bandOf(weight, part, rowsAtOnce, 0);
    const readback = this.#guarded(() =>
      createBuffer(device, 'weights.readback', stored.rowBytes * largest.height, 'MAP_READ'),
    );
    try {
      for (let index = 0; index * rowsAtOnce < part.count; index++) {
        const band = bandOf(weight, part, rowsAtOnce, index);
        const bytes = await this.#mapped(readback.result, stored, band);
        await this.#check(readback.refused);
        const rows = weight.storage.format === 'f16' ? halvesToFloats(new Uint16Array(bytes)) : new Float32Array(bytes);
        if (whole) takeOut(weight, part, { band, rows }, { tensor: whole, first: 0 });
        else {
          const piece = new Float32Array(band.count * columns);
          takeOut(weight, part, { band, rows }, { tensor: piece, first: (weight.first + band.first) * columns });
          yield piece;
        }
        readback.result.unmap();
      }
    } finally {
      this.#guarded(() => readback.result.destroy());
    }
  }

  /** The stored bytes of a band, valid until the buffer is unmapped. */
  async #mapped(readback: GPUBuffer, stored: StoredWeight, band: { to: number; height: number }): Promise<ArrayBuffer> {
    const { device, life, signal } = this.#options;
    life.throwIfAborted();
    signal?.throwIfAborted();
    const { result, refused } = this.#guarded(() => {
      const encoder = device.createCommandEncoder({ label: 'weights.read' });
      const bytes = stored.readBand(encoder, readback, band);
      device.queue.submit([encoder.finish()]);
      return { bytes, mapped: readback.mapAsync(MapMode.READ, 0, bytes) };
    });
    try {
      await until(signal, until(life, withPolling(device.queue, result.mapped, life)));
    } catch (error) {
      signal?.throwIfAborted();
      await this.#check(refused);
      const reason = await explainError(device, error, life);
      if (reason instanceof WebGPUBertError) throw reason;
      throw unexpectedError('the GPU did not give the weights back', String(reason), reason);
    }
    await this.#check(refused);
    return readback.getMappedRange(0, result.bytes);
  }

  #guarded<T>(work: () => T): { result: T; refused: Promise<GPUError | undefined> } {
    return inErrorScopes(this.#options.device, ALL_FILTERS, work);
  }

  /** Throws the error of what the device has refused. Where the device is lost, the read itself says so. */
  async #check(refused: Promise<GPUError | undefined>): Promise<void> {
    const error = await refused.catch(() => undefined);
    if (error) throw unexpectedError('the GPU refused to give the weights back', error.message);
  }
}

const roundedError = (tensor: string): UnsupportedError =>
  new UnsupportedError({
    what: `the tensor "${tensor}" cannot be read back`,
    actual: 'it is kept as q8, bytes that stand for rounded numbers',
    supported: ['fp32', 'fp16'],
    next: "Load the model with { dtype: 'fp32' }.",
  });
