import { expect, test, vi } from 'vitest';
import { InputError } from '../src/errors.ts';
import { AutoModelForSequenceClassification } from '../src/index.ts';
import { EarlyStoppingCallback, Trainer, type TrainingArgumentsInit } from '../src/train.ts';
import { CheckpointFolders } from '../src/training/checkpoint-folders.ts';
import { FakeDirectory } from './fake-directory.ts';
import { sequenceFiles, sequenceRecords } from './sequence-training.ts';
import { thrown } from './source-environment.ts';

/** Checkpoints of a Trainer, in Node: on the interpreter, in a folder in memory. In other pages: e2e/suites/resumed-training.ts. */

vi.mock('../src/engine/webgpu-backend.ts', async original => (await import('./on-the-cpu.ts')).onTheCPU(original));

const records = sequenceRecords(10);

async function setUp(args: TrainingArgumentsInit) {
  const model = await AutoModelForSequenceClassification.from_pretrained(sequenceFiles);
  const trainer = new Trainer({
    model,
    train_dataset: records,
    eval_dataset: records.slice(0, 2),
    args: { per_device_train_batch_size: 2, learning_rate: 1e-3, dropout: 0.1, logging_steps: 2, ...args },
  });
  const logits = async () => [...((await model({ input_ids: [[2, 7, 9, 3]] })).logits.data as Float32Array)];
  return { model, trainer, logits };
}

const lossesOf = ({ state }: Trainer) =>
  state.log_history.flatMap(({ step, loss }) => (loss === undefined ? [] : [[step, loss]]));
const names = async (directory: FakeDirectory) => {
  const folders = await CheckpointFolders.open(directory.handle());
  folders.close();
  return (await folders.list()).map(({ name }) => name);
};

test.each([
  ['in the middle of an epoch, between two logs', { max_steps: 7, save_steps: 3 }, 'checkpoint-3'],
  ['at the end of an epoch', { max_steps: 7, save_strategy: 'epoch' }, 'checkpoint-5'],
  ['with accumulated batches', { max_steps: 5, save_steps: 2, gradient_accumulation_steps: 2 }, 'checkpoint-2'],
] as const)('a training goes on %s to the same bits', async (_, args, name) => {
  const output_dir = new FakeDirectory().handle();
  const whole = await setUp({ ...args, output_dir });
  const output = await whole.trainer.train();
  const resumed = await setUp({ ...args, output_dir });
  const again = await resumed.trainer.train({ resume_from_checkpoint: name });
  expect(await resumed.logits()).toEqual(await whole.logits());
  expect(lossesOf(resumed.trainer)).toEqual(lossesOf(whole.trainer));
  expect(again.global_step).toBe(output.global_step);
  expect(again.training_loss).toBe(output.training_loss);
  expect(resumed.trainer.state.epoch).toBe(whole.trainer.state.epoch);
});

test('a training that goes on between two logs logs what one without checkpoints does', async () => {
  const output_dir = new FakeDirectory().handle();
  const plain = await setUp({ max_steps: 8, logging_steps: 4 });
  await plain.trainer.train();
  const first = await setUp({ max_steps: 8, logging_steps: 4, save_steps: 2, output_dir });
  await first.trainer.train();
  const resumed = await setUp({ max_steps: 8, logging_steps: 4, save_steps: 2, output_dir });
  await resumed.trainer.train({ resume_from_checkpoint: 'checkpoint-2' });
  for (const { trainer } of [first, resumed]) expect(lossesOf(trainer)).toEqual(lossesOf(plain.trainer));
});

test('the latest checkpoint is the one to go on from, whole ones only', async () => {
  const directory = new FakeDirectory();
  const output_dir = directory.handle();
  const first = await setUp({ max_steps: 4, save_steps: 2, output_dir });
  await first.trainer.train();
  expect(await names(directory)).toEqual(['checkpoint-2', 'checkpoint-4']);
  // A folder whose writing was cut off has no trainer_state.json.
  await (await directory.getDirectoryHandle('checkpoint-9', { create: true })).getFileHandle('config.json', {
    create: true,
  });
  const second = await setUp({ max_steps: 5, save_steps: 2, output_dir });
  await second.trainer.train({ resume_from_checkpoint: true });
  expect(second.trainer.state.global_step).toBe(5);
  expect(lossesOf(second.trainer).map(([step]) => step)).toEqual([2, 4]);
});

test('a checkpoint is a model that loads', async () => {
  const output_dir = new FakeDirectory().handle();
  const { trainer, logits } = await setUp({ max_steps: 2, save_steps: 2, output_dir });
  await trainer.train();
  const folders = await CheckpointFolders.open(output_dir);
  const model = await AutoModelForSequenceClassification.from_pretrained(await folders.read('checkpoint-2'));
  expect([...((await model({ input_ids: [[2, 7, 9, 3]] })).logits.data as Float32Array)]).toEqual(await logits());
  await trainer.save_model(output_dir);
  expect((await folders.list()).map(({ name }) => name)).toEqual(['checkpoint-2']);
  folders.close();
});

test('a folder is of one training at a time, and is given back whatever ends it', async () => {
  const output_dir = new FakeDirectory('letters').handle();
  const stop = new AbortController();
  const [first, second] = [
    await setUp({ max_steps: 4, save_steps: 2, output_dir }),
    await setUp({ max_steps: 2, save_steps: 2, output_dir }),
  ];
  const before = await second.logits();
  let refused: Error | undefined;
  first.trainer.add_callback({
    async on_step_end() {
      refused ??= await thrown(second.trainer.train());
    },
  });
  await first.trainer.train();
  expect(refused).toBeInstanceOf(InputError);
  expect(refused?.message).toMatch(/^another training writes its checkpoints into this folder now.*letters/s);
  expect(await second.logits()).toEqual(before);
  // What is refused, or stopped, holds no folder.
  await thrown(second.trainer.train({ resume_from_checkpoint: 'checkpoint-9' }));
  second.trainer.add_callback({ on_step_begin: () => stop.abort(new Error('stopped')) });
  expect((await thrown(second.trainer.train({ signal: stop.signal }))).message).toBe('stopped');
  await first.trainer.train({ resume_from_checkpoint: 'checkpoint-2' });
  expect(first.trainer.state.global_step).toBe(4);
});

test('so many are kept, the best among them, and it is loaded at the end', async () => {
  const directory = new FakeDirectory();
  const { trainer, logits, model } = await setUp({
    max_steps: 6,
    save_steps: 1,
    eval_steps: 1,
    eval_strategy: 'steps',
    load_best_model_at_end: true,
    save_total_limit: 2,
    output_dir: directory.handle(),
    // From the second step on it gets worse and worse.
    lr_scheduler_type: 'constant',
    learning_rate: 0.2,
    dropout: 0,
  });
  const seen = new Map<number, number[]>();
  trainer.add_callback({
    async on_step_end(_, { global_step }) {
      seen.set(global_step, await logits());
    },
  });
  await trainer.train();
  const { best_global_step, best_metric, best_model_checkpoint, log_history } = trainer.state;
  const evaluations = log_history.flatMap(({ eval_loss }) => eval_loss ?? []);
  expect(best_metric).toBe(Math.min(...evaluations));
  expect(best_model_checkpoint).toBe(`checkpoint-${best_global_step}`);
  expect(await names(directory)).toEqual([...new Set([best_model_checkpoint, 'checkpoint-6'])]);
  expect(await logits()).toEqual(seen.get(best_global_step!));
  await model.dispose();
});

test('what another training has left in the folder is never the best, and is removed first', async () => {
  const directory = new FakeDirectory();
  const output_dir = directory.handle();
  const before = await setUp({ max_steps: 9, save_steps: 3, output_dir, learning_rate: 0.2 });
  await before.trainer.train();
  expect(await names(directory)).toEqual(['checkpoint-3', 'checkpoint-6', 'checkpoint-9']);
  // The best evaluation is that of step 3, of which this training has no checkpoint.
  const { trainer, logits } = await setUp({
    max_steps: 8,
    save_steps: 2,
    save_total_limit: 3,
    output_dir,
    dropout: 0,
    eval_strategy: 'steps',
    eval_steps: 1,
    metric_for_best_model: 'mine',
    greater_is_better: true,
    load_best_model_at_end: true,
  });
  trainer.add_callback({
    on_evaluate: (_, { global_step }, __, { metrics }) => {
      Object.assign(metrics!, { eval_mine: global_step === 3 ? 1 : 0 });
    },
  });
  await trainer.train();
  expect(trainer.state).toMatchObject({ best_global_step: 3, best_model_checkpoint: null });
  const last = await logits();
  expect(await names(directory)).toEqual(['checkpoint-4', 'checkpoint-6', 'checkpoint-8']);
  const folders = await CheckpointFolders.open(output_dir);
  const saved = await AutoModelForSequenceClassification.from_pretrained(await folders.read('checkpoint-8'));
  folders.close();
  expect([...((await saved({ input_ids: [[2, 7, 9, 3]] })).logits.data as Float32Array)]).toEqual(last);
});

test('a best checkpoint that is not in output_dir any more is none', async () => {
  const first = new FakeDirectory();
  const args: TrainingArgumentsInit = {
    max_steps: 4,
    save_steps: 1,
    eval_steps: 1,
    eval_strategy: 'steps',
    load_best_model_at_end: true,
    learning_rate: 0,
    output_dir: first.handle(),
  };
  const { trainer } = await setUp(args);
  await trainer.train();
  expect(trainer.state.best_model_checkpoint).toBe('checkpoint-1');
  const warn = vi.spyOn(console, 'warn').mockImplementation(() => undefined);
  const resumed = await setUp({ ...args, output_dir: new FakeDirectory().handle() });
  await resumed.trainer.train({
    resume_from_checkpoint: (await first.getDirectoryHandle('checkpoint-3')).handle(),
  });
  expect(resumed.trainer.state.global_step).toBe(4);
  expect(resumed.trainer.state.best_model_checkpoint).toBeNull();
  expect(warn.mock.calls.join()).toMatch(/checkpoint-1 is the best, which is not in output_dir/);
  warn.mockRestore();
});

test('what has changed since the checkpoint was made is said', async () => {
  const output_dir = new FakeDirectory().handle();
  const args: TrainingArgumentsInit = { max_steps: 4, save_steps: 2, output_dir };
  await (await setUp(args)).trainer.train();
  const warn = vi.spyOn(console, 'warn').mockImplementation(() => undefined);
  const resume = async (changes: TrainingArgumentsInit) => {
    warn.mockClear();
    const { trainer } = await setUp({ ...args, ...changes });
    await trainer.train({ resume_from_checkpoint: 'checkpoint-2' });
    return warn.mock.calls.join();
  };
  expect(await resume({ logging_steps: 1, save_steps: 4 })).toBe('');
  const said = await resume({ per_device_train_batch_size: 4, max_steps: 3 });
  expect(said).toMatch(/checkpoint-2.*per_device_train_batch_size 4 \(2 before\), max_steps 3 \(4 before\)$/);
  expect(await resume({ max_tokens_per_batch: 4096 })).toMatch(/: max_tokens_per_batch 4096 \(null before\)$/);
  warn.mockRestore();
});

test('callbacks that are saved go on too', async () => {
  const output_dir = new FakeDirectory().handle();
  const args: TrainingArgumentsInit = {
    max_steps: 5,
    eval_steps: 1,
    save_steps: 1,
    eval_strategy: 'steps',
    metric_for_best_model: 'loss',
    learning_rate: 0,
    output_dir,
  };
  const first = await setUp(args);
  const patient = new EarlyStoppingCallback({ early_stopping_patience: 9 });
  first.trainer.add_callback(patient);
  await first.trainer.train();
  const second = await setUp(args);
  const other = new EarlyStoppingCallback({ early_stopping_patience: 9 });
  second.trainer.add_callback(other);
  await second.trainer.train({ resume_from_checkpoint: 'checkpoint-3' });
  expect(other.early_stopping_patience_counter).toBe(patient.early_stopping_patience_counter);
});

test.each<[string, TrainingArgumentsInit, TrainingArgumentsInit, string | true, RegExp]>([
  ['no checkpoint', {}, {}, 'checkpoint-77', /no checkpoint to go on from.*checkpoint-2/s],
  ['one without moments', { save_only_model: true }, {}, true, /save_only_model/],
  ['one of other weights', { trainable: 'head' }, {}, true, /other weights were trained/],
])('there is an error for %s', async (_, saved, given, resume_from_checkpoint, message) => {
  const output_dir = new FakeDirectory().handle();
  const first = await setUp({ max_steps: 2, save_steps: 2, output_dir, ...saved });
  await first.trainer.train();
  const second = await setUp({ max_steps: 4, output_dir, ...given });
  const error = await thrown(second.trainer.train({ resume_from_checkpoint }));
  expect(error).toBeInstanceOf(InputError);
  expect(error.message).toMatch(message);
});

test('without an output_dir nothing is saved, and nothing is there to go on from', async () => {
  const { trainer } = await setUp({ max_steps: 2 });
  expect((await thrown(trainer.train({ resume_from_checkpoint: true }))).message).toMatch(/no output_dir/);
  expect((await thrown(trainer.save_model())).message).toMatch(/output_dir/);
  const opfs = await setUp({ max_steps: 2, output_dir: 'opfs:mine' });
  // Node has no private file system.
  expect((await thrown(opfs.trainer.train())).message).toMatch(/no private file system/);
});
