/** The element types of safetensors that can be read. */
export type TensorDtype = 'F32' | 'F16' | 'BF16';

/** One entry of a safetensors header, validated. */
export interface TensorInfo {
  name: string;
  /** As the header says it; reading other types than `TensorDtype` is refused when the tensor is needed, not before. */
  dtype: string;
  shape: readonly number[];
  /** From the first byte after the header. */
  byteOffset: number;
  byteLength: number;
  /** The file that holds it (a shard, or model.safetensors). */
  file: string;
}

/** Some bytes of one tensor, in order: `bytes` are those at [begin, begin + bytes.length) of the tensor. */
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
   * Names that the file left out because another name has the same tensor, and that other name, which is one of `tensors`:
   * safetensors.torch.save_model writes them into `__metadata__`.
   */
  readonly leftOut: ReadonlyMap<string, string>;
  /** The sum of the sizes of all its files. */
  readonly byteLength: number;
  /** All data once, in file order; backpressure holds the download. */
  chunks(): AsyncIterable<TensorChunk>;
  /** Stops the download. Idempotent; called by whoever opened it when the load fails. */
  cancel(): Promise<void>;
}
