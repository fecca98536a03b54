import { PreTrainedModel } from '../../src/api/model.ts';
import type { ModelSource } from '../../src/checkpoint/source/index.ts';
import { countItems, gradientName, NO_DROPOUT, scalesOf } from '../../src/gradients/index.ts';
import * as library from '../../src/index.ts';
import { corrections, decays } from '../../src/training/optimizer.ts';
import { openSession } from '../../src/training/session.ts';
import { labelledSequence, taskGraph, taskOf } from '../../src/training/task.ts';
import { streamedFile } from '../../tests/checkpoint-bytes.ts';
import { loadCheckpoint } from '../../tests/checkpoint-tensors.ts';
import { interpretTraining } from '../../tests/gradient-interpreter.ts';
import type { TrainingFixture } from '../../tests/training-run.ts';
import { tensorGradients, tensorsOf } from '../../tests/training-tensors.ts';
import { sharedDevice } from '../fixtures.ts';
import { check, expect } from '../harness.ts';
import { addressOf, fetchJson } from '../library.ts';

/**
 * Whole training runs on this device against torch's in float64 (tests/fixtures/training), and every gradient of the first step against the
 * interpreter's, which are torch's to nine digits (tests/training-fixtures.test.ts).
 */

/** Losses, of 1 to 15, are sums of some ten cross-entropies in float32: 1e-6 each, and the weights drift apart by Adam's rounding. */
const LOSS = 1e-4;
/** Relative. */
const NORM = 1e-3;
/** Of the largest number of a tensor. */
const GRADIENT = 1e-5;
/** A gradient that float64 does not tell from 0. */
const ZERO = 1e-12;
/** Of a logit after 20 steps. */
const LOGITS = 2e-3;

const RUNS: Readonly<Record<string, string>> = {
  'albert-sequence': 'training/models/albert-sequence',
  'bert-masked-lm': 'random/bert-masked-lm',
  'bert-multilabel': 'random/bert-multilabel',
  'bert-pretraining': 'random/bert-pretraining',
  'bert-qa': 'random/bert-qa',
  'bert-regression': 'random/bert-rerank',
  'bert-sequence': 'random/bert-sequence',
  'bert-token': 'random/bert-token',
  'distilbert-sequence': 'random/distilbert-sequence',
  'electra-token': 'training/models/electra-token',
  'mpnet-sequence': 'random/mpnet-sequence',
  'roberta-token': 'random/roberta-token',
  'xlm-roberta-masked-lm': 'training/models/xlm-roberta-masked-lm',
};

library.env.useBrowserCache = false;

/** The files of a folder of the tests' server. */
const sourceOf = (address: string): ModelSource => ({
  name: address,
  async open(file) {
    const response = await fetch(address + file);
    if (!response.ok) return undefined as never;
    const bytes = await response.blob();
    return streamedFile(bytes.stream() as ReadableStream<Uint8Array<ArrayBuffer>>, bytes.size);
  },
  async json(file) {
    const response = await fetch(address + file);
    return response.ok ? response.json() : undefined;
  },
});

const far = (actual: ArrayLike<number>, expected: ArrayLike<number>): number => {
  let worst = actual.length === expected.length ? 0 : Number.NaN;
  for (let i = 0; i < expected.length; i++) worst = Math.max(worst, Math.abs(actual[i]! - expected[i]!));
  return worst;
};
const largest = (numbers: Iterable<number>): number => Math.max(...Array.from(numbers, Math.abs));
/** Of a question the logits of a row may all move by one number: the gradient of a bias that shifts them is 0 but for rounding. */
const centred = (numbers: readonly number[]): number[] => {
  const mean = numbers.reduce((a, b) => a + b, 0) / numbers.length;
  return numbers.map(v => v - mean);
};

for (const [name, folder] of Object.entries(RUNS)) {
  check(`${name}: losses, gradients and logits are torch's`, async log => {
    const fixture = await fetchJson<TrainingFixture>(`/fixtures/training/${name}.json`);
    const address = addressOf(`/fixtures/${folder}/`);
    const { args, data, probe, head } = fixture;
    const kind = /For(\w+)$/.exec(head)![1]!;
    const classes = library as unknown as Record<string, typeof library.AutoModelForSequenceClassification>;
    const model = await classes[`AutoModelFor${kind}`]!.from_pretrained(address, { device: await sharedDevice() });
    const engine = PreTrainedModel.engineOf(model);
    const task = taskOf(engine.config, engine.head, probe);
    const graph = taskGraph(task, { trainable: () => true, dropout: NO_DROPOUT });
    const session = await openSession(await engine.backendForTraining(), graph, {
      kind: 'torch',
      beta1: Number(args.adam_beta1),
      beta2: Number(args.adam_beta2),
      epsilon: Number(args.adam_epsilon),
      maxNorm: Number(args.max_grad_norm),
      tensor: tensor => ({ group: 0, decay: decays(tensor) ? Number(args.weight_decay) : 0 }),
    });
    const { tensors } = await loadCheckpoint(sourceOf(address));
    const micro = Number(args.per_device_train_batch_size);
    const perStep = micro * Number(args.gradient_accumulation_steps);
    const [steps, warmup] = [Number(args.max_steps), Number(args.warmup_steps)];
    const sequences = data.map(example => labelledSequence(task, example));
    let [worstLoss, worstNorm, worstGradient] = [0, 0, 0];
    for (let step = 0; step < steps; step++) {
      const batch = Array.from({ length: perStep }, (_, i) => sequences[(step * perStep + i) % sequences.length]!);
      const scales = scalesOf(countItems(graph.ops, batch));
      await session.begin();
      for (let at = 0; at < perStep; at += micro) {
        await session.accumulate(batch.slice(at, at + micro), { scales, step, seed: 0 });
      }
      if (step === 0) {
        const weights = tensorsOf(graph.gradients, tensors);
        const options = { tensors, batch, scales };
        const expected = tensorGradients(interpretTraining(graph, options).gradients, weights);
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
        for (const [tensor, gradient] of expected) {
          // What is 0 in theory, as of key biases, which shift all scores of a query, is as far off as sums of other gradients round.
          const own = largest(gradient);
          const most = own < ZERO ? ofAll : own;
          const worst = far(actual.get(tensor)!, gradient) / most;
          worstGradient = Math.max(worstGradient, worst);
          expect(worst <= GRADIENT, `the gradient of ${tensor} is off by ${worst} of ${most}`);
        }
      }
      const rate = Number(args.learning_rate) * (step < warmup ? step / warmup : (steps - step) / (steps - warmup));
      await session.update({ 'rate 0': rate, ...corrections(step + 1, 0.9, 0.999) });
      const { loss, norm } = await session.scalars();
      worstLoss = Math.max(worstLoss, Math.abs(loss - fixture.losses[step]!));
      worstNorm = Math.max(worstNorm, Math.abs(norm / fixture.grad_norms[step]! - 1));
      expect(
        Math.abs(loss - fixture.losses[step]!) <= LOSS,
        `loss ${loss} of step ${step}, not ${fixture.losses[step]}`,
      );
      expect(worstNorm <= NORM, `norm ${norm} of step ${step}, not ${fixture.grad_norms[step]}`);
    }
    await session.finish();
    const long = (list: readonly number[]) =>
      new library.Tensor('int64', BigInt64Array.from(list, BigInt), [1, list.length]);
    const outputs = (await model({
      input_ids: long(probe.input_ids),
      ...(probe.token_type_ids && { token_type_ids: long(probe.token_type_ids) }),
    })) as unknown as Record<string, library.Tensor>;
    let worstLogit = 0;
    for (const [output, expected] of Object.entries(fixture.after)) {
      const actual = [...(outputs[output]!.data as Float32Array)].slice(0, expected.length);
      const difference = name.endsWith('qa') ? far(centred(actual), centred(expected)) : far(actual, expected);
      worstLogit = Math.max(worstLogit, difference);
      expect(difference <= LOGITS, `${output} after the run is off by ${difference}`);
    }
    log(
      `loss ${worstLoss.toExponential(1)}, norm ${worstNorm.toExponential(1)}, first gradients ${worstGradient.toExponential(1)}, logits after ${worstLogit.toExponential(1)}`,
    );
    session.destroy();
    await model.dispose();
  });
}
