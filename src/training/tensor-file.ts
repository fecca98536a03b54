import { openCheckpoint, type TensorDtype, toFloats } from '../checkpoint/file/index.ts';
import type { ModelSource } from '../checkpoint/source/index.ts';
import { CheckpointError } from '../errors.ts';

/** The numbers of a tensor of a file. */
export interface FileNumbers {
  readonly shape: readonly number[];
  readonly data: Float32Array<ArrayBuffer>;
}

const FLOATS: readonly string[] = ['F32', 'F16', 'BF16'] satisfies TensorDtype[];

/** All tensors of a small safetensors file, as float32. Throws SourceError, CheckpointError, or the signal's reason. */
export async function tensorsOfFile(
  source: ModelSource,
  file: string,
  signal?: AbortSignal | null,
): Promise<Map<string, FileNumbers>> {
  const checkpoint = await openCheckpoint(source, { files: [file], ...(signal && { signal }) });
  const read = new Map<string, FileNumbers>();
  const pieces = new Map([...checkpoint.tensors].map(([name, { byteLength }]) => [name, new Uint8Array(byteLength)]));
  for await (const { tensor, begin, bytes } of checkpoint.chunks()) pieces.get(tensor.name)!.set(bytes, begin);
  for (const [name, { dtype, shape }] of checkpoint.tensors) {
    if (!FLOATS.includes(dtype)) {
      throw new CheckpointError({
        what: `the tensor "${name}" has a type that is not there`,
        actual: dtype,
        expected: FLOATS.join(', '),
        file,
        tensor: name,
      });
    }
    read.set(name, { shape, data: toFloats(pieces.get(name)!.buffer, dtype as TensorDtype) });
  }
  return read;
}
