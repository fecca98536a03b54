import { CheckpointError } from '../../errors.ts';
import { joined, type ModelSource } from '../source/index.ts';
import { ByteReader } from './byte-reader.ts';
import { damaged, headerLength, parseHeader, wrongLength } from './safetensors.ts';
import type { TensorChunk, TensorInfo } from './types.ts';

/** 4 MiB: large enough that the cost of a GPU write vanishes, small against every model. */
const MAX_CHUNK_BYTES = 4 << 20;
/** No element of the format is larger, so a chunk that begins and ends at multiples of it splits none. */
const ALIGNMENT = 8;

/** A safetensors file whose header has been read. */
export interface Shard {
  readonly file: string;
  /** Stands behind the header. */
  readonly reader: ByteReader;
  /** The bytes of the header, with the 8 bytes of its length. */
  readonly header: Uint8Array;
  /** In file order. */
  readonly tensors: readonly TensorInfo[];
  readonly metadata: Readonly<Record<string, string>> | undefined;
  /** Of the whole file. */
  readonly byteLength: number;
}

/** Opens and reads the safetensors files of one checkpoint; an abort, or `cancel`, ends all of them. */
export class ShardFiles {
  readonly #source: ModelSource;
  readonly #signal: AbortSignal | undefined;
  readonly #readers: ByteReader[] = [];
  #isCancelled = false;

  constructor(source: ModelSource, signal: AbortSignal | undefined) {
    this.#source = source;
    this.#signal = signal;
    signal?.addEventListener('abort', this.cancel);
  }

  /** Closes all files. Idempotent. */
  readonly cancel = async (): Promise<void> => {
    this.#isCancelled = true;
    this.#signal?.removeEventListener('abort', this.cancel);
    await Promise.all(this.#readers.map(reader => reader.cancel(this.#signal?.reason)));
  };

  /** Throws the signal's reason after an abort, CheckpointError after `cancel`. Called behind every wait. */
  check(): void {
    this.#signal?.throwIfAborted();
    if (this.#isCancelled) throw this.over('was cancelled');
  }

  /** The error for a second reading of the checkpoint. */
  over(how: string): CheckpointError {
    return new CheckpointError({ what: `the reading of ${this.#source.name} ${how}`, next: 'Open it again.' });
  }

  /** Opens a file and reads its header. Undefined where the file is optional and does not exist. */
  async open(file: string, { optional = false } = {}): Promise<Shard | undefined> {
    const opened = await this.#source.open(file, { optional });
    if (opened === undefined) return undefined;
    const reader = new ByteReader(opened);
    this.#readers.push(reader);
    // After a cancel nobody would close this file.
    if (this.#isCancelled) await reader.cancel(this.#signal?.reason);
    this.check();
    const prefix = await reader.exactly(8);
    this.check();
    const length = headerLength(prefix, file, opened.size);
    const json = await reader.exactly(length);
    this.check();
    if (json.length < length) throw wrongLength(file, reader.received, 8 + length);
    const { tensors, metadata, dataLength } = parseHeader(json, file, opened.size);
    return { file, reader, header: joined([prefix, json]), tensors, metadata, byteLength: 8 + length + dataLength };
  }

  /** Opens a file that was closed behind its header. Throws CheckpointError where its header is another one now. */
  async reopen({ file, header: before }: Shard): Promise<Shard> {
    const shard = (await this.open(file))!;
    const { header: now } = shard;
    if (now.length !== before.length || now.some((byte, at) => byte !== before[at])) {
      const what = `${file} changed while the model was being loaded`;
      throw damaged(file, what, { next: 'Load the model again.' });
    }
    return shard;
  }

  /** The data of a file, in file order. Reads to the end, so that the source compares the digest and completes the cached copy. */
  async *chunks({ file, tensors, byteLength, reader }: Shard): AsyncGenerator<TensorChunk> {
    for (const tensor of tensors) {
      for (let begin = 0; begin < tensor.byteLength; ) {
        const missing = tensor.byteLength - begin;
        const bytes = await reader.take(Math.min(missing, MAX_CHUNK_BYTES), ALIGNMENT);
        this.check();
        if (bytes.length === 0 || (bytes.length < missing && bytes.length % ALIGNMENT !== 0)) {
          throw wrongLength(file, reader.received, byteLength);
        }
        yield { tensor, begin, bytes };
        begin += bytes.length;
      }
    }
    const surplus = await reader.take(1);
    this.check();
    if (surplus.length > 0) throw wrongLength(file, `more than ${byteLength}`, byteLength);
  }
}
