import { CheckpointError, SourceError } from '../errors.ts';
import { ByteReader } from './byte-reader.ts';
import { damaged, headerLength, parseHeader, wrongLength } from './safetensors.ts';
import { checkShards, parseShardIndex, type ShardIndex } from './shard-index.ts';
import type { Checkpoint, ModelFile, ModelSource, TensorChunk, TensorInfo } from './types.ts';

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
  /** Undefined where the stream was closed after the header and is opened again when its turn comes. */
  reader: ByteReader | undefined;
  header: Uint8Array;
  /** In file order. */
  tensors: TensorInfo[];
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
  let cancelled = false;
  let started = false;

  async function cancel(): Promise<void> {
    cancelled = true;
    signal?.removeEventListener('abort', onAbort);
    await Promise.all(shards.map(shard => shard.reader?.cancel(signal?.reason)));
  }
  const onAbort = () => void cancel();
  function check(): void {
    signal?.throwIfAborted();
    if (cancelled) throw again('was cancelled');
  }
  const again = (how: string) =>
    new CheckpointError({ what: `the reading of ${source.name} ${how}`, next: 'Open it again.' });
  signal?.throwIfAborted();
  signal?.addEventListener('abort', onAbort);

  async function readShard(file: string, opened: ModelFile): Promise<void> {
    const shard: Shard = {
      file,
      reader: new ByteReader(opened.stream),
      header: new Uint8Array(),
      tensors: [],
      byteLength: 0,
    };
    shards.push(shard);
    const { header, json } = await readHeader(shard.reader!, file, opened.size, signal);
    const { tensors, dataLength } = parseHeader(json, file, opened.size);
    Object.assign(shard, { header, tensors, byteLength: header.length + dataLength });
    if (shards.length > HELD_STREAMS) {
      await shard.reader!.cancel();
      shard.reader = undefined;
    }
  }

  async function* chunks(): AsyncGenerator<TensorChunk> {
    if (started) throw again('has begun before');
    started = true;
    try {
      for (const shard of shards) {
        if (shard.reader === undefined) await reopen(source, shard, signal);
        yield* readTensors(shard, check);
        shard.reader = undefined;
      }
    } finally {
      await cancel();
    }
  }

  try {
    let index: ShardIndex | undefined;
    let names = files;
    if (names === undefined) {
      const single = await source.open(SINGLE, { optional: true });
      if (single !== undefined) await readShard(SINGLE, single);
      else {
        index = parseShardIndex(await requireIndex(source), INDEX);
        names = index.files;
      }
    }
    for (const file of names ?? []) {
      signal?.throwIfAborted();
      await readShard(file, (await source.open(file))!);
    }
    const tensors = new Map<string, TensorInfo>();
    for (const tensor of shards.flatMap(shard => shard.tensors)) {
      const other = tensors.get(tensor.name);
      if (other !== undefined) {
        const what = `tensor "${tensor.name}" stands in both ${other.file} and ${tensor.file}`;
        throw damaged(tensor.file, what, undefined, undefined, tensor.name);
      }
      tensors.set(tensor.name, tensor);
    }
    if (index !== undefined) checkShards(index, tensors, INDEX);
    signal?.throwIfAborted();
    return { tensors, byteLength: shards.reduce((sum, shard) => sum + shard.byteLength, 0), chunks, cancel };
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
  await source.open(SINGLE).then(
    file => file?.stream.cancel(),
    error => {
      if (error instanceof SourceError && error.status !== 404) throw error;
    },
  );
  throw new SourceError({
    file: SINGLE,
    what: `${source.name} has no weights that can be read`,
    actual: `neither ${SINGLE} nor ${INDEX}`,
    next: 'Other kinds of files are not read; save the model with save_pretrained(safe_serialization=True).',
  });
}

/** `header` holds the 8 bytes of the length, too; `json` does not. */
async function readHeader(reader: ByteReader, file: string, size: number | undefined, signal?: AbortSignal) {
  const prefix = await reader.exactly(8);
  signal?.throwIfAborted();
  const length = headerLength(prefix, file, size);
  const header = new Uint8Array(8 + length);
  header.set(prefix);
  const json = await reader.exactly(length);
  signal?.throwIfAborted();
  if (json.length < length) throw wrongLength(file, reader.received, 8 + length);
  header.set(json, 8);
  return { header, json };
}

async function reopen(source: ModelSource, shard: Shard, signal?: AbortSignal): Promise<void> {
  const opened = (await source.open(shard.file))!;
  shard.reader = new ByteReader(opened.stream);
  const { header } = await readHeader(shard.reader, shard.file, opened.size, signal);
  if (header.length === shard.header.length && header.every((byte, i) => byte === shard.header[i])) return;
  throw damaged(shard.file, `${shard.file} changed while the model was being loaded`);
}

async function* readTensors(
  { file, tensors, byteLength, reader: open }: Shard,
  check: () => void,
): AsyncGenerator<TensorChunk> {
  const reader = open!;
  check();
  for (const tensor of tensors) {
    for (let begin = 0; begin < tensor.byteLength; ) {
      const left = tensor.byteLength - begin;
      let bytes = await reader.take(Math.min(left, MAX_CHUNK_BYTES));
      const aligned = bytes === undefined || bytes.length === left ? undefined : bytes.length & -ALIGNMENT;
      if (bytes !== undefined && aligned !== undefined) {
        reader.unread(bytes.length - aligned);
        // An element that lies in two pieces of the stream is the only thing that is copied.
        bytes = aligned > 0 ? bytes.subarray(0, aligned) : await reader.exactly(Math.min(left, ALIGNMENT));
      }
      check();
      if (bytes === undefined || (bytes.length < left && bytes.length % ALIGNMENT !== 0)) {
        throw wrongLength(file, reader.received, byteLength);
      }
      yield { tensor, begin, bytes };
      begin += bytes.length;
    }
  }
  // Reading to the end also lets the source compare its checksum and keep the file.
  const more = await reader.take(1);
  check();
  if (more !== undefined) throw wrongLength(file, `more than ${byteLength}`, byteLength);
}
