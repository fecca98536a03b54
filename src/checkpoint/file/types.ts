/** The element types of safetensors that can be read. */
export type TensorDtype = 'F32' | 'F16' | 'BF16';

/** The element types that the CPU can read, too: whole numbers. */
export type HostDtype = TensorDtype | 'I32' | 'I64' | 'U32' | 'U64';

/** One entry of a safetensors header, validated. */
export interface TensorInfo {
  name: string;
  /** As in the header. A type that is no `TensorDtype` is refused where the tensor is needed, not before. */
  dtype: string;
  shape: readonly number[];
  /** Counted from the first byte after the header. */
  byteOffset: number;
  byteLength: number;
  /** The name of its file (a shard, or model.safetensors). */
  file: string;
}

/** Consecutive bytes of one tensor: those at [begin, begin + bytes.length). */
export interface TensorChunk {
  tensor: TensorInfo;
  begin: number;
  /** Valid until the next chunk is asked for. */
  bytes: Uint8Array;
}

/** A checkpoint whose headers have been read and validated, and whose data has not been read yet. */
export interface Checkpoint {
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /**
   * Names without a tensor of their own in the file, and the name in `tensors` whose tensor they share. safetensors.torch.save_model
   * writes them into `__metadata__`.
   */
  readonly leftOut: ReadonlyMap<string, string>;
  /** The sum of the sizes of all its files. */
  readonly byteLength: number;
  /** All data, in file order; can be read once. The download waits for the reader. */
  chunks(): AsyncIterable<TensorChunk>;
  /** Stops the download. Idempotent; whoever opened the checkpoint calls it when the load fails. */
  cancel(): Promise<void>;
}

/**
 * What a task adds to a matrix of the file (LoRA: Hu et al., arXiv 2106.09685): scale left[task] right[task], with left
 * [tasks, rows, rank] and right [tasks, rank, columns]. PyTorch calls them B and A, and of an embedding A and B. Source: LoRAParametrization
 * of jinaai/xlm-roberta-flash-implementation.
 */
export interface LowRankUpdate {
  readonly left: TensorInfo;
  readonly right: TensorInfo;
  /** The shape of the matrix: [rows, columns]. */
  readonly matrix: readonly number[];
  readonly task: number;
  readonly tasks: number;
  readonly rank: number;
  readonly scale: number;
}
