import {
  type Checkpoint,
  matchTensors,
  type TensorDtype,
  type TensorInfo,
  toFloats,
  type WantedTensor,
} from '../checkpoint/file/index.ts';
import type { ProgressCallback } from '../checkpoint/source/index.ts';
import { CheckpointError } from '../errors.ts';
import type { Flaw, WeightStore } from '../gpu/index.ts';

/** A checkpoint file (or its shards), and which tensors of the model are in it. */
export interface CheckpointPart {
  readonly checkpoint: Checkpoint;
  /** The tensor of the file that has this canonical name. */
  readonly find: (canonical: string) => TensorInfo | undefined;
  /** Whether a tensor of the model is looked for here. */
  readonly owns: (canonical: string) => boolean;
}

/** A part whose tensors have been matched: for every tensor of the file the canonical names it serves. */
export interface MatchedPart extends CheckpointPart {
  readonly names: ReadonlyMap<string, ReadonlySet<string>>;
}

/** Matches all tensors of a model by name and shape, before any byte of them is read. Throws CheckpointError. */
export const matchParts = (parts: readonly CheckpointPart[], wanted: readonly WantedTensor[]): MatchedPart[] =>
  parts.map(part => ({
    ...part,
    names: matchTensors(
      wanted.filter(({ tensor }) => part.owns(tensor)),
      part.find,
    ),
  }));

export interface UploadOptions {
  name: string;
  /** Canonical names of tensors that the CPU needs too, where they are there. */
  host: readonly string[];
  progress: ProgressCallback | undefined;
  /** Throws where the load shall stop. */
  check: () => void;
}

/** The error for a tensor of the file with a number, the first of it, that cannot be computed with. */
function flawed({ name, file }: TensorInfo, { kind, index }: Omit<Flaw, 'tensor'>, others = 0): CheckpointError {
  const more = others > 0 ? `, and in ${others} more ${others > 1 ? 'tensors' : 'tensor'}` : '';
  const at = `at [${index.join(', ')}]${more}`;
  if (kind === 'too large') {
    return new CheckpointError({
      what: `the tensor "${name}" does not fit into dtype "fp16"`,
      actual: `a number beyond 65504 ${at}`,
      expected: 'numbers from -65504 to 65504',
      next: 'Load the model with dtype "fp32" or "q8".',
      file,
      tensor: name,
    });
  }
  return new CheckpointError({
    what: `the tensor "${name}" is damaged`,
    actual: `${kind} ${at}`,
    expected: 'finite numbers',
    next: 'Get the file again, or save the model again from weights that are finite.',
    file,
    tensor: name,
  });
}

/** The flaw of numbers that the CPU needs. A score of minus infinity forbids a transition, which the CPU computes with. */
function flawOf(values: Float32Array, columns: number): Omit<Flaw, 'tensor'> | undefined {
  const at = values.findIndex(value => Number.isNaN(value) || value === Number.POSITIVE_INFINITY);
  if (at < 0) return undefined;
  return { kind: Number.isNaN(values[at]) ? 'NaN' : 'Infinity', index: [Math.floor(at / columns), at % columns] };
}

/**
 * Streams the parts to the GPU, every piece as it arrives. Gives the tensors that were asked for on the CPU. Throws CheckpointError
 * where a tensor has numbers that are not finite, or that its format cannot hold; DeviceError where the device refuses a piece.
 */
export async function upload(
  parts: readonly MatchedPart[],
  store: WeightStore,
  { name, host, progress, check }: UploadOptions,
): Promise<Map<string, Float32Array>> {
  let total = 0;
  for (const { checkpoint, names } of parts) {
    for (const tensor of names.keys()) total += checkpoint.tensors.get(tensor)!.byteLength;
  }
  const floats = new Map<string, Float32Array>();
  let loaded = 0;
  let percent = -1;
  for (const { checkpoint, find, owns, names } of parts) {
    const kept = new Map<string, { canonical: string; bytes: Uint8Array<ArrayBuffer> }>();
    for (const canonical of host) {
      const info = owns(canonical) ? find(canonical) : undefined;
      if (info) kept.set(info.name, { canonical, bytes: new Uint8Array(info.byteLength) });
    }
    for await (const { tensor, begin, bytes } of checkpoint.chunks()) {
      check();
      kept.get(tensor.name)?.bytes.set(bytes, begin);
      const served = names.get(tensor.name);
      if (!served) continue;
      const stored = tensor.dtype as TensorDtype;
      for (const canonical of served) {
        await store.write({ tensor: canonical, stored, begin, bytes: bytes as Uint8Array<ArrayBuffer> });
      }
      loaded += bytes.length;
      const now = Math.floor((100 * loaded) / total);
      if (now === percent) continue;
      percent = now;
      progress?.({ status: 'upload', name, file: tensor.file, progress: (100 * loaded) / total, loaded, total });
    }
    for (const [tensor, { canonical, bytes }] of kept) {
      const info = checkpoint.tensors.get(tensor)!;
      const values = toFloats(bytes.buffer, info.dtype as TensorDtype);
      const flaw = flawOf(values, info.shape.at(-1)!);
      if (flaw) throw flawed(info, flaw);
      floats.set(canonical, values);
    }
  }
  const [first, ...others] = await store.finish();
  if (first) {
    const { find } = parts.find(({ owns }) => owns(first.tensor))!;
    throw flawed(find(first.tensor)!, first, others.length);
  }
  return floats;
}
