import { LOSS_SUMS, SCALARS } from '../shaders/scalars.ts';
import { TrainingDevice } from '../src/gpu/index.ts';
import { MeasuredPace, type Pacer } from '../src/gpu/measured-pace.ts';
import { WeightStore } from '../src/gpu/weights.ts';
import {
  gradientName,
  type LabelledSequence,
  type LossScales,
  packTraining,
  planTraining,
  planUpdate,
  SCALARS_STATE,
  type TrainingGraph,
} from '../src/gradients/index.ts';
import type { Caps } from '../src/plan/index.ts';
import { interpretTraining } from '../tests/gradient-interpreter.ts';
import type { TensorData } from '../tests/interpreter.ts';
import { tensorGradients, tensorsOf } from '../tests/training-tensors.ts';
import { UPDATE } from '../tests/update-options.ts';
import { random, testGpu } from './dispatch.ts';
import { expect } from './harness.ts';

/** A training step with random weights on this device against the float64 interpreter. */

/**
 * Of the largest number of a tensor, of a whole model in float32. What is far smaller than the largest of all is measured by a share of that,
 * and what is 0 in theory, as of key biases, which shift all scores of a query, by that itself: it is as far off as sums of other gradients
 * round.
 */
const TOLERANCE = 5e-5;
const LEAST_SHARE = 1e-3;
/** A gradient that float64 does not tell from 0, of the largest of all. */
const ZERO = 1e-12;

/** Random numbers that keep values of the order of 1: the rows of a matrix have about length 1, and scales are about 1. */
function randomTensor(tensor: string, shape: readonly number[], seed: number): TensorData {
  const count = shape.reduce((a, b) => a * b);
  const data = random(seed)(count, shape.length > 1 ? 1 / Math.sqrt(shape[1]!) : 0.3);
  return { shape, data: /norm.*weight$/i.test(tensor) ? data.map(v => v + 1) : data };
}

const largest = (numbers: Float64Array): number => numbers.reduce((most, v) => Math.max(most, Math.abs(v)), 0);

export interface GradientRun {
  readonly graph: TrainingGraph;
  readonly batch: readonly LabelledSequence[];
  readonly scales: LossScales;
  /** Of the device, some that are other ones. Default: none. */
  readonly caps?: Partial<Caps>;
  /** Sequences of a micro-batch. Default: all in one. */
  readonly microBatch?: number;
}

export interface GradientsOnDevice {
  readonly loss: number;
  /** By tensor. */
  readonly gradients: ReadonlyMap<string, Float64Array>;
  /** The tensors that the run was made with. */
  readonly tensors: ReadonlyMap<string, TensorData>;
  /** The states that hold the gradients. */
  readonly states: number;
}

/** A training on this device, of weights that are made up. */
export async function madeUpTraining(
  { graph, caps }: Pick<GradientRun, 'graph' | 'caps'>,
  { updateCaps, pacer }: { readonly updateCaps?: Partial<Caps>; readonly pacer?: Pacer } = {},
) {
  const { gpu, pipelines } = await testGpu();
  const { device } = gpu;
  const ownCaps = caps ? { ...gpu.caps, ...caps } : gpu.caps;
  const plan = planTraining(graph, ownCaps);
  const weights = new WeightStore(device, pipelines);
  await weights.allocate(plan.weights);
  const tensors = new Map<string, TensorData>();
  for (const { tensor, shape } of plan.weights.flatMap(({ parts }) => parts)) {
    if (tensors.has(tensor)) continue;
    const made = randomTensor(tensor, shape, tensors.size + 1);
    tensors.set(tensor, made);
    const bytes = new Uint8Array(Float32Array.from(made.data).buffer);
    await weights.write({ tensor, stored: 'F32', begin: 0, bytes });
  }
  await weights.finish();
  const update = planUpdate(plan, UPDATE, { ...ownCaps, ...updateCaps });
  const training = await TrainingDevice.create({
    device,
    plan,
    update,
    weights,
    pipelines,
    signal: new AbortController().signal,
    pacer: pacer ?? new MeasuredPace(ownCaps),
  });
  const destroy = () => {
    training.destroy();
    weights.destroy();
  };
  return { plan, update, training, tensors, destroy };
}

/** The loss and the gradients of a step, as the device computes them. */
export async function gradientsOnDevice({
  graph,
  batch,
  scales,
  caps,
  microBatch = batch.length,
}: GradientRun): Promise<GradientsOnDevice> {
  const { plan, training, tensors, destroy } = await madeUpTraining({ graph, ...(caps && { caps }) });
  await training.begin();
  for (let first = 0; first < batch.length; first += microBatch) {
    const sequences = batch.slice(first, first + microBatch);
    await training.accumulate(packTraining(plan, sequences, { scales, step: 0, seed: 0 }));
  }
  const read = await Promise.all(
    plan.gradients.map(async weight => {
      const data = Float64Array.from(await training.readState(gradientName(weight)));
      return [weight, { rows: weight.height, columns: weight.stride, data }] as const;
    }),
  );
  // Those of the step under way, which an update would add to the loss.
  const scalars = await training.readState(SCALARS_STATE);
  const loss = scalars.subarray(SCALARS.sums, SCALARS.sums + LOSS_SUMS).reduce((sum, part) => sum + part, 0);
  destroy();
  const before = tensorsOf(graph.gradients, tensor => tensors.get(tensor)!);
  return { loss, gradients: tensorGradients(new Map(read), before), tensors, states: read.length };
}

/** The largest difference from the interpreter, of the largest number of a tensor. Throws where one is too far off. */
export function checkAgainstInterpreter(
  { graph, batch, scales }: GradientRun,
  { loss, gradients, tensors }: GradientsOnDevice,
): number {
  const lookup = (tensor: string) => tensors.get(tensor)!;
  const result = interpretTraining(graph, { tensors: lookup, batch, scales });
  const expected = tensorGradients(result.gradients, tensorsOf(graph.gradients, lookup));
  const difference = Math.abs(loss - result.loss);
  expect(difference <= TOLERANCE * Math.max(1, result.loss), `the loss is ${loss}, not ${result.loss}`);
  return compareGradients(gradients, expected, TOLERANCE);
}

/** Of the largest number of a tensor, in float32: the sums over rows have another order. */
const MICRO_BATCHES = 1e-5;

/** The largest difference of a step in micro-batches from the same in one. Throws where it is too large. */
export function checkMicroBatches(parts: GradientsOnDevice, whole: GradientsOnDevice): number {
  const difference = Math.abs(parts.loss - whole.loss);
  const most = MICRO_BATCHES * Math.max(1, whole.loss);
  expect(difference <= most, `the loss is ${parts.loss} in parts, ${whole.loss} as a whole`);
  return compareGradients(parts.gradients, whole.gradients, MICRO_BATCHES);
}

type TensorGradients = GradientsOnDevice['gradients'];

function compareGradients(gradients: TensorGradients, expected: TensorGradients, tolerance: number): number {
  const ofAll = Math.max(...[...expected.values()].map(largest));
  let worst = 0;
  for (const [tensor, gradient] of expected) {
    const own = largest(gradient);
    const most = own < ZERO * ofAll ? ofAll : Math.max(own, LEAST_SHARE * ofAll);
    const found = gradients.get(tensor)!;
    const difference = gradient.reduce((far, v, i) => Math.max(far, Math.abs(v - found[i]!)), 0) / most;
    expect(difference <= tolerance, `the gradient of ${tensor} is off by ${difference} of ${most}`);
    worst = Math.max(worst, difference);
  }
  return worst;
}
