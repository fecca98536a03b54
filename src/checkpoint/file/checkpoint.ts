import { CheckpointError, SourceError } from '../../errors.ts';
import { joined, type ModelSource } from '../source/index.ts';
import { ByteReader } from './byte-reader.ts';
import { damaged, headerLength, parseHeader, wrongLength } from './safetensors.ts';
import { checkShards, parseShardIndex, SHARDS, type ShardIndex } from './shard-index.ts';
import type { Checkpoint, TensorChunk, TensorInfo } from './types.ts';

const SINGLE = 'model.safetensors';
const INDEX = 'model.safetensors.index.json';

/** 4 MiB: large enough that the cost of a GPU write vanishes, small against every model. */
const MAX_CHUNK_BYTES = 4 << 20;
/** No element of the format is larger, so a chunk that begins and ends at multiples of it splits none. */
const ALIGNMENT = 8;
/** Browsers open at most 6 connections to a server (HTTP/1.1); the tokenizer and the config need some at the same time. */
const HELD_STREAMS = 4;

export interface CheckpointOptions {
  /** Aborts the reading: whatever is pending rejects with the signal's reason. */
  signal?: AbortSignal;
  /** The safetensors files to read, in this order, instead of model.safetensors or the shards of its index. */
  files?: readonly string[];
}

interface Shard {
  file: string;
  /** It stands behind the header. */
  reader: ByteReader;
  /** With the 8 bytes of its length. */
  header: Uint8Array;
  /** In file order. */
  tensors: TensorInfo[];
  metadata: Readonly<Record<string, string>> | undefined;
  /** Of the whole file. */
  byteLength: number;
}

/**
 * Reads and validates the headers of a checkpoint's files and leaves their data unread.
 * @throws CheckpointError where a header or the index is malformed, SourceError where a file cannot be had
 */
export async function openCheckpoint(
  source: ModelSource,
  { signal, files }: CheckpointOptions = {},
): Promise<Checkpoint> {
  const shards: Shard[] = [];
  const readers: ByteReader[] = [];
  let cancelled = false;
  let started = false;

  async function cancel(): Promise<void> {
    cancelled = true;
    signal?.removeEventListener('abort', cancel);
    await Promise.all(readers.map(reader => reader.cancel(signal?.reason)));
  }
  function check(): void {
    signal?.throwIfAborted();
    if (cancelled) throw again('was cancelled');
  }
  const again = (how: string) =>
    new CheckpointError({ what: `the reading of ${source.name} ${how}`, next: 'Open it again.' });
  signal?.throwIfAborted();
  signal?.addEventListener('abort', cancel);

  async function openShard(file: string, optional = false): Promise<Shard | undefined> {
    const opened = await source.open(file, { optional });
    if (opened === undefined) return undefined;
    const reader = new ByteReader(opened.stream);
    readers.push(reader);
    check();
    const prefix = await reader.exactly(8);
    check();
    const length = headerLength(prefix, file, opened.size);
    const json = await reader.exactly(length);
    check();
    if (json.length < length) throw wrongLength(file, reader.received, 8 + length);
    const { tensors, metadata, dataLength } = parseHeader(json, file, opened.size);
    return { file, reader, header: joined([prefix, json]), tensors, metadata, byteLength: 8 + length + dataLength };
  }

  async function* chunks(): AsyncGenerator<TensorChunk> {
    if (started) throw again('has begun before');
    started = true;
    try {
      for (const [i, shard] of shards.entries()) {
        check();
        let { reader } = shard;
        if (i >= HELD_STREAMS) {
          const { header, ...now } = (await openShard(shard.file))!;
          if (header.length !== shard.header.length || header.some((byte, at) => byte !== shard.header[at])) {
            const what = `${shard.file} changed while the model was being loaded`;
            throw damaged(shard.file, what, { next: 'Load the model again.' });
          }
          reader = now.reader;
        }
        yield* readTensors({ ...shard, reader }, check);
      }
    } finally {
      await cancel();
    }
  }

  try {
    let index: ShardIndex | undefined;
    let names = files;
    if (names === undefined) {
      const single = await openShard(SINGLE, true);
      if (single) shards.push(single);
      else {
        index = parseShardIndex(await requireIndex(source), INDEX);
        names = index.files;
      }
    }
    for (const file of names ?? []) {
      check();
      const shard = (await openShard(file))!;
      // Opened again when its turn comes.
      if (shards.push(shard) > HELD_STREAMS) await shard.reader.cancel();
    }
    const tensors = new Map<string, TensorInfo>();
    for (const tensor of shards.flatMap(shard => shard.tensors)) {
      const other = tensors.get(tensor.name);
      if (other !== undefined) {
        const what = `tensor "${tensor.name}" stands in both ${other.file} and ${tensor.file}`;
        throw damaged(tensor.file, what, { next: SHARDS, tensor: tensor.name });
      }
      tensors.set(tensor.name, tensor);
    }
    if (index !== undefined) checkShards(index, tensors, INDEX);
    signal?.throwIfAborted();
    const leftOut = new Map(
      shards
        .flatMap(({ metadata }) => Object.entries(metadata ?? {}))
        .filter(([name, kept]) => !tensors.has(name) && tensors.has(kept)),
    );
    const byteLength = shards.reduce((sum, shard) => sum + shard.byteLength, 0);
    return { tensors, leftOut, byteLength, chunks, cancel };
  } catch (error) {
    await cancel();
    signal?.throwIfAborted();
    throw error;
  }
}

async function requireIndex(source: ModelSource): Promise<unknown> {
  const index = await source.json(INDEX, { optional: true });
  if (index !== undefined) return index;
  // What stands in the place of the weights, if anything: a web page or a Git LFS pointer is worth naming.
  const opened = await source.open(SINGLE).catch(error => {
    if (error instanceof SourceError && error.status !== 404) throw error;
  });
  // It came in the meantime: nobody reads it.
  await opened?.stream.cancel();
  throw new SourceError({
    file: SINGLE,
    what: `${source.name} has no weights that can be read`,
    actual: `neither ${SINGLE} nor ${INDEX}`,
    next: 'Other kinds of files are not read; save the model with save_pretrained(safe_serialization=True).',
  });
}

async function* readTensors(
  { file, tensors, byteLength, reader }: Shard,
  check: () => void,
): AsyncGenerator<TensorChunk> {
  for (const tensor of tensors) {
    for (let begin = 0; begin < tensor.byteLength; ) {
      const left = tensor.byteLength - begin;
      const bytes = await reader.take(Math.min(left, MAX_CHUNK_BYTES), ALIGNMENT);
      check();
      if (bytes.length === 0 || (bytes.length < left && bytes.length % ALIGNMENT !== 0)) {
        throw wrongLength(file, reader.received, byteLength);
      }
      yield { tensor, begin, bytes };
      begin += bytes.length;
    }
  }
  // Reading to the end also lets the source compare its checksum and keep the file.
  const more = await reader.take(1);
  check();
  if (more.length > 0) throw wrongLength(file, `more than ${byteLength}`, byteLength);
}
