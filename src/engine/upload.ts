import {
  type Checkpoint,
  fileRow,
  type HostDtype,
  matchTensors,
  type TensorChunk,
  type TensorDtype,
  type TensorInfo,
  type TensorNaming,
  type TensorView,
  toFloats,
  UpdateMerger,
  ViewCutter,
  viewBytes,
  type WantedTensor,
} from '../checkpoint/file/index.ts';
import type { ProgressCallback } from '../checkpoint/source/index.ts';
import { CheckpointError } from '../errors.ts';
import type { Flaw } from '../gpu/index.ts';
import type { WeightStore } from './backend.ts';
import type { Fingerprint } from './fingerprint.ts';

/** A checkpoint file (or its shards), and which tensors of the model are in it. */
export interface CheckpointPart {
  readonly checkpoint: Checkpoint;
  /** The tensor of the file that has this canonical name. */
  readonly find: (canonical: string) => TensorView | undefined;
  /** Whether a tensor of the model is looked for here. */
  readonly owns: (canonical: string) => boolean;
  /** What to do where a tensor is missing, if there is more to say than usual. */
  readonly advice?: (canonical: string) => string | undefined;
  /** How errors name a tensor. Default: canonically. */
  readonly naming?: (canonical: string) => TensorNaming;
  /** Where its files are. */
  readonly folder: PartFolder;
}

/** The folder of a file: that of the encoder, which modules.json may name, or that of the whole model. */
export type PartFolder = 'encoder' | 'root';

/** A part whose tensors have been found in its files: from here on a tensor goes by its name in the file. */
export interface MatchedPart {
  readonly checkpoint: Checkpoint;
  readonly folder: PartFolder;
  /** For every tensor that weights are made of, the canonical names that it serves, and which of its rows each of them is. */
  readonly weights: ReadonlyMap<string, ReadonlyMap<string, TensorView>>;
  /** The same for tensors that the CPU keeps. */
  readonly host: ReadonlyMap<string, ReadonlyMap<string, TensorView>>;
}

/**
 * Finds the tensors of a model in the files, by name and shape, before any byte of them is read. Throws CheckpointError where one
 * is missing or of another shape. The CPU reads the dtypes that the GPU reads, and whole numbers.
 */
export const matchParts = (
  parts: readonly CheckpointPart[],
  wanted: { readonly weights: readonly WantedTensor[]; readonly host: readonly WantedTensor[] },
): MatchedPart[] =>
  parts.map(({ checkpoint, folder, find, owns, advice, naming }) => {
    const match = (tensors: readonly WantedTensor[], isOnCpu: boolean) =>
      matchTensors(
        tensors.filter(({ tensor }) => owns(tensor)),
        find,
        { isOnCpu, advice, naming },
      );
    return { checkpoint, folder, host: match(wanted.host, true), weights: match(wanted.weights, false) };
  });

/** A tensor of the files that the model has, and where it is. */
export interface FileTensor {
  /** Its name, dtype and shape in the file, and the file. */
  readonly info: TensorInfo;
  /** By canonical name: the rows of it that the model knows by this name. */
  readonly views: ReadonlyMap<string, TensorView>;
  /** Whether the CPU keeps it, and the GPU does not. */
  readonly isOnHost: boolean;
  readonly folder: PartFolder;
}

/** The tensors of the files that a model is made of, each once. */
export const fileTensors = (parts: readonly MatchedPart[]): FileTensor[] =>
  parts.flatMap(({ checkpoint, folder, weights, host }) => {
    const tensor = (isOnHost: boolean) => (entry: readonly [string, ReadonlyMap<string, TensorView>]) => {
      const [name, views] = entry;
      return { info: checkpoint.tensors.get(name)!, views, isOnHost, folder };
    };
    return [...[...weights].map(tensor(false)), ...[...host].filter(([name]) => !weights.has(name)).map(tensor(true))];
  });

/** A tensor of the files that the model is not made of: of another head, say. */
export type UnusedTensor = Pick<FileTensor, 'info' | 'folder'>;

/** The tensors of the files that the model is not made of. */
export const unusedTensors = (parts: readonly MatchedPart[]): UnusedTensor[] =>
  parts.flatMap(({ checkpoint, folder, weights, host }) =>
    [...checkpoint.tensors.values()]
      .filter(({ name }) => !weights.has(name) && !host.has(name))
      .map(info => ({ info, folder })),
  );

export interface UploadOptions {
  /** The name of the model, for progress. */
  readonly name: string;
  readonly progress: ProgressCallback | undefined;
  /** Is given all bytes of tensors that weights are made of. */
  readonly fingerprint?: Fingerprint | undefined;
  /** Aborts when the load has failed: then no more is written or reported. */
  readonly signal: AbortSignal;
}

/** The error for a tensor with a number that cannot be computed with; `others` is the count of further tensors with such numbers. */
function flawed(view: TensorView, { kind, index: viewIndex }: Omit<Flaw, 'tensor'>, others = 0): CheckpointError {
  const { name, file } = view;
  const [row, ...column] = viewIndex;
  const index = [fileRow(view, row!), ...column];
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

/**
 * Streams the parts to the GPU, every piece as it arrives. Gives the tensors that the CPU keeps, by canonical name. Throws
 * CheckpointError where a tensor has numbers that are not finite, or that its format cannot hold; DeviceError where the device
 * refuses a piece.
 */
export async function upload(
  parts: readonly MatchedPart[],
  store: Pick<WeightStore, 'write' | 'finish'>,
  { name, progress, fingerprint, signal }: UploadOptions,
): Promise<Map<string, Float32Array>> {
  const total = parts.reduce((sum, part) => sum + weightBytesIn(part), 0);
  const hostTensors = new Map<string, Float32Array>();
  let loaded = 0;
  let reportedPercent = -1;
  for (const { checkpoint, weights, host } of parts) {
    /** By the name of the tensor: what every canonical name needs of it. */
    const cutters = new Map(
      [...weights].map(([name, served]) => {
        const tensor = checkpoint.tensors.get(name)!;
        return [name, [...served].map(([canonical, view]) => [canonical, new ViewCutter(view, tensor)] as const)];
      }),
    );
    const hostTensorsIn = new HostTensors(checkpoint, host);
    const merger = new UpdateMerger([...weights.values()].flatMap(served => [...served.values()]));
    for await (const chunk of checkpoint.chunks()) {
      const { tensor, begin, bytes } = chunk;
      signal.throwIfAborted();
      hostTensorsIn.add(chunk);
      merger.add(tensor.name, begin, bytes);
      for (const { canonical, piece } of merger.released()) await store.write({ tensor: canonical, ...piece });
      const served = cutters.get(tensor.name);
      if (!served) continue;
      fingerprint?.add(chunk);
      const stored = tensor.dtype as TensorDtype;
      const views = weights.get(tensor.name)!;
      for (const [canonical, cutter] of served) {
        for (const { begin, bytes } of cutter.cut(chunk)) {
          const piece = { stored, begin, bytes: bytes as Uint8Array<ArrayBuffer> };
          const merged = merger.merged(canonical, views.get(canonical)!, piece);
          if (merged) await store.write({ tensor: canonical, ...merged });
        }
      }
      loaded += bytes.length;
      const percent = Math.floor((100 * loaded) / total);
      if (percent === reportedPercent) continue;
      reportedPercent = percent;
      progress?.({ status: 'upload', name, file: tensor.file, progress: (100 * loaded) / total, loaded, total });
    }
    for (const [canonical, values] of hostTensorsIn.read()) hostTensors.set(canonical, values);
  }
  const [flaw, ...others] = await store.finish();
  if (flaw) throw flawed(tensorOf(parts, flaw.tensor), flaw, others.length);
  return hostTensors;
}

/** Bytes of the tensors that weights are made of. */
const weightBytesIn = ({ checkpoint, weights }: MatchedPart): number =>
  [...weights.keys()].reduce((sum, tensor) => sum + checkpoint.tensors.get(tensor)!.byteLength, 0);

/** The tensors of a checkpoint that the CPU keeps, collected from its chunks. */
class HostTensors {
  readonly #views: readonly {
    readonly canonical: string;
    readonly view: TensorView;
    readonly cutter: ViewCutter;
    readonly bytes: Uint8Array<ArrayBuffer>;
  }[];

  constructor(checkpoint: Checkpoint, host: MatchedPart['host']) {
    this.#views = [...host].flatMap(([name, served]) => {
      const tensor = checkpoint.tensors.get(name)!;
      return [...served].map(([canonical, view]) => ({
        canonical,
        view,
        cutter: new ViewCutter(view, tensor),
        bytes: new Uint8Array(viewBytes(view, tensor)),
      }));
    });
  }

  add(chunk: TensorChunk): void {
    for (const { view, cutter, bytes } of this.#views) {
      if (view.name !== chunk.tensor.name) continue;
      for (const piece of cutter.cut(chunk)) bytes.set(piece.bytes, piece.begin);
    }
  }

  *read(): Generator<[canonical: string, values: Float32Array]> {
    for (const { canonical, view, bytes } of this.#views) yield [canonical, readHostTensor(view, bytes)];
  }
}

/** The numbers of a tensor that the CPU needs. Minus infinity is a score that forbids a transition: the CPU computes with it. */
function readHostTensor(info: TensorView, bytes: Uint8Array<ArrayBuffer>): Float32Array {
  const values = toFloats(bytes.buffer, info.dtype as HostDtype);
  const at = values.findIndex(value => Number.isNaN(value) || value === Number.POSITIVE_INFINITY);
  if (at >= 0) {
    const columns = info.shape.at(-1)!;
    const index = [Math.floor(at / columns), at % columns];
    throw flawed(info, { kind: Number.isNaN(values[at]) ? 'NaN' : 'Infinity', index });
  }
  return values;
}

/** The tensor of the files that a weight's tensor was matched to. */
function tensorOf(parts: readonly MatchedPart[], canonical: string): TensorView {
  for (const { weights } of parts) {
    for (const served of weights.values()) if (served.has(canonical)) return served.get(canonical)!;
  }
  throw new Error(`no file has ${canonical}`);
}
