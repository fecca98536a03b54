import {
  countItems,
  gradientName,
  type LabelledSequence,
  scalesOf,
  type TrainingGraph,
} from '../src/gradients/index.ts';
import { corrections, decays } from '../src/training/optimizer.ts';
import { openSession, type TrainingSession } from '../src/training/session.ts';
import { interpretTraining } from '../tests/gradient-interpreter.ts';
import type { TensorLookup } from '../tests/interpreter.ts';
import { tensorGradients, tensorsOf } from '../tests/training-tensors.ts';
import { expect } from './harness.ts';

/**
 * Whole training runs on a device, step by step against what Python computed in float64, and every gradient of the first step against the
 * interpreter's, which are Python's to nine digits.
 */

/** Losses, of 1 to 15, are sums of some ten cross-entropies in float32: 1e-6 each, and the weights drift apart by Adam's rounding. */
const LOSS = 1e-4;
/** Relative. */
const NORM = 1e-3;
/** Of the largest number of a tensor. */
const GRADIENT = 1e-5;
/** A gradient that float64 does not tell from 0. */
const ZERO = 1e-12;

/** The largest difference; NaN where there is not the same number of numbers. */
export const far = (actual: ArrayLike<number>, expected: ArrayLike<number>): number => {
  let worst = actual.length === expected.length ? 0 : Number.NaN;
  for (let i = 0; i < expected.length; i++) worst = Math.max(worst, Math.abs(actual[i]! - expected[i]!));
  return worst;
};
const largest = (numbers: Iterable<number>): number => Math.max(...Array.from(numbers, Math.abs));

interface StepsOptions {
  readonly backend: Parameters<typeof openSession>[0];
  readonly graph: TrainingGraph;
  /** The weights before the run, for the interpreter. */
  readonly tensors: TensorLookup;
  readonly fixture: {
    readonly args: Readonly<Record<string, number | string>>;
    readonly losses: readonly number[];
    readonly grad_norms: readonly number[];
  };
  /** The micro-batches of each step. */
  readonly batchesOf: (step: number) => readonly (readonly LabelledSequence[])[];
}

/** Takes all steps of a run. Gives the differences in words; the session is to be destroyed by the caller. */
export async function checkSteps({ backend, graph, tensors, fixture, batchesOf }: StepsOptions) {
  const { args } = fixture;
  const session = await openSession(backend, graph, {
    kind: 'torch',
    beta1: Number(args.adam_beta1),
    beta2: Number(args.adam_beta2),
    epsilon: Number(args.adam_epsilon),
    maxNorm: Number(args.max_grad_norm),
    tensor: tensor => ({ group: 0, decay: decays(tensor) ? Number(args.weight_decay) : 0 }),
  });
  const [steps, warmup] = [Number(args.max_steps), Number(args.warmup_steps)];
  let [worstLoss, worstNorm, worstGradient] = [0, 0, 0];
  for (let step = 0; step < steps; step++) {
    const batches = batchesOf(step);
    const scales = scalesOf(countItems(graph.ops, batches.flat()));
    await session.begin();
    for (const batch of batches) await session.accumulate(batch, { scales, step, seed: 0 });
    if (step === 0) worstGradient = await checkGradients(session, { graph, tensors, batches, scales });
    const rate = Number(args.learning_rate) * (step < warmup ? step / warmup : (steps - step) / (steps - warmup));
    await session.update({ 'rate 0': rate, ...corrections(step + 1, 0.9, 0.999) });
    const { loss, norm } = await session.scalars();
    worstLoss = Math.max(worstLoss, Math.abs(loss - fixture.losses[step]!));
    worstNorm = Math.max(worstNorm, Math.abs(norm / fixture.grad_norms[step]! - 1));
    expect(worstLoss <= LOSS, `loss ${loss} of step ${step}, not ${fixture.losses[step]}`);
    expect(worstNorm <= NORM, `norm ${norm} of step ${step}, not ${fixture.grad_norms[step]}`);
  }
  await session.finish();
  const differences = { loss: worstLoss, norm: worstNorm, 'first gradients': worstGradient };
  const words = Object.entries(differences)
    .map(([name, difference]) => `${name} ${difference.toExponential(1)}`)
    .join(', ');
  return { session, words };
}

/** The largest difference of a gradient, of the largest number of its tensor. */
async function checkGradients(
  session: TrainingSession,
  {
    graph,
    tensors,
    batches,
    scales,
  }: Pick<StepsOptions, 'graph' | 'tensors'> & {
    readonly batches: readonly (readonly LabelledSequence[])[];
    readonly scales: ReturnType<typeof scalesOf>;
  },
): Promise<number> {
  const weights = tensorsOf(graph.gradients, tensors);
  let gradients: ReturnType<typeof interpretTraining>['gradients'] | undefined;
  for (const batch of batches) gradients = interpretTraining(graph, { tensors, batch, scales, gradients }).gradients;
  const expected = tensorGradients(gradients!, weights);
  const actual = tensorGradients(
    new Map(
      await Promise.all(
        graph.gradients.map(async weight => {
          const numbers = Float64Array.from(await session.readState(gradientName(weight)));
          return [weight, { rows: weight.height, columns: weight.stride, data: numbers }] as const;
        }),
      ),
    ),
    weights,
  );
  const ofAll = Math.max(...[...expected.values()].map(largest));
  let worst = 0;
  for (const [tensor, gradient] of expected) {
    // What is 0 in theory, as of key biases, which shift all scores of a query, is as far off as sums of other gradients round.
    const own = largest(gradient);
    const most = own < ZERO ? ofAll : own;
    const difference = far(actual.get(tensor)!, gradient) / most;
    worst = Math.max(worst, difference);
    expect(difference <= GRADIENT, `the gradient of ${tensor} is off by ${difference} of ${most}`);
  }
  return worst;
}
