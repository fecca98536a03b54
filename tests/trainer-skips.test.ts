import { expect, test, vi } from 'vitest';
import { PreTrainedModel } from '../src/api/index.ts';
import type { LabelledSequence, PackOptions } from '../src/gradients/index.ts';
import { AutoModelForSequenceClassification } from '../src/index.ts';
import { Trainer, type TrainingArgumentsInit, TrainingError } from '../src/train.ts';
import type { TrainingSession } from '../src/training/session.ts';
import { FakeDirectory } from './fake-directory.ts';
import { sequenceFiles, sequenceRecords } from './sequence-training.ts';
import { thrown } from './source-environment.ts';
import { logged } from './trained-model.ts';

/** What steps leave behind that are skipped because they are not finite. On a device: e2e/suites/training-update.ts. */

vi.mock('../src/engine/webgpu-backend.ts', async original => (await import('./on-the-cpu.ts')).onTheCPU(original));

const plain = { per_device_train_batch_size: 2, learning_rate: 1e-3, logging_steps: 1, dropout: 0 } as const;

/** A trainer whose steps of these numbers, counted from 0, are not finite. */
async function setUp(wrong: readonly number[], args: TrainingArgumentsInit, records = 10) {
  const model = await AutoModelForSequenceClassification.from_pretrained(sequenceFiles);
  const backend = await PreTrainedModel.engineOf(model).backend();
  const { openTraining } = backend as unknown as { openTraining: (...given: unknown[]) => Promise<TrainingSession> };
  Object.assign(backend, {
    async openTraining(...given: unknown[]) {
      const session = await openTraining.apply(backend, given);
      const { accumulate } = session;
      return Object.assign(session, {
        accumulate: (sequences: readonly LabelledSequence[], options: PackOptions) =>
          accumulate(
            sequences,
            wrong.includes(options.step)
              ? { ...options, scales: { labels: Number.NaN, next_sentence_label: 0 } }
              : options,
          ),
      });
    },
  });
  const trainer = new Trainer({ model, train_dataset: sequenceRecords(records), args: { ...plain, ...args } });
  return { model, trainer };
}

test('their losses count in no mean', async () => {
  const wrong = [1, 2];
  const single = await setUp(wrong, { max_steps: 6 });
  const output = await single.trainer.train();
  const losses = logged(single.trainer, 'loss');
  // A step that was skipped has no loss and no length of its gradient.
  expect(losses).toHaveLength(4);
  expect(logged(single.trainer, 'grad_norm')).toHaveLength(4);
  expect(losses.every(Number.isFinite)).toBe(true);
  const mean = (list: readonly number[]) => list.reduce((a, b) => a + b, 0) / list.length;
  expect(output.training_loss).toBeCloseTo(mean(losses), 6);
  expect(output.metrics.train_loss).toBe(output.training_loss);
  const windows = await setUp(wrong, { max_steps: 6, logging_steps: 3 });
  const { training_loss, metrics } = await windows.trainer.train();
  expect(logged(windows.trainer, 'loss')).toEqual([
    expect.closeTo(losses[0]!, 6),
    expect.closeTo(mean(losses.slice(1)), 6),
  ]);
  expect(training_loss).toBeCloseTo(mean(losses), 6);
  expect(metrics).toMatchObject({ skipped_steps: 2 });
  expect(JSON.stringify(windows.trainer.state.log_history)).not.toMatch(/null/);
});

test('a mean of no step is not logged', async () => {
  const { trainer } = await setUp([0, 1], { max_steps: 2, logging_steps: 2 });
  const { training_loss, metrics } = await trainer.train();
  expect(training_loss).toBeNaN();
  expect(metrics).not.toHaveProperty('train_loss');
  expect(logged(trainer, 'loss')).toEqual([]);
  expect(trainer.state.log_history[0]).toMatchObject({ step: 2, skipped_steps: 2 });
});

test('a training that goes on between two logs has the same means', async () => {
  const args = { max_steps: 5, logging_steps: 4, save_steps: 3, output_dir: new FakeDirectory().handle() };
  const whole = await setUp([1], args);
  const output = await whole.trainer.train();
  const resumed = await setUp([1], args);
  const again = await resumed.trainer.train({ resume_from_checkpoint: 'checkpoint-3' });
  expect(logged(resumed.trainer, 'loss')).toEqual(logged(whole.trainer, 'loss'));
  expect(again.training_loss).toBe(output.training_loss);
});

test('five in a row end the training, though finite ones came after them before anything was read', async () => {
  const { trainer } = await setUp([1, 2, 3, 4, 5], { max_steps: 8, logging_steps: 8 });
  const error = await thrown(trainer.train());
  expect(error).toBeInstanceOf(TrainingError);
  expect(error.message).toMatch(/5 steps/);
  // Four in a row twice are no five, and what was read between them ends none.
  const allowed = await setUp([0, 1, 2, 3, 5, 6, 7, 8], { max_steps: 10, logging_steps: 3 });
  expect((await allowed.trainer.train()).metrics).toMatchObject({ skipped_steps: 8 });
  const across = await setUp([1, 2, 3, 4, 5], { max_steps: 8, logging_steps: 4 });
  expect(await thrown(across.trainer.train())).toBeInstanceOf(TrainingError);
});

test('they are no steps of AdamW', async () => {
  const weightsAfter = async (wrong: readonly number[], args: TrainingArgumentsInit) => {
    const fixed = { lr_scheduler_type: 'constant', train_sampling_strategy: 'sequential', weight_decay: 0 } as const;
    const { model, trainer } = await setUp(wrong, { ...fixed, per_device_train_batch_size: 4, ...args }, 4);
    await trainer.train();
    return [...((await model({ input_ids: [[2, 7, 9, 3]] })).logits.data as Float32Array)];
  };
  const plain = await weightsAfter([], { max_steps: 2 });
  expect(await weightsAfter([0, 2], { max_steps: 4 })).toEqual(plain);
});
