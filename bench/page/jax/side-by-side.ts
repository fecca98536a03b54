import { withPolling } from '../../../src/gpu/poll.ts';
import { AutoModelForSequenceClassification, PreTrainedModel } from '../../../src/index.ts';
import { Trainer } from '../../../src/train.ts';
import { median } from '../median.ts';
import { type AdamWSettings, type Batch, jaxTraining, type Lookup } from './jax-training.ts';
import { JaxFailure, ofJax, openJax } from './library.ts';
import { checkpointOf, initialWeights, smallBert } from './small-bert.ts';

/** What is trained: a BERT of two layers, on batches of sequences of one length. */
interface Work {
  columns: number;
  sequences: number;
  tokens: number;
  /** How jax-js takes the rows of words. */
  lookup: Lookup;
}

/** Steps of a small BERT beside the same steps in jax-js, in turns. */
export interface JaxFigure extends Work {
  /** From the batch to its loss on the page, with all work of the step done. */
  oursMs: number;
  jaxMs: number;
  /** jaxMs / oursMs. */
  ratio: number;
  rounds: number;
  /** By how much the two losses of a step differ at most, of all steps. */
  lossDifference: number;
  firstLoss: number;
  lastLoss: number;
}

/** The same where jax-js failed, or another loss came out. */
export interface JaxAbsence extends Work {
  failure: string;
}

/** A rate and a decay by which the loss changes within the steps that are compared, so that a wrong update shows in it. */
const ADAMW: AdamWSettings = { rate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, decay: 0.5 };
const WARM_UPS = 3;
/**
 * Both compute in float32, in other orders, which gave 1.2e-6 at most. A second beta of 0.998 for 0.999, an epsilon of 1e-7 for 1e-8 or a rate
 * greater by a hundredth give more than this within twelve steps.
 */
const LOSS_TOLERANCE = 1e-4;

/** Batches of words that follow no rule but the second one, which tells the label. */
function drawnBatches(count: number, { sequences, tokens }: Work, vocabulary: number): Batch[] {
  const draw = (i: number) => 4 + ((i * 7919) % (vocabulary - 4));
  return Array.from({ length: count }, (_, b) => ({
    ids: Array.from({ length: sequences }, (_, i) =>
      Array.from({ length: tokens }, (_, t) => (t === 1 ? 2 + (i % 2) : draw((b * sequences + i) * tokens + t))),
    ),
    labels: Array.from({ length: sequences }, (_, i) => i % 2),
  }));
}

/** A step of either side in turns, from the same weights, on the same batches. */
export async function benchJax(work: Work, { rounds }: { rounds: number }): Promise<JaxFigure | JaxAbsence> {
  try {
    return await sideBySide(work, rounds);
  } catch (error) {
    if (error instanceof JaxFailure) return { ...work, failure: error.message };
    throw error;
  }
}

async function sideBySide(work: Work, rounds: number): Promise<JaxFigure> {
  const { columns, sequences, lookup } = work;
  const config = smallBert(columns);
  const weights = initialWeights(config, 1);
  const batches = drawnBatches(WARM_UPS + rounds, work, config.vocab_size);
  const jax = await openJax();
  const theirs = await ofJax(() => jaxTraining(jax, config, weights, lookup, ADAMW));
  const { queue: jaxQueue } = jax.getWebGPUDevice();
  const model = await AutoModelForSequenceClassification.from_pretrained(await checkpointOf(config, weights));
  const { queue } = (await PreTrainedModel.engineOf(model).backend()).access!.device;
  const done = (each: GPUQueue) => withPolling(each, each.onSubmittedWorkDone());
  const [times, jaxTimes, losses, jaxLosses]: [number[], number[], number[], number[]] = [[], [], [], []];
  let began = 0;
  const trainer = new Trainer({
    model,
    train_dataset: batches.flatMap(({ ids, labels }) => ids.map((input_ids, i) => ({ input_ids, labels: labels[i]! }))),
    args: {
      per_device_train_batch_size: sequences,
      num_train_epochs: 1,
      train_sampling_strategy: 'sequential',
      learning_rate: ADAMW.rate,
      lr_scheduler_type: 'constant',
      adam_beta1: ADAMW.beta1,
      adam_beta2: ADAMW.beta2,
      adam_epsilon: ADAMW.epsilon,
      weight_decay: ADAMW.decay,
      max_grad_norm: 0,
      logging_steps: 1,
    },
    callbacks: [
      {
        async on_step_begin(_, { global_step }) {
          await done(queue);
          const start = performance.now();
          const loss = await ofJax(async () => {
            // In Firefox it polls by itself, but not for longer than a second, which a step may take.
            const loss = await withPolling(jaxQueue, theirs.step(batches[global_step]!));
            await done(jaxQueue);
            return loss;
          });
          began = performance.now();
          jaxTimes.push(began - start);
          jaxLosses.push(loss);
        },
        async on_log(_, __, ___, { logs }) {
          // The last log is that of the whole run.
          if (logs?.loss === undefined) return;
          await done(queue);
          times.push(performance.now() - began);
          losses.push(logs.loss);
        },
      },
    ],
  });
  try {
    await trainer.train();
  } finally {
    await model.dispose();
  }
  await ofJax(() => theirs.dispose());
  const lossDifference = largestDifference(losses, jaxLosses);
  const [oursMs, jaxMs] = [median(times.slice(WARM_UPS)), median(jaxTimes.slice(WARM_UPS))];
  const [firstLoss, lastLoss] = [losses[0]!, losses.at(-1)!];
  return { ...work, oursMs, jaxMs, ratio: jaxMs / oursMs, rounds, lossDifference, firstLoss, lastLoss };
}

/** By how much the losses differ. Throws a JaxFailure where it is more than rounding: times of another training are no comparison. */
function largestDifference(losses: readonly number[], jaxLosses: readonly number[]): number {
  const differences = losses.map((loss, i) => Math.abs(loss - jaxLosses[i]!));
  const wrong = differences.findIndex(difference => !(difference <= LOSS_TOLERANCE));
  if (wrong < 0) return Math.max(...differences);
  throw new JaxFailure(`step ${wrong + 1} has the loss ${losses[wrong]} here and ${jaxLosses[wrong]} there`);
}
