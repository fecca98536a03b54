import { SourceError } from '../../errors.ts';
import type { ModelSource } from '../source/index.ts';
import { noWeights } from './other-formats.ts';
import { damaged } from './safetensors.ts';
import { checkShards, parseShardIndex, SHARDS, type ShardIndex } from './shard-index.ts';
import { type Shard, ShardFiles } from './shards.ts';
import type { Checkpoint, TensorChunk, TensorInfo } from './types.ts';

const SINGLE = 'model.safetensors';
const INDEX = 'model.safetensors.index.json';

/** Browsers open at most 6 connections to a server (HTTP/1.1); the tokenizer and the config need some of them at the same time. */
const MAX_OPEN_FILES = 4;

export interface CheckpointOptions {
  /** Aborts the reading: whatever is pending rejects with the signal's reason. */
  signal?: AbortSignal;
  /** The safetensors files to read, in this order, instead of model.safetensors or the shards of its index. */
  files?: readonly string[];
}

/**
 * Reads and validates the headers of a checkpoint's files and leaves their data unread.
 * @throws CheckpointError where a header or the index is malformed, SourceError where a file cannot be had
 */
export async function openCheckpoint(
  source: ModelSource,
  { signal, files: names }: CheckpointOptions = {},
): Promise<Checkpoint> {
  signal?.throwIfAborted();
  const files = new ShardFiles(source, signal);
  try {
    const { shards, index } = await openShards(source, files, names);
    const tensors = tensorsOf(shards);
    if (index !== undefined) checkShards(index, tensors, INDEX);
    signal?.throwIfAborted();
    return new SafetensorsCheckpoint(files, shards, tensors);
  } catch (error) {
    await files.cancel();
    signal?.throwIfAborted();
    throw error;
  }
}

class SafetensorsCheckpoint implements Checkpoint {
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly leftOut: ReadonlyMap<string, string>;
  readonly byteLength: number;
  readonly #files: ShardFiles;
  readonly #shards: readonly Shard[];
  #hasBegun = false;

  constructor(files: ShardFiles, shards: readonly Shard[], tensors: ReadonlyMap<string, TensorInfo>) {
    this.#files = files;
    this.#shards = shards;
    this.tensors = tensors;
    this.leftOut = new Map(
      shards
        .flatMap(({ metadata }) => Object.entries(metadata ?? {}))
        .filter(([name, other]) => !tensors.has(name) && tensors.has(other)),
    );
    this.byteLength = shards.reduce((sum, shard) => sum + shard.byteLength, 0);
  }

  async *chunks(): AsyncGenerator<TensorChunk> {
    const files = this.#files;
    if (this.#hasBegun) throw files.over('has begun before');
    this.#hasBegun = true;
    try {
      for (const [i, shard] of this.#shards.entries()) {
        files.check();
        yield* files.chunks(i < MAX_OPEN_FILES ? shard : await files.reopen(shard));
      }
    } finally {
      await files.cancel();
    }
  }

  cancel(): Promise<void> {
    return this.#files.cancel();
  }
}

/** Opens the files with these names; without names, model.safetensors or all files of its index. */
async function openShards(
  source: ModelSource,
  files: ShardFiles,
  names: readonly string[] | undefined,
): Promise<{ shards: Shard[]; index?: ShardIndex }> {
  if (names !== undefined) return { shards: await openAll(files, names) };
  const single = await files.open(SINGLE, { optional: true });
  if (single) return { shards: [single] };
  const index = parseShardIndex(await requireIndex(source), INDEX);
  return { shards: await openAll(files, index.files), index };
}

async function openAll(files: ShardFiles, names: readonly string[]): Promise<Shard[]> {
  const shards: Shard[] = [];
  for (const name of names) {
    files.check();
    const shard = (await files.open(name))!;
    shards.push(shard);
    // Further files are closed behind their headers, and opened again when it is their turn.
    if (shards.length > MAX_OPEN_FILES) await shard.reader.cancel();
  }
  return shards;
}

/** All tensors by name. Throws CheckpointError where two files hold the same one. */
function tensorsOf(shards: readonly Shard[]): Map<string, TensorInfo> {
  const tensors = new Map<string, TensorInfo>();
  for (const tensor of shards.flatMap(shard => shard.tensors)) {
    const other = tensors.get(tensor.name);
    if (other !== undefined) {
      const what = `tensor "${tensor.name}" stands in both ${other.file} and ${tensor.file}`;
      throw damaged(tensor.file, what, { next: SHARDS, tensor: tensor.name });
    }
    tensors.set(tensor.name, tensor);
  }
  return tensors;
}

/** The index, parsed as JSON. Throws SourceError where there is none: the model has no weights. */
async function requireIndex(source: ModelSource): Promise<unknown> {
  const index = await source.json(INDEX, { optional: true });
  if (index !== undefined) return index;
  // A web page or a Git LFS pointer in place of the weights is worth naming: opening the file without `optional` throws that error.
  const opened = await source.open(SINGLE).catch(error => {
    if (error instanceof SourceError && error.status !== 404) throw error;
  });
  // The file has appeared in the meantime; it is not read.
  await opened?.cancel();
  throw await noWeights(source);
}
