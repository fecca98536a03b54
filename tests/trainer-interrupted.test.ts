import { expect, test, vi } from 'vitest';
import { DeviceError } from '../src/errors.ts';
import { AutoModelForSequenceClassification } from '../src/index.ts';
import { Trainer, type TrainerCallback, type TrainingArgumentsInit } from '../src/train.ts';
import { FakeDirectory } from './fake-directory.ts';
import { sequenceFiles, sequenceRecords } from './sequence-training.ts';
import { thrown } from './source-environment.ts';

/** What a training is worth that a page breaks off: by disposing of its model, or by a signal while a checkpoint is written. */

vi.mock('../src/engine/webgpu-backend.ts', async original => (await import('./on-the-cpu.ts')).onTheCPU(original));

const records = sequenceRecords(4);

async function setUp(args: TrainingArgumentsInit, ...callbacks: TrainerCallback[]) {
  const model = await AutoModelForSequenceClassification.from_pretrained(sequenceFiles);
  const plain = { per_device_train_batch_size: 2, learning_rate: 1e-3, logging_steps: 1 };
  const trainer = new Trainer({ model, train_dataset: records, args: { ...plain, ...args }, callbacks });
  const logits = async () => [...((await model({ input_ids: [[2, 7, 9, 3]] })).logits.data as Float32Array)];
  return { model, trainer, logits };
}

test.each(['on_step_begin', 'on_substep_end', 'on_pre_optimizer_step', 'on_step_end', 'on_log'] as const)(
  'a model that is disposed of in %s ends its training with a DeviceError',
  async event => {
    let isDue = true;
    const dispose: TrainerCallback = {
      [event]: async () => {
        if (isDue) await model.dispose();
        isDue = false;
      },
    };
    const { model, trainer } = await setUp({ max_steps: 3, gradient_accumulation_steps: 2 }, dispose);
    const error = await thrown(trainer.train());
    expect(error).toBeInstanceOf(DeviceError);
    expect(error.message).toMatch(/the model was disposed/);
    // Nothing of it keeps another model from being trained.
    const other = await setUp({ max_steps: 1 });
    expect((await other.trainer.train()).global_step).toBe(1);
    await other.model.dispose();
  },
);

test.each(['model.safetensors', 'optimizer.safetensors', 'trainer_state.json'])(
  'a signal that aborts while %s of a checkpoint is written leaves whole checkpoints, from which training goes on to the same bits',
  async file => {
    const args = { max_steps: 4, save_steps: 2 } as const;
    const whole = await setUp({ ...args, output_dir: new FakeDirectory().handle() });
    await whole.trainer.train();
    const stop = new AbortController();
    const directory = new FakeDirectory();
    let writes = 0;
    directory.onWrite = name => {
      // Of the second checkpoint.
      if (name === file && ++writes === 2) stop.abort(new Error('the page is closed'));
    };
    const output_dir = directory.handle();
    const stopped = await setUp({ ...args, output_dir });
    const end = await stopped.trainer.train({ signal: stop.signal }).catch((error: Error) => error.message);
    if (typeof end === 'string') expect(end).toBe('the page is closed');
    const resumed = await setUp({ ...args, output_dir });
    await resumed.trainer.train({ resume_from_checkpoint: true });
    expect(resumed.trainer.state.global_step).toBe(4);
    expect(await resumed.logits()).toEqual(await whole.logits());
    for (const { model } of [whole, stopped, resumed]) await model.dispose();
  },
);
