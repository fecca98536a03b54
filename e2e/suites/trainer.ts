import * as library from '../../src/index.ts';
import { type DataRecord, Trainer, type TrainingArgumentsInit } from '../../src/train.ts';
import { logged } from '../../tests/trained-model.ts';
import type { TrainingFixture } from '../../tests/training-run.ts';
import { liveBuffers, liveBytes, takeCounts, takeScopes } from '../gpu-watch.ts';
import { check, expect, expectEqual, expectSameBits } from '../harness.ts';
import { addressOf, fetchJson, ownDevice } from '../library.ts';

/**
 * The Trainer on this device: the same bits for the same seed, the same step however it is packed, the memory that it says it will hold,
 * nothing made once it runs, and weights that are those of a whole step whatever stops it. What a step computes: the suite `training`.
 */

library.env.useBrowserCache = false;

const { data } = await fetchJson<TrainingFixture>('/fixtures/training/bert-sequence.json');
const RECORDS: DataRecord[] = data.map(example => ({ ...example }));

async function setUp(args: TrainingArgumentsInit, train_dataset: readonly DataRecord[] = RECORDS) {
  const device = await ownDevice();
  const address = addressOf('/fixtures/random/bert-sequence/');
  const model = await library.AutoModelForSequenceClassification.from_pretrained(address, { device });
  const trainer = new Trainer({
    model,
    train_dataset,
    args: { learning_rate: 1e-3, logging_steps: 1, per_device_train_batch_size: 4, ...args },
  });
  const logits = async (): Promise<number[]> => [
    ...((await model({ input_ids: [[2, 7, 9, 3]] })).logits.data as Float32Array),
  ];
  const losses = () => logged(trainer, 'loss');
  const end = async () => {
    await model.dispose();
    device.destroy();
  };
  return { device, model, trainer, logits, losses, end };
}

check('the same seed gives the same bits, dropout included, and another seed others', async () => {
  const run = async (seed: number) => {
    const { trainer, logits, losses, end } = await setUp({ max_steps: 6, dropout: 0.1, seed });
    await trainer.train();
    const bits = JSON.stringify([losses(), await logits()]);
    await end();
    return bits;
  };
  const [first, second, other] = [await run(1), await run(1), await run(2)];
  expectEqual(second, first, 'the second run');
  expect(other !== first, 'another seed made no difference');
});

check('a step is the same whole, accumulated, or split by its tokens', async log => {
  const run = async (args: TrainingArgumentsInit) => {
    // Dropout too is the same, since its masks go by the place in the step.
    const { trainer, logits, losses, end } = await setUp({ max_steps: 3, dropout: 0.1, ...args });
    await trainer.train();
    const norms = logged(trainer, 'grad_norm');
    const numbers = [...losses(), ...norms, ...(await logits())];
    await end();
    return numbers;
  };
  const whole = await run({ per_device_train_batch_size: 4 });
  for (const args of [
    { per_device_train_batch_size: 2, gradient_accumulation_steps: 2 },
    { per_device_train_batch_size: 1, gradient_accumulation_steps: 4 },
    { per_device_train_batch_size: 4, max_tokens_per_batch: 20 },
  ]) {
    const worst = Math.max(...(await run(args)).map((value, i) => Math.abs(value / whole[i]! - 1)));
    log(`${JSON.stringify(args)}: ${worst.toExponential(1)}`);
    expect(worst < 1e-5 * 10, `${JSON.stringify(args)} is off by ${worst}`);
  }
});

check('class weights count examples as often as copies of them', async log => {
  const run = async (args: TrainingArgumentsInit, records: readonly DataRecord[]) => {
    const sized = { per_device_train_batch_size: records.length, train_sampling_strategy: 'sequential' } as const;
    const { trainer, logits, losses, end } = await setUp({ max_steps: 3, dropout: 0, ...sized, ...args }, records);
    await trainer.train();
    const norms = trainer.state.log_history.flatMap(({ grad_norm }) => grad_norm ?? []);
    const numbers = [...losses(), ...norms, ...(await logits())];
    await end();
    return numbers;
  };
  const own = data.slice(0, 4).map(example => ({ ...example }));
  const copies = own.flatMap(record => Array.from({ length: 1 + Number(record.labels) }, () => record));
  const wanted = await run({}, copies);
  const found = await run({ class_weights: [1, 2, 3] }, own);
  const worst = Math.max(...found.map((value, i) => Math.abs(value / wanted[i]! - 1)));
  log(`largest difference ${worst.toExponential(1)} of a loss, a norm or a logit`);
  // As of a step that is split: the sums are those of other rows.
  expect(worst < 1e-4, `off by ${worst}`);
});

check('holds what it says it will, and makes nothing once it runs', async log => {
  // Every length from the first epoch on, so that the largest batch comes early.
  const { trainer, model, device, end } = await setUp({
    max_steps: 500,
    logging_steps: 50,
    per_device_train_batch_size: 2,
  });
  const before = liveBytes(device);
  const memory = await trainer.memory();
  expectEqual(liveBytes(device), before, 'bytes held when it has only said what it will hold');
  const held: { readonly bytes: number; readonly count: number }[] = [];
  trainer.add_callback({
    on_step_end(_, { global_step }) {
      if (global_step === 10) takeCounts();
      if (global_step >= 10) held.push(liveBuffers(device));
    },
  });
  takeScopes();
  await trainer.train();
  const { createBuffer, createTexture, createBindGroup, createComputePipelineAsync, mapAsync } = takeCounts();
  expectEqual(
    { createBuffer, createTexture, createBindGroup, createComputePipelineAsync },
    { createBuffer: 0, createTexture: 0, createBindGroup: 0, createComputePipelineAsync: 0 },
    'made in the last 490 steps',
  );
  // From step 10 on: at 50, 100, ..., 500, and once at the end.
  expectEqual(mapAsync, 11, 'readbacks, one for every log');
  expectEqual(held.length, 491, 'steps that were looked at');
  expectEqual(new Set(held.map(({ bytes }) => bytes)).size, 1, 'how many different bytes were held');
  expectEqual(new Set(held.map(({ count }) => count)).size, 1, 'how many different numbers of buffers were held');
  const { unscoped, acrossAwait } = takeScopes();
  expectEqual({ unscoped, acrossAwait }, { unscoped: [], acrossAwait: 0 }, 'calls outside of error scopes');
  // A call of the model has buffers of its own; its weights are counted in both.
  const { activations } = await model.bytes();
  const bytes = held[0]!.bytes - activations;
  log(`${bytes} bytes in ${held[0]!.count} buffers held, ${memory!.total} said`);
  expect(Math.abs(memory!.total / bytes - 1) < 0.01, `${bytes} bytes are held, ${memory!.total} were said`);
  const after = liveBytes(device);
  expect(after < before + 1e5, `${after} bytes are left of a training, ${before} were there before`);
  await end();
});

check('holds what it says it will where parts of a batch are larger than its longest records', async log => {
  // Of the longest two a part has 60 tokens, of others 70, which takes buffers twice as large.
  const records: DataRecord[] = [30, 30, 30, 30, 20, 20, 20, 20].map((length, labels) => ({
    input_ids: Array.from({ length }, (_, i) => 2 + ((i * 7 + labels) % 40)),
    labels: labels % 2,
  }));
  const args = { max_steps: 12, per_device_train_batch_size: 8, max_tokens_per_batch: 70 };
  const { trainer, model, device, end } = await setUp(args, records);
  const memory = await trainer.memory();
  const held: number[] = [];
  trainer.add_callback({
    on_step_begin() {
      held.push(liveBytes(device));
    },
  });
  await trainer.train();
  const bytes = held[0]! - (await model.bytes()).activations;
  log(`${bytes} bytes held, ${memory!.total} said`);
  expectEqual(new Set(held).size, 1, 'how many different bytes were held');
  expect(Math.abs(memory!.total / bytes - 1) < 0.01, `${bytes} bytes are held, ${memory!.total} were said`);
  await end();
});

check('a signal stops it within a step, with the weights of a whole one', async () => {
  const stop = new AbortController();
  const first = await setUp({ max_steps: 50, gradient_accumulation_steps: 2 });
  first.trainer.add_callback({
    on_substep_end: (_, { global_step }) => {
      if (global_step === 3) stop.abort(new Error('enough'));
    },
  });
  const error = await first.trainer.train({ signal: stop.signal }).catch((reason: Error) => reason);
  expectEqual((error as Error).message, 'enough', 'the reason');
  const second = await setUp({ max_steps: 50, gradient_accumulation_steps: 2 });
  second.trainer.add_callback({
    on_step_end: (_, { global_step }, control) => {
      control.should_training_stop = global_step === 3;
    },
  });
  await second.trainer.train();
  expectEqual(await first.logits(), await second.logits(), 'the logits after three steps');
  await first.end();
  await second.end();
});

check('learns, and a call between two steps sees the weights of that step', async () => {
  const records = RECORDS.slice(0, 8);
  const { trainer, logits, losses, end } = await setUp(
    { num_train_epochs: 15, learning_rate: 2e-3, dropout: 0 },
    records,
  );
  const seen: string[] = [];
  trainer.add_callback({
    async on_step_end() {
      seen.push((await logits()).join());
    },
  });
  await trainer.train();
  expectEqual(new Set(seen).size, seen.length, 'how many different answers the steps gave');
  expectEqual(seen.at(-1), (await logits()).join(), 'the answer after the last step');
  expect(losses().at(-1)! < losses()[0]! / 2, `the loss went from ${losses()[0]} to ${losses().at(-1)}`);
  const { eval_loss } = await trainer.evaluate(records);
  expect(eval_loss! < losses()[0]! / 2, `the loss of the evaluation is ${eval_loss}`);
  await end();
});

check('a pipeline of the model answers between two steps, without a copy of the weights', async log => {
  const { model, trainer, device, end } = await setUp({ max_steps: 4, dropout: 0 });
  const from = addressOf('/fixtures/random/bert-sequence/');
  const tokenizer = await library.AutoTokenizer.from_pretrained(from);
  const bare = liveBytes(device);
  const { weights } = await model.bytes();
  const classifier = await library.pipeline('text-classification', model, { tokenizer });
  expectEqual(liveBytes(device), bare, 'bytes held when the pipeline is made');
  expect(classifier.model === model, 'the pipeline has another model');
  const ask = (pipe: typeof classifier) => pipe(['Paris is old.', 'the river'], { top_k: null });
  const seen = [await ask(classifier)];
  const { total } = (await trainer.memory())!;
  const held: number[] = [];
  trainer.add_callback({
    async on_step_end() {
      seen.push(await ask(classifier));
      // A call has buffers of its own.
      held.push(liveBytes(device) - (await model.bytes()).activations);
    },
  });
  await trainer.train();
  log(`${weights} bytes of weights; ${held[0]} held between two steps, of which a training alone says ${total}`);
  expectEqual(new Set(held).size, 1, 'how many different bytes were held');
  expect(Math.abs(held[0]! / total - 1) < 0.01, `${held[0]} bytes are held, a training alone says ${total}`);
  expect(held[0]! - total < weights / 10, 'there is a copy of the weights');
  expectEqual((await model.bytes()).weights, weights, 'bytes of the weights');
  expectEqual(new Set(seen.map(answer => JSON.stringify(answer))).size, 5, 'how many different answers there were');
  const files = [...(await model.save_pretrained()), ...(await tokenizer.save_pretrained())];
  const again = await library.pipeline('text-classification', files, { device });
  expectSameBits(await ask(again), seen.at(-1), 'the answers of the saved model');
  await end();
});

for (const event of ['on_pre_optimizer_step', 'on_step_end'] as const) {
  check(`a model that is disposed of in ${event} ends it with a typed error, and leaves nothing`, async () => {
    const { trainer, device, model } = await setUp({ max_steps: 50 });
    const disposeOnce = async (_: unknown, { global_step }: { global_step: number }) => {
      if (global_step === 2) await model.dispose();
    };
    trainer.add_callback({ [event]: disposeOnce });
    const error = (await trainer.train().catch((reason: Error) => reason)) as Error;
    expectEqual(error.name, 'DeviceError', 'the class of the error');
    expect(error.message.includes('the model was disposed'), error.message);
    expectEqual(liveBytes(device), 0, 'bytes held');
    device.destroy();
  });
}

check('a lost device ends it with a typed error', async () => {
  const { trainer, device, model } = await setUp({ max_steps: 50 });
  trainer.add_callback({
    on_step_end: (_, { global_step }) => {
      if (global_step === 2) device.destroy();
    },
  });
  const error = (await trainer.train().catch((reason: Error) => reason)) as Error;
  expectEqual(error.name, 'DeviceError', 'the class of the error');
  await model.dispose();
});
