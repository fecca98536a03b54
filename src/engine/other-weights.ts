import { type Checkpoint, openCheckpoint, type TensorInfo, type TensorView } from '../checkpoint/file/index.ts';
import type { ModelSource } from '../checkpoint/source/index.ts';
import { CheckpointError } from '../errors.ts';
import type { WeightStore } from './backend.ts';
import { type FileTensor, type MatchedPart, upload } from './upload.ts';

/** Where the weights of a model are to come from instead. */
export interface OtherFiles {
  readonly root: ModelSource;
  /** The encoder's, where modules.json names a folder for them. */
  readonly encoder: ModelSource;
}

/**
 * Puts the numbers of other files into the weights of a model: files with the same tensors, by name and shape, as saving writes them. What the
 * CPU keeps stays as it is. Throws CheckpointError where a tensor is missing, is of another shape, or has numbers that are not finite;
 * SourceError; DeviceError; or the signal's reason.
 */
export async function loadOtherWeights(
  tensors: readonly FileTensor[],
  { root, encoder }: OtherFiles,
  { store, signal }: { readonly store: WeightStore; readonly signal: AbortSignal },
): Promise<void> {
  const onDevice = tensors.filter(({ isOnHost }) => !isOnHost);
  const ofEncoder = onDevice.filter(({ folder }) => folder === 'encoder');
  const ofModules = onDevice.filter(({ folder }) => folder === 'root');
  const modules = [...new Set(ofModules.map(({ info }) => info.file))].map(file => ({
    source: root,
    files: [file],
    tensors: ofModules.filter(({ info }) => info.file === file),
  }));
  for (const { source, files, tensors } of [{ source: encoder, files: undefined, tensors: ofEncoder }, ...modules]) {
    if (tensors.length === 0) continue;
    const checkpoint = await openCheckpoint(source, { signal, ...(files && { files }) });
    try {
      await upload([partOf(checkpoint, tensors)], store, { name: source.name, progress: undefined, signal });
    } finally {
      await checkpoint.cancel();
    }
  }
}

/** The same tensors in another checkpoint. */
function partOf(checkpoint: Checkpoint, tensors: readonly FileTensor[]): MatchedPart {
  const weights = tensors.map(({ info, views }) => {
    const other = sameTensor(checkpoint, info);
    // What a task adds to a tensor was saved with it.
    const view = ({ shape, rows }: TensorView): TensorView => ({ ...other, shape, rows });
    return [info.name, new Map([...views].map(([canonical, own]) => [canonical, view(own)]))] as const;
  });
  return { checkpoint, folder: tensors[0]!.folder, weights: new Map(weights), host: new Map() };
}

function sameTensor({ tensors }: Checkpoint, { name, shape, file }: TensorInfo): TensorInfo {
  const other = tensors.get(name);
  if (other && other.shape.join() === shape.join()) return other;
  throw new CheckpointError({
    what: other ? `the tensor "${name}" has another shape` : `there is no tensor "${name}"`,
    ...(other && { actual: `[${other.shape.join(', ')}]` }),
    expected: `the tensors of the model that is loaded, here [${shape.join(', ')}]`,
    next: 'Take the files that were saved of this model.',
    file: other?.file ?? file,
    tensor: name,
  });
}
