import type { Backend } from '../engine/index.ts';
import { InputError } from '../errors.ts';
import { type StepScalars, TrainingDevice } from '../gpu/index.ts';
import {
  type LabelledSequence,
  type PackOptions,
  packTraining,
  planTraining,
  planUpdate,
  type State,
  type TrainingGraph,
  type TrainingMemory,
  trainingMemory,
  type UpdateOptions,
} from '../gradients/index.ts';
import type { Sizes } from '../plan/index.ts';

/**
 * A training on a backend: `begin`, `accumulate` for each micro-batch and `update` make a step. `webgpuSession` is the one of pages; a
 * backend of tests has its own (see TrainingBackend).
 */
export interface TrainingSession {
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
  return {
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

/** What a training of micro-batches of these sizes will hold, before anything is made. Undefined on a backend that has no memory of its own. */
export function sessionMemory(
  backend: Backend,
  graph: TrainingGraph,
  update: UpdateOptions,
  sizesOf: (queryTile: number) => Sizes,
): TrainingMemory | undefined {
  if (hasOwn(backend)) return undefined;
  const plan = planTraining(graph, accessOf(backend).caps);
  return trainingMemory(plan, planUpdate(plan.gradients, update), sizesOf(plan.queryTile));
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
