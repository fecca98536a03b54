import type { Backend } from '../engine/index.ts';
import { InputError } from '../errors.ts';
import { Merging, type StepScalars, TrainingDevice } from '../gpu/index.ts';
import {
  batchStateBytes,
  capacityOf,
  type LabelledSequence,
  type MergedFormat,
  type PackOptions,
  packTraining,
  planMerges,
  planTraining,
  planUpdate,
  type State,
  type TrainingGraph,
  type TrainingMemory,
  type TrainingPlan,
  trainingMemory,
  type UpdateOptions,
  type WeightMerge,
} from '../gradients/index.ts';
import { type Caps, profileOf, type Sizes, slotBytes, type Weight, weightKey } from '../plan/index.ts';

/**
 * A training on a backend: `begin`, `accumulate` for each micro-batch and `update` make a step. `openSession` opens that of pages; a
 * backend of tests has its own (see TrainingBackend).
 */
export interface TrainingSession {
  /**
   * Begins an empty micro-batch: the function says of one sequence after another whether the device still has room for it. The first one
   * is always let in.
   */
  microBatchRoom(): (sequence: LabelledSequence) => boolean;
  /** Makes room for the largest micro-batch, so that nothing is made for any that is no larger. Throws DeviceError. */
  reserve(largest: Largest): Promise<void>;
  /** Begins a step. Waits where two are under way. */
  begin(): Promise<void>;
  accumulate(sequences: readonly LabelledSequence[], options: PackOptions): Promise<void>;
  /** Ends a step with the numbers of its update: `rate 0`, ..., `step` (from 1 on), `correction1`, `correction2`. */
  update(numbers: Readonly<Record<string, number>>): Promise<void>;
  /** What was counted since this was last asked for. */
  scalars(): Promise<StepScalars>;
  /** What a checkpoint keeps beside the weights: the running means of AdamW, and what was counted. */
  readonly kept: readonly State[];
  readState(name: string): Promise<Float32Array<ArrayBuffer>>;
  writeState(name: string, numbers: Float32Array<ArrayBuffer>): void;
  /** Waits until all steps are done. */
  finish(): Promise<void>;
  /** Bytes held now, the model's own weights not counted. */
  bytes(): number;
  destroy(): void;
}

/** A backend that has a training of its own. */
export interface TrainingBackend extends Backend {
  openTraining(graph: TrainingGraph, update: UpdateOptions, merges: readonly WeightMerge[]): Promise<TrainingSession>;
  mergeWeights(merges: readonly WeightMerge[]): Promise<void>;
}

/** How large the arrays of a micro-batch are. */
export type MicroBatchRows = Pick<Sizes, 'tokens' | 'sequences' | 'tiles' | 'masked'>;

/** What no micro-batch of a training is larger than, and what one of a single record may need. */
export interface LargestMicroBatch {
  readonly batch: MicroBatchRows;
  readonly record: MicroBatchRows;
}

/** The largest micro-batch that can come, by the queries of a tile. */
type Largest = (queryTile: number) => LargestMicroBatch;

const hasOwn = (backend: Backend): backend is TrainingBackend => 'openTraining' in backend;

/**
 * Opens a training. Throws InputError where weights that are trained are not float32, DeviceError where there is no room.
 * @param merges the weights of the model that are computed of others after each step, for all who call the model
 */
export async function openSession(
  backend: Backend,
  graph: TrainingGraph,
  update: UpdateOptions,
  merges: readonly WeightMerge[] = [],
): Promise<TrainingSession> {
  if (hasOwn(backend)) return backend.openTraining(graph, update, merges);
  const { device, caps, weights, pipelines, pacer, signal } = accessOf(backend);
  const format = formatOf(backend, graph.gradients);
  const plan = planTraining(graph, caps, format);
  await weights.allocate(plan.weights);
  const updatePlan = planUpdate(plan, update, caps);
  const plans = planMerges(merges, caps, format);
  const merging = plans.length > 0 ? await Merging.create({ device, plans, weights, pipelines }) : undefined;
  const training = await TrainingDevice.create({
    device,
    plan,
    update: updatePlan,
    weights,
    pipelines,
    signal,
    pacer,
    merging,
  });
  const bounds = boundsOf(device, caps);
  return {
    microBatchRoom: () => microBatchRoom(plan, bounds),
    reserve: largest => training.reserve(reservedSizes(plan, largest, bounds)),
    begin: () => training.begin(),
    accumulate: (sequences, options) => training.accumulate(packTraining(plan, sequences, options)),
    update: numbers => training.update(numbers),
    scalars: () => training.scalars(),
    kept: training.kept,
    readState: name => training.readState(name),
    writeState: (name, numbers) => training.writeState(name, numbers),
    finish: () => training.finish(),
    bytes: () => training.bytes(),
    destroy: () => training.destroy(),
  };
}

/**
 * What a training whose largest micro-batch is this one will hold, before anything is made. Undefined on a backend that has no
 * memory of its own.
 */
export function sessionMemory(
  backend: Backend,
  graph: TrainingGraph,
  update: UpdateOptions,
  largest: Largest,
  merges: readonly WeightMerge[] = [],
): TrainingMemory | undefined {
  if (hasOwn(backend)) return undefined;
  const { caps, device, weights } = accessOf(backend);
  const format = formatOf(backend, graph.gradients);
  const plan = planTraining(graph, caps, format);
  const parts = {
    update: planUpdate(plan, update, caps),
    merges: planMerges(merges, caps, format),
    held: weights.stored().map(({ weight }) => weight),
  };
  return trainingMemory(plan, parts, reservedSizes(plan, largest, boundsOf(device, caps)));
}

/** Whether a model keeps its matrices as halves. Throws InputError where it keeps them as bytes. */
export const keepsHalves = (backend: Backend): boolean => formatOf(backend) === 'f16';

/** What weights of a model are computed of, as the device keeps it. */
export function mergedWeights(backend: Backend, merges: readonly WeightMerge[]): Weight[] {
  const all = hasOwn(backend)
    ? merges.flatMap(({ base, adapters }) => [base, ...adapters.flatMap(({ a, b }) => [a, b])])
    : planMerges(merges, accessOf(backend).caps, formatOf(backend)).flatMap(({ steps }) =>
        steps.flatMap(({ args }) =>
          Object.values(args).flatMap(argument => (argument.kind === 'weight' ? argument.weight : [])),
        ),
      );
  return [...new Map(all.map(weight => [weightKey(weight), weight])).values()];
}

/** Computes weights of a model of others, once. Throws DeviceError. */
export async function mergeWeights(backend: Backend, merges: readonly WeightMerge[]): Promise<void> {
  if (hasOwn(backend)) {
    await backend.mergeWeights(merges);
    return;
  }
  const { device, caps, weights, pipelines, pacer } = accessOf(backend);
  const merging = await Merging.create({
    device,
    plans: planMerges(merges, caps, formatOf(backend)),
    weights,
    pipelines,
  });
  try {
    await merging.run(pacer);
  } finally {
    merging.destroy();
  }
}

/** The sizes of a micro-batch. */
function sizesOf(sequences: readonly LabelledSequence[], { queryTile, distances }: TrainingPlan): Sizes {
  const sizes = { tokens: 0, sequences: sequences.length, tiles: 0, pairs: 0, masked: 0, distances };
  for (const { ids, masked = [] } of sequences) {
    sizes.tokens += ids.length;
    sizes.tiles += Math.ceil(ids.length / queryTile);
    sizes.masked += masked.length;
  }
  return sizes;
}

/** The sizes of the buffers that are made before the first step: no more than those of micro-batches that the device has room for. */
export function reservedSizes(plan: TrainingPlan, largest: Largest, bounds: Bounds): Sizes {
  const { batch, record } = largest(plan.queryTile);
  const none = { tokens: 0, sequences: 0, tiles: 0, pairs: 0, masked: 0, distances: plan.distances };
  // Every buffer has rows of one kind, so each kind is looked at by itself.
  const fitting = (key: keyof MicroBatchRows): number => {
    let rows = batch[key];
    while (rows > record[key] && !fits(plan, { ...none, [key]: rows }, bounds)) {
      rows = Math.max(record[key], 2 ** (Math.ceil(Math.log2(rows)) - 1));
    }
    return rows;
  };
  return {
    ...none,
    tokens: fitting('tokens'),
    sequences: fitting('sequences'),
    tiles: fitting('tiles'),
    masked: fitting('masked'),
  };
}

/** What a micro-batch is bounded by, where it can be. */
interface Bounds {
  /** Bytes of a buffer that the device binds. */
  readonly bufferBytes: number;
  /** The tokens of a pass: kernels that only move numbers are not cut, and of more tokens one takes longer than a submit may. */
  readonly tokens: number;
}

function boundsOf({ limits }: Pick<GPUDevice, 'limits'>, caps: Caps): Bounds {
  const { measuresSpeed, passTokens } = profileOf(caps);
  return {
    bufferBytes: Math.min(limits.maxStorageBufferBindingSize, limits.maxBufferSize),
    // On a CPU nothing waits for the end of a submit.
    tokens: measuresSpeed ? passTokens : Number.POSITIVE_INFINITY,
  };
}

/** Whether no value or state of a micro-batch of these sizes is larger than the bounds. */
function fits(plan: TrainingPlan, sizes: Sizes, { bufferBytes, tokens }: Bounds): boolean {
  if (sizes.tokens > tokens) return false;
  const capacity = capacityOf(sizes, undefined);
  const bytes = [...plan.slots.map(slot => slotBytes(slot, capacity)), ...batchStateBytes(plan, capacity).values()];
  return bytes.every(count => count <= bufferBytes);
}

/** A micro-batch is full when it would be larger than the bounds. */
function microBatchRoom(plan: TrainingPlan, bounds: Bounds): (sequence: LabelledSequence) => boolean {
  const sequences: LabelledSequence[] = [];
  return sequence => {
    sequences.push(sequence);
    return sequences.length === 1 || fits(plan, sizesOf(sequences, plan), bounds);
  };
}

function accessOf({ access }: Backend) {
  if (!access) throw new Error('a backend that cannot be trained on');
  return access;
}

/** How the model keeps its matrices. Throws InputError where they are bytes, or where some that are trained are halves. */
export function formatOf(backend: Backend, trained: readonly Weight[] = []): MergedFormat {
  if (hasOwn(backend)) return 'f32';
  const { format, weights } = accessOf(backend);
  if (format === 'f32') return format;
  // By tensors: what is one weight here may be several slices there. A float32 copy of a weight has tensors of other names.
  const rounded = new Set(
    weights
      .stored()
      .flatMap(({ weight }) => (weight.storage.format === 'f32' ? [] : weight.parts.map(({ tensor }) => tensor))),
  );
  if (format === 'f16' && !trained.some(({ parts }) => parts.some(({ tensor }) => rounded.has(tensor)))) return format;
  throw new InputError({
    what: 'this model cannot be trained, because its weights are rounded',
    actual: `they are kept as ${format === 'f16' ? 'fp16' : 'q8'}`,
    expected: format === 'f16' ? 'float32, or fp16 with adapters of get_peft_model' : 'float32',
    next: "Load it with { dtype: 'fp32' }.",
  });
}
