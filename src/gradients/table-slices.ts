import { DeviceError } from '../errors.ts';
import { bindableRows, keptAs, rowSlices, type Storage, type Weight, weightBytes } from '../plan/index.ts';
import type { TrainingGraph } from './op.ts';
import { rowsOf, vocabularies } from './vocabulary.ts';

/** What the slices of tables depend on. */
export interface SliceOptions {
  /** How the device keeps a weight. */
  readonly storage: (weight: Weight) => Storage;
  /** Bytes of one storage binding. */
  readonly maxBindingBytes: number;
}

/** How a training keeps tables and decoders that no binding holds: as the model does (src/plan/lower.ts), in slices of rows. */
export interface TableSlices {
  /** A matrix as the device keeps it: itself in its storage, or its slices. */
  readonly slicesOf: (weight: Weight) => readonly Weight[];
  /** The weights that have a gradient, those in slices as such; of a decoder in slices the bias is, too. */
  readonly gradients: readonly Weight[];
}

/** The slices of a graph's tables. Throws DeviceError where a trained weight is larger than a binding and is read as a whole. */
export function tableSlices(graph: TrainingGraph, { storage, maxBindingBytes }: SliceOptions): TableSlices {
  const slicesOf = (weight: Weight): Weight[] => {
    const stored = keptAs(weight, storage(weight));
    return rowSlices(stored, bindableRows(stored, maxBindingBytes));
  };
  const decoders = vocabularies(graph.ops).map(({ decoder }) => decoder);
  const sliced = new Set([...decoders.map(({ weight }) => weight), ...tablesOf(graph)]);
  for (const weight of wholeWeights(graph, decoders)) sliced.delete(weight);
  const gradients = graph.gradients.flatMap(weight => {
    const decoder = decoders.find(({ bias }) => bias === weight);
    const matrix = decoder?.weight ?? weight;
    if (sliced.has(matrix)) return slicesOf(matrix).map(slice => rowsOf(weight, slice));
    checkBinding(weight, maxBindingBytes);
    return [weight];
  });
  return { slicesOf, gradients };
}

const tablesOf = ({ ops }: TrainingGraph): Weight[] => ops.flatMap(op => (op.op === 'embed' ? (op.words ?? []) : []));

/** The weights that ops other than these decoders and the embeddings read. */
function wholeWeights({ ops }: TrainingGraph, decoders: readonly object[]): Weight[] {
  return ops.flatMap(op => (op.op === 'linear' && !decoders.includes(op) ? [op.weight] : []));
}

/** Throws DeviceError where the float32 rows of a weight are larger than a binding. */
export function checkBinding(weight: Weight, limit: number): void {
  const bytes = weightBytes(weight);
  if (bytes <= limit) return;
  throw new DeviceError({
    what: `the weight "${weight.name}" is larger than this device binds, so it cannot be trained`,
    actual: `${bytes} bytes`,
    expected: `at most ${limit}`,
    next: 'Freeze it (TrainingArguments.trainable), or use a device with a larger maxStorageBufferBindingSize.',
  });
}
