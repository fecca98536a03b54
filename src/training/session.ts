import type { Backend } from '../engine/index.ts';
import { InputError } from '../errors.ts';
import { type StepScalars, TrainingDevice } from '../gpu/index.ts';
import {
  batchStateBytes,
  capacityOf,
  type LabelledSequence,
  type PackOptions,
  packTraining,
  planTraining,
  planUpdate,
  type State,
  type TrainingGraph,
  type TrainingMemory,
  type TrainingPlan,
  trainingMemory,
  type UpdateOptions,
} from '../gradients/index.ts';
import { type Sizes, slotBytes } from '../plan/index.ts';

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
  /** Makes room for a micro-batch of these sequences, so that nothing is made for any that is no larger. Throws DeviceError. */
  reserve(sequences: readonly LabelledSequence[]): Promise<void>;
  /** Begins a step. Waits where two are under way. */
  begin(): Promise<void>;
  accumulate(sequences: readonly LabelledSequence[], options: PackOptions): Promise<void>;
  /** Ends a step with the numbers of its update: `rate 0`, ..., `correction1`, `correction2`. */
  update(numbers: Readonly<Record<string, number>>): Promise<void>;
  /** What was counted since this was last asked for. */
  scalars(): Promise<StepScalars>;
  /** The running means of AdamW: what a checkpoint keeps beside the weights. */
  readonly moments: readonly State[];
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
  openTraining(graph: TrainingGraph, update: UpdateOptions): Promise<TrainingSession>;
}

const hasOwn = (backend: Backend): backend is TrainingBackend => 'openTraining' in backend;

/** Opens a training. Throws InputError where the weights are not float32, DeviceError where there is no room. */
export async function openSession(
  backend: Backend,
  graph: TrainingGraph,
  update: UpdateOptions,
): Promise<TrainingSession> {
  if (hasOwn(backend)) return backend.openTraining(graph, update);
  const { device, caps, weights, pipelines, pacer, signal } = accessOf(backend);
  const plan = planTraining(graph, caps);
  await weights.allocate(plan.weights);
  const updatePlan = planUpdate(plan.gradients, update);
  const training = await TrainingDevice.create({ device, plan, update: updatePlan, weights, pipelines, signal, pacer });
  const limit = Math.min(device.limits.maxStorageBufferBindingSize, device.limits.maxBufferSize);
  return {
    microBatchRoom: () => microBatchRoom(plan, limit),
    reserve: sequences => training.reserve(sizesOf(sequences, plan.queryTile)),
    begin: () => training.begin(),
    accumulate: (sequences, options) => training.accumulate(packTraining(plan, sequences, options)),
    update: numbers => training.update(numbers),
    scalars: () => training.scalars(),
    moments: updatePlan.moments,
    readState: name => training.readState(name),
    writeState: (name, numbers) => training.writeState(name, numbers),
    finish: () => training.finish(),
    bytes: () => training.bytes(),
    destroy: () => training.destroy(),
  };
}

/**
 * What a training whose largest micro-batch holds these sequences will hold, before anything is made. Undefined on a backend that has no
 * memory of its own.
 */
export function sessionMemory(
  backend: Backend,
  graph: TrainingGraph,
  update: UpdateOptions,
  sequences: readonly LabelledSequence[],
): TrainingMemory | undefined {
  if (hasOwn(backend)) return undefined;
  const plan = planTraining(graph, accessOf(backend).caps);
  return trainingMemory(plan, planUpdate(plan.gradients, update), sizesOf(sequences, plan.queryTile));
}

/** The sizes of a micro-batch. */
function sizesOf(sequences: readonly LabelledSequence[], queryTile: number): Sizes {
  const sizes = { tokens: 0, sequences: sequences.length, tiles: 0, pairs: 0, masked: 0 };
  for (const { ids, masked = [] } of sequences) {
    sizes.tokens += ids.length;
    sizes.tiles += Math.ceil(ids.length / queryTile);
    sizes.masked += masked.length;
  }
  return sizes;
}

/** A micro-batch is full when a value or a state of it would be larger than a buffer that the device binds. */
function microBatchRoom(plan: TrainingPlan, limit: number): (sequence: LabelledSequence) => boolean {
  const sequences: LabelledSequence[] = [];
  return sequence => {
    sequences.push(sequence);
    const capacity = capacityOf(sizesOf(sequences, plan.queryTile), undefined);
    const bytes = [...plan.slots.map(slot => slotBytes(slot, capacity)), ...batchStateBytes(plan, capacity).values()];
    return sequences.length === 1 || bytes.every(count => count <= limit);
  };
}

function accessOf({ access }: Backend) {
  if (!access) throw new Error('a backend that cannot be trained on');
  if (access.format !== 'f32') {
    throw new InputError({
      what: 'this model cannot be trained, because its weights are rounded',
      actual: `they are kept as ${access.format === 'f16' ? 'fp16' : 'q8'}`,
      expected: 'float32',
      next: "Load it with { dtype: 'fp32' }.",
    });
  }
  return access;
}
