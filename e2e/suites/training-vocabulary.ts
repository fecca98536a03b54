import { type LabelledSequence, NO_DROPOUT } from '../../src/gradients/index.ts';
import * as library from '../../src/index.ts';
import { readConfig } from '../../src/model/config.ts';
import { checkSequence } from '../../src/model/index.ts';
import { type DataRecord, Trainer, type TrainingArgumentsInit } from '../../src/train.ts';
import { taskGraph } from '../../src/training/task.ts';
import { picker } from '../../tests/drawn-configs.ts';
import type { TrainingFixture } from '../../tests/training-run.ts';
import { restrict } from '../gpu-limits.ts';
import { liveBytes } from '../gpu-watch.ts';
import { check, expect, expectEqual, expectSameBits } from '../harness.ts';
import { addressOf, fetchJson, ownDevice } from '../library.ts';
import { checkAgainstInterpreter, gradientsOnDevice } from '../training-gradients.ts';

/** Masked words of a vocabulary in tiles, or in slices (src/gradients/vocabulary.ts), on this device against the float64 interpreter. */

library.env.useBrowserCache = false;

/** Two tiles, the last of a number of columns that is no multiple of four. */
const VOCABULARY = 20_001;

const fieldsOf = (vocab_size: number) => ({
  model_type: 'bert',
  architectures: ['BertForMaskedLM'],
  vocab_size,
  hidden_size: 36,
  num_hidden_layers: 1,
  num_attention_heads: 3,
  intermediate_size: 40,
  hidden_act: 'gelu',
  max_position_embeddings: 64,
  type_vocab_size: 2,
});

/** A step of a model with so many words. Every third token is masked, one of them without a label; the last word is among the labels. */
function stepOf(words: number, smoothing: number) {
  const config = readConfig(fieldsOf(words));
  const pick = picker('tokens');
  const batch = [9, 40, 4].map((length, b): LabelledSequence => {
    const ids = Array.from({ length }, () => pick(3, words - 1));
    const masked = ids.map((_, i) => i).filter(i => i % 3 === 1);
    const labels = masked.map((_, i) => (i === 0 ? (b === 0 ? 0xffffffff : words - 1) : pick(0, words - 1)));
    return { ...checkSequence(config, { ids, masked }), labels };
  });
  const task = { config, head: 'MaskedLM', problem: 'masked_lm' } as const;
  const graph = taskGraph(task, { trainable: () => true, dropout: NO_DROPOUT, smoothing });
  return { graph, batch, scales: { labels: 1 / 16, next_sentence_label: 0 } };
}

for (const smoothing of [0, 0.1]) {
  check(`a vocabulary in tiles: every gradient, and the same bits again, smoothing ${smoothing}`, async log => {
    const run = stepOf(VOCABULARY, smoothing);
    const found = await gradientsOnDevice(run);
    log(`largest difference ${checkAgainstInterpreter(run, found).toExponential(1)}`);
    const again = await gradientsOnDevice(run);
    expect(again.loss === found.loss, `the loss is ${again.loss}, then ${found.loss}`);
    for (const [tensor, gradient] of found.gradients) {
      expectSameBits(Float32Array.from(again.gradients.get(tensor)!), Float32Array.from(gradient), tensor);
    }
  });
}

/** Bytes of a binding: 276 rows of 36 floats, or 208 of 48. */
const SMALL = 40_000;

check('a vocabulary in slices: every gradient', async log => {
  const run = { ...stepOf(641, 0.1), caps: { maxBindingBytes: SMALL } };
  const found = await gradientsOnDevice(run);
  // The table and the bias are three slices each.
  expectEqual(found.states, run.graph.gradients.length + 4, 'states of gradients');
  log(`largest difference ${checkAgainstInterpreter(run, found).toExponential(1)}`);
});

type MaskedLM = Awaited<ReturnType<typeof library.AutoModelForMaskedLM.from_config>>;

/** Trains a model on a device of its own, which is gone afterwards. */
async function trained(
  { model, device }: { model: MaskedLM; device: GPUDevice },
  train_dataset: readonly DataRecord[],
  args: TrainingArgumentsInit = {},
  resume?: string,
) {
  const trainer = new Trainer({
    model,
    train_dataset,
    args: {
      max_steps: 6,
      logging_steps: 1,
      learning_rate: 1e-3,
      per_device_train_batch_size: 4,
      dropout: 0.1,
      ...args,
    },
  });
  const memory = await trainer.memory();
  let held = 0;
  trainer.add_callback({
    on_step_end: () => {
      held = liveBytes(device);
    },
  });
  await trainer.train(resume ? { resume_from_checkpoint: resume } : {});
  const [losses, norms] = (['loss', 'grad_norm'] as const).map(name =>
    trainer.state.log_history.flatMap(entry => entry[name] ?? []),
  );
  // A call of the model has buffers of its own.
  held -= (await model.bytes()).activations;
  const { logits } = await model({ input_ids: [[2, 7, 9, 3]] });
  await model.dispose();
  device.destroy();
  return { numbers: [...losses!, ...norms!, ...(logits!.data as Float32Array)], memory: memory!, held };
}

/** Trains the fixture's model. */
async function fixtureRun(device: GPUDevice, args: TrainingArgumentsInit, resume?: string) {
  const { data } = await fetchJson<TrainingFixture>('/fixtures/training/bert-masked-lm.json');
  const address = addressOf('/fixtures/random/bert-masked-lm/');
  const model = await library.AutoModelForMaskedLM.from_pretrained(address, { device });
  return trained(
    { model, device },
    data.map(example => ({ ...example })),
    { max_tokens_per_batch: 64, ...args },
    resume,
  );
}

check('a vocabulary in tiles: a training holds what it says, and learns', async log => {
  const device = await ownDevice();
  const model = await library.AutoModelForMaskedLM.from_config(fieldsOf(VOCABULARY), { device, seed: 1 });
  const pick = picker('records');
  // Every word is the one that is asked for.
  const records = Array.from({ length: 4 }, () => {
    const input_ids = Array.from({ length: 32 }, () => pick(3, VOCABULARY - 1));
    return { input_ids, labels: [...input_ids] };
  });
  const { numbers, memory, held } = await trained({ model, device }, records, { learning_rate: 1e-2 });
  const [first, last] = [numbers[0]!, numbers[5]!];
  log(`${held} bytes held, ${memory.total} said; the loss went from ${first} to ${last}`);
  expect(Math.abs(first - Math.log(VOCABULARY)) < 0.2, `the first loss is ${first}`);
  expect(last < first - 1, `the loss went from ${first} to ${last}`);
  expect(Math.abs(memory.total / held - 1) < 0.01, `${held} bytes are held, ${memory.total} were said`);
  // All logits of the 128 tokens, and their gradient, would be 20 MB.
  expect(memory.activations < 1.2e7, `${memory.activations} bytes of activations`);
});

const smallDevice = async (): Promise<GPUDevice> =>
  restrict(await ownDevice(), { maxStorageBufferBindingSize: SMALL, maxBufferSize: 4 * SMALL });

check('a vocabulary in slices: a run is that of a device with room for the whole', async log => {
  const whole = await fixtureRun(await ownDevice(), {});
  const { numbers, memory, held } = await fixtureRun(await smallDevice(), {});
  const worst = Math.max(...numbers.map((value, i) => Math.abs(value - whole.numbers[i]!)));
  log(`losses, norms and logits differ by ${worst.toExponential(1)}; ${held} bytes held, ${memory.total} said`);
  expectEqual(numbers.length, whole.numbers.length, 'how many numbers');
  // Six steps of Adam in float32, whose sums over the vocabulary are added up in another order.
  expect(worst < 2e-3, `off by ${worst}`);
  expect(Math.abs(memory.total / held - 1) < 0.01, `${held} bytes are held, ${memory.total} were said`);
});

check('a vocabulary in slices: training goes on from a checkpoint to the same bits', async () => {
  const args: TrainingArgumentsInit = { output_dir: 'opfs:vocabulary/case', save_steps: 3 };
  const whole = await fixtureRun(await smallDevice(), args);
  const resumed = await fixtureRun(await smallDevice(), args, 'checkpoint-3');
  expectEqual(JSON.stringify(resumed.numbers), JSON.stringify(whole.numbers), 'six steps, three of them before');
  await (await navigator.storage.getDirectory()).removeEntry('vocabulary', { recursive: true });
});
