import { readFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, test, vi } from 'vitest';
import { PreTrainedModel } from '../src/api/index.ts';
import { InputError, UnsupportedError } from '../src/errors.ts';
import type { LabelledSequence, PackOptions } from '../src/gradients/index.ts';
import * as library from '../src/index.ts';
import {
  accuracy,
  type DataRecord,
  EarlyStoppingCallback,
  Trainer,
  type TrainerOptions,
  type TrainingArgumentsInit,
  TrainingError,
} from '../src/train.ts';
import { CALLBACK_EVENTS } from '../src/training/index.ts';
import type { TrainingSession } from '../src/training/session.ts';
import { TrainingData } from '../src/training/trainer-data.ts';
import { tensorReader, wholeTensor } from '../src/training/weights.ts';
import { thrown } from './source-environment.ts';
import { logged } from './trained-model.ts';
import { readFixture } from './training-run.ts';

/** The Trainer in Node, on the interpreter: what it does with data, arguments and callbacks. Devices: e2e/suites/trainer.ts. */

vi.mock('../src/engine/webgpu-backend.ts', async original => (await import('./on-the-cpu.ts')).onTheCPU(original));

type Kind = 'SequenceClassification' | 'TokenClassification' | 'QuestionAnswering' | 'MaskedLM' | 'PreTraining';

const filesOf = (folder: string) =>
  Object.fromEntries(
    ['config.json', 'model.safetensors'].map(file => [
      file,
      new Uint8Array(readFileSync(new URL(`fixtures/${folder}/${file}`, import.meta.url))),
    ]),
  );

async function modelOf(folder: string, kind: Kind) {
  const classes = library as unknown as Record<string, typeof library.AutoModelForSequenceClassification>;
  return classes[`AutoModelFor${kind}`]!.from_pretrained(filesOf(folder));
}

/** A small model of one output row a text, with records of ids. */
async function setUp(options: Partial<TrainerOptions> = {}, folder = 'random/bert-sequence') {
  const model = await modelOf(folder, 'SequenceClassification');
  const { data } = readFixture('bert-sequence');
  const train_dataset: DataRecord[] = data.map(example => ({ ...example }));
  const trainer = new Trainer({
    model,
    train_dataset,
    ...options,
    args: { learning_rate: 1e-3, logging_steps: 1, per_device_train_batch_size: 4, ...options.args },
  });
  return { model, trainer, train_dataset };
}

/** Some records of a run of torch: the interpreter takes a good part of a second for each. */
const fewRecords = (name: string): DataRecord[] =>
  readFixture(name)
    .data.slice(0, 5)
    .map(example => ({ ...example }));

const logits = async (model: Awaited<ReturnType<typeof modelOf>>): Promise<number[]> => [
  ...((await model({ input_ids: [[2, 7, 9, 3]] })).logits.data as Float32Array),
];

/** Of these runs only so many steps: the interpreter takes a third of a second for each. */
const STEPS = 4;

describe('a run is that of torch', () => {
  test.each([
    ['bert-sequence', 'random/bert-sequence'],
    ['bert-multilabel', 'random/bert-multilabel'],
    ['bert-token', 'random/bert-token'],
    ['bert-qa', 'random/bert-qa'],
    ['bert-masked-lm', 'random/bert-masked-lm'],
    ['bert-pretraining', 'random/bert-pretraining'],
  ])(
    '%s',
    async (name, folder) => {
      const { args, data, head, losses, grad_norms } = readFixture(name);
      const kind = /For(\w+)$/.exec(head)![1] as Kind;
      const model = await modelOf(folder, kind);
      const number = (field: string) => Number(args[field]);
      const perStep = number('per_device_train_batch_size') * number('gradient_accumulation_steps');
      // One epoch of all that the run of torch goes through.
      const train_dataset = Array.from({ length: number('max_steps') * perStep }, (_, i) => ({
        ...data[i % data.length],
      }));
      const trainer = new Trainer({
        model,
        train_dataset,
        args: {
          max_steps: number('max_steps'),
          per_device_train_batch_size: number('per_device_train_batch_size'),
          gradient_accumulation_steps: number('gradient_accumulation_steps'),
          learning_rate: number('learning_rate'),
          warmup_steps: number('warmup_steps'),
          weight_decay: number('weight_decay'),
          max_grad_norm: number('max_grad_norm'),
          dropout: 0,
          train_sampling_strategy: 'sequential',
          logging_steps: 1,
        },
        callbacks: [
          {
            on_step_end: (_, state, control) => {
              control.should_training_stop ||= state.global_step === STEPS;
            },
          },
        ],
      });
      const output = await trainer.train();
      expect(output.global_step).toBe(STEPS);
      const logs = trainer.state.log_history.filter(({ loss }) => loss !== undefined);
      // The weights are float32, torch's float64.
      logs.forEach(({ loss, grad_norm }, i) => {
        expect(Math.abs(loss! - losses[i]!), `loss of step ${i}`).toBeLessThan(1e-4);
        expect(Math.abs(grad_norm! / grad_norms[i]! - 1), `norm of step ${i}`).toBeLessThan(1e-3);
      });
      expect(logs).toHaveLength(STEPS);
      expect(output.training_loss).toBeCloseTo(losses.slice(0, STEPS).reduce((a, b) => a + b, 0) / STEPS, 4);
      await model.dispose();
    },
    60_000,
  );
});

describe('a step', () => {
  test('with class weights is that of copies of the examples', async () => {
    const { data } = readFixture('bert-sequence');
    const records = data.slice(0, 4).map(example => ({ ...example }));
    const copies = records.flatMap(record => Array.from({ length: 1 + Number(record.labels) }, () => record));
    const { model } = await setUp();
    const class_weights = Object.keys(model.config.id2label!).map((_, i) => 1 + i);
    const args = { dropout: 0, max_steps: 3, train_sampling_strategy: 'sequential' } as const;
    const runs = await Promise.all(
      [
        { train_dataset: copies, args: { ...args, per_device_train_batch_size: copies.length } },
        { train_dataset: records, args: { ...args, class_weights } },
        { train_dataset: records, args: { ...args, class_weights, max_tokens_per_batch: 12 } },
      ].map(async options => {
        const { trainer, model } = await setUp(options);
        await trainer.train();
        const norms = trainer.state.log_history.flatMap(({ grad_norm }) => grad_norm ?? []);
        return { losses: logged(trainer, 'loss'), norms, after: await logits(model) };
      }),
    );
    expect(copies.length).toBeGreaterThan(records.length);
    for (const { losses, norms, after } of runs.slice(1)) {
      losses.forEach((loss, i) => {
        expect(loss).toBeCloseTo(runs[0]!.losses[i]!, 5);
      });
      norms.forEach((norm, i) => {
        expect(Math.abs(norm / runs[0]!.norms[i]! - 1)).toBeLessThan(1e-4);
      });
      after.forEach((logit, i) => {
        expect(logit).toBeCloseTo(runs[0]!.after[i]!, 4);
      });
    }
  });

  test('is the same whether its batch is whole, accumulated, or split by its tokens', async () => {
    const runs = await Promise.all(
      [
        { per_device_train_batch_size: 4 },
        { per_device_train_batch_size: 2, gradient_accumulation_steps: 2 },
        { per_device_train_batch_size: 1, gradient_accumulation_steps: 4 },
        { per_device_train_batch_size: 4, max_tokens_per_batch: 12 },
      ].map(async args => {
        const { trainer, model } = await setUp({ args: { ...args, max_steps: 3 } });
        await trainer.train();
        return { losses: logged(trainer, 'loss'), after: await logits(model) };
      }),
    );
    for (const { losses, after } of runs.slice(1)) {
      for (const [i, loss] of losses.entries()) expect(loss).toBeCloseTo(runs[0]!.losses[i]!, 5);
      for (const [i, logit] of after.entries()) expect(logit).toBeCloseTo(runs[0]!.after[i]!, 4);
    }
  });

  test('has the same bits for the same seed, dropout included, and others for another', async () => {
    const run = async (seed: number) => {
      const { trainer } = await setUp({ args: { max_steps: 3, dropout: 0.2, seed } });
      await trainer.train();
      return logged(trainer, 'loss');
    };
    const [first, second, other] = [await run(1), await run(1), await run(2)];
    expect(second).toEqual(first);
    expect(other).not.toEqual(first);
  });

  test('changes what is trainable, and nothing else', async () => {
    const changed = async (trainable: TrainingArgumentsInit['trainable']) => {
      const { trainer, model } = await setUp({ args: { max_steps: 2, trainable: trainable ?? null } });
      const reader = tensorReader(await PreTrainedModel.engineOf(model).backend());
      const names = PreTrainedModel.engineOf(model).tensors.flatMap(({ views }) => [...views.keys()]);
      const read = async () => Promise.all(names.map(async name => [...(await wholeTensor(reader, name))]));
      const before = await read();
      await trainer.train();
      const after = await read();
      return names.filter((_, i) => before[i]!.some((value, k) => value !== after[i]![k]));
    };
    expect((await changed('head')).every(name => /^(pooler|classifier)\./.test(name))).toBe(true);
    expect(await changed(/classifier\.bias/)).toEqual(['classifier.bias']);
    const last = await changed({ last_layers: 1 });
    expect(last).toContain('encoder.layer.1.output.dense.weight');
    expect(last.filter(name => /^embeddings|layer\.0/.test(name))).toEqual([]);
    expect(await changed('all')).toContain('embeddings.word_embeddings.weight');
  });

  test('has the learning rate of its schedule, and that of its own for what a pattern matches', async () => {
    const { trainer, model } = await setUp({
      args: { max_steps: 4, warmup_steps: 2, learning_rate: 0, learning_rate_mapping: { '^classifier': 1e-2 } },
    });
    const reader = tensorReader(await PreTrainedModel.engineOf(model).backend());
    const before = [...(await wholeTensor(reader, 'pooler.dense.weight'))];
    const head = [...(await wholeTensor(reader, 'classifier.weight'))];
    await trainer.train();
    expect([...(await wholeTensor(reader, 'pooler.dense.weight'))]).toEqual(before);
    expect([...(await wholeTensor(reader, 'classifier.weight'))]).not.toEqual(head);
    const second = await setUp({ args: { max_steps: 4, warmup_steps: 2, learning_rate: 1 } });
    await second.trainer.train();
    const rates = logged(second.trainer, 'learning_rate');
    expect(rates).toEqual([0, 0.5, 1, 0.5]);
  });

  test('that is not finite changes nothing and is counted; five in a row end the training', async () => {
    const { trainer, model } = await setUp({ args: { max_steps: 20 } });
    const before = await logits(model);
    const backend = await PreTrainedModel.engineOf(model).backend();
    const open = (backend as unknown as { openTraining: (...given: unknown[]) => Promise<TrainingSession> })
      .openTraining;
    Object.assign(backend, {
      async openTraining(...given: unknown[]) {
        const session = await open.apply(backend, given);
        const { accumulate } = session;
        return Object.assign(session, {
          accumulate: (sequences: readonly LabelledSequence[], options: PackOptions) =>
            accumulate(sequences, { ...options, scales: { labels: Number.NaN, next_sentence_label: 0 } }),
        });
      },
    });
    const error = await thrown(trainer.train());
    expect(error).toBeInstanceOf(TrainingError);
    expect(error.message).toMatch(/5 steps.*learning_rate/s);
    expect(trainer.state.log_history.at(-1)).toMatchObject({ step: 4, skipped_steps: 4 });
    expect(await logits(model)).toEqual(before);
  });
});

describe('the loop', () => {
  test('calls its events in the order of transformers', async () => {
    const events: string[] = [];
    const note = (name: string) => () => void events.push(name);
    const { trainer, train_dataset } = await setUp({
      args: {
        per_device_train_batch_size: 4,
        gradient_accumulation_steps: 2,
        num_train_epochs: 1,
        eval_strategy: 'epoch',
        logging_steps: 2,
      },
      eval_dataset: [{ input_ids: [2, 5, 3], label: 1 }],
      callbacks: [Object.fromEntries(CALLBACK_EVENTS.map(name => [name, note(name)]))],
    });
    const steps = Math.ceil(train_dataset.length / 8);
    await trainer.train();
    const step = ['on_step_begin', 'on_substep_end', 'on_pre_optimizer_step', 'on_optimizer_step', 'on_step_end'];
    expect(events.slice(0, 3 + step.length)).toEqual(['on_init_end', 'on_train_begin', 'on_epoch_begin', ...step]);
    expect(events.filter(name => name === 'on_step_end')).toHaveLength(steps);
    expect(events.slice(-6)).toEqual([
      'on_epoch_end',
      'on_prediction_step',
      'on_log',
      'on_evaluate',
      'on_log',
      'on_train_end',
    ]);
  });

  test('stops at once for a signal, with the weights of the last whole step; and goes on from them', async () => {
    const stop = new AbortController();
    const reason = new Error('enough');
    const { trainer, model } = await setUp({
      args: { max_steps: 50, gradient_accumulation_steps: 2 },
      callbacks: [
        {
          on_substep_end: (_, state) => {
            if (state.global_step === 2) stop.abort(reason);
          },
        },
      ],
    });
    await expect(trainer.train({ signal: stop.signal })).rejects.toBe(reason);
    expect(trainer.state.global_step).toBe(2);
    const stopped = await logits(model);
    const whole = await setUp({
      args: { max_steps: 50, gradient_accumulation_steps: 2 },
      callbacks: [
        {
          on_step_end: (_, state, control) => {
            control.should_training_stop = state.global_step === 2;
          },
        },
      ],
    });
    await whole.trainer.train();
    expect(stopped).toEqual(await logits(whole.model));
    expect((await thrown(trainer.train({ signal: AbortSignal.abort(reason) }))).message).toBe('enough');
  });

  test('evaluates with the loss of training, and metrics with their prefix', async () => {
    const model = await modelOf('random/bert-sequence', 'SequenceClassification');
    const records = fewRecords('bert-sequence');
    const settings = { model, train_dataset: records, eval_dataset: { a: records, b: records.slice(0, 3) } };
    const trainer = new Trainer({
      ...settings,
      compute_metrics: accuracy,
      args: {
        learning_rate: 0,
        dropout: 0,
        max_steps: 1,
        per_device_train_batch_size: records.length,
        logging_steps: 1,
        label_smoothing_factor: 0.1,
      },
    });
    await trainer.train();
    const metrics = await trainer.evaluate();
    expect(metrics.eval_a_loss).toBeCloseTo(logged(trainer, 'loss')[0]!, 5);
    expect(metrics.eval_b_accuracy).toBeGreaterThanOrEqual(0);
    expect(Object.keys(metrics)).toContain('eval_a_samples_per_second');
    const { predictions, label_ids, metrics: tested } = await trainer.predict(records.slice(0, 3));
    expect(predictions).toHaveLength(3);
    expect(label_ids).toEqual(records.slice(0, 3).map(({ labels }) => labels));
    expect(tested.test_accuracy).toBe(metrics.eval_b_accuracy);
  });

  test.each(['bert-qa', 'bert-token', 'bert-multilabel', 'bert-masked-lm', 'bert-pretraining', 'bert-regression'])(
    'evaluates %s with the loss of training',
    async name => {
      const { head } = readFixture(name);
      const folder = name === 'bert-regression' ? 'bert-rerank' : name;
      const model = await modelOf(`random/${folder}`, /For(\w+)$/.exec(head)![1] as Kind);
      const records = fewRecords(name);
      const per_device_train_batch_size = records.length;
      const args = { learning_rate: 0, dropout: 0, max_steps: 1, per_device_train_batch_size, logging_steps: 1 };
      const trainer = new Trainer({ model, train_dataset: records, eval_dataset: records, args });
      await trainer.train();
      const { eval_loss } = await trainer.evaluate();
      expect(Math.abs(eval_loss! / logged(trainer, 'loss')[0]! - 1)).toBeLessThan(1e-5);
      const { predictions, label_ids } = await trainer.predict(records);
      expect(predictions).toHaveLength(records.length);
      expect(label_ids).toHaveLength(records.length);
      await model.dispose();
    },
  );

  test.each([
    ['bert-sequence', 0],
    ['bert-sequence', 0.1],
    ['bert-token', 0.1],
  ])('evaluates %s with class weights, and label smoothing of %d, as it trains', async (name, smoothing) => {
    const { head } = readFixture(name);
    const model = await modelOf(`random/${name}`, /For(\w+)$/.exec(head)![1] as Kind);
    const records = fewRecords(name);
    const class_weights = Object.keys(model.config.id2label!).map((_, i) => 0.5 + 2 * i);
    const plain = {
      learning_rate: 0,
      dropout: 0,
      max_steps: 1,
      per_device_train_batch_size: records.length,
      logging_steps: 1,
      label_smoothing_factor: smoothing,
    };
    const lossOf = async (args: TrainingArgumentsInit) => {
      const trainer = new Trainer({ model, train_dataset: records, eval_dataset: records, args });
      await trainer.train();
      const { eval_loss } = await trainer.evaluate();
      expect(Math.abs(eval_loss! / logged(trainer, 'loss')[0]! - 1)).toBeLessThan(1e-5);
      return eval_loss!;
    };
    const weighted = await lossOf({ ...plain, class_weights });
    expect(Math.abs(weighted - (await lossOf(plain)))).toBeGreaterThan(1e-3);
    // The factor of all weights cancels.
    expect(await lossOf({ ...plain, class_weights: class_weights.map(w => 4 * w) })).toBeCloseTo(weighted, 5);
    await model.dispose();
  });

  test('stops early', async () => {
    const { trainer } = await setUp({
      train_dataset: [{ input_ids: [2, 7, 3], label: 0 }],
      eval_dataset: [{ input_ids: [2, 5, 3], label: 1 }],
      args: { learning_rate: 0, num_train_epochs: 9, eval_strategy: 'epoch', metric_for_best_model: 'loss' },
      callbacks: [new EarlyStoppingCallback({ early_stopping_patience: 2 })],
    });
    await trainer.train();
    // The first evaluation is the best, and two more are no better.
    expect(trainer.state.epoch).toBe(3);
    expect(trainer.state.best_metric).toBe(trainer.state.log_history.find(({ eval_loss }) => eval_loss)?.eval_loss);
  });

  test('evaluates before the first step without a candidate for the best', async () => {
    // Of the greater loss the better: training makes it worse, and the start would stay the best for ever.
    const { trainer } = await setUp({
      eval_dataset: readFixture('bert-sequence').data.slice(0, 4),
      train_dataset: readFixture('bert-sequence')
        .data.slice(0, 4)
        .map(example => ({ ...example })),
      args: {
        num_train_epochs: 3,
        dropout: 0,
        eval_on_start: true,
        eval_strategy: 'epoch',
        metric_for_best_model: 'loss',
        greater_is_better: true,
      },
    });
    await trainer.train();
    const [start, ...evaluations] = logged(trainer, 'eval_loss');
    expect(start!).toBeGreaterThan(Math.max(...evaluations));
    expect(trainer.state.best_metric).toBe(Math.max(...evaluations));
  });

  test('gives the epoch with the metrics of an evaluation; an EarlyStoppingCallback lets other data be evaluated', async () => {
    const eval_dataset = [{ input_ids: [2, 5, 3], label: 1 }];
    const seen: unknown[] = [];
    const stopping = new EarlyStoppingCallback();
    const { trainer } = await setUp({
      eval_dataset,
      args: { max_steps: 2, eval_strategy: 'epoch', metric_for_best_model: 'loss' },
      callbacks: [stopping, { on_evaluate: (_, __, ___, { metrics }) => void seen.push(metrics) }],
    });
    await trainer.train();
    const metrics = await trainer.evaluate(eval_dataset, { metric_key_prefix: 'other' });
    expect(metrics).toMatchObject({ other_loss: expect.any(Number), epoch: trainer.state.epoch });
    expect(seen.at(-1)).toEqual(metrics);
    expect(stopping.early_stopping_patience_counter).toBe(0);
  });

  test('trains a model once at a time', async () => {
    const { trainer, model, train_dataset } = await setUp({ args: { max_steps: 2 } });
    const other = new Trainer({ model, train_dataset, args: { max_steps: 1 } });
    const first = trainer.train();
    for (const each of [trainer, other]) {
      const error = await thrown(each.train());
      expect(error).toBeInstanceOf(InputError);
      expect(error.message).toMatch(/being trained already/);
    }
    expect((await first).global_step).toBe(2);
    expect((await other.train()).global_step).toBe(1);
  });

  test('learns, and a pipeline of the model sees every step', async () => {
    const train_dataset = readFixture('bert-sequence')
      .data.slice(0, 6)
      .map(example => ({ ...example }));
    const args = { num_train_epochs: 10, learning_rate: 3e-3, dropout: 0 };
    const { trainer, model } = await setUp({ train_dataset, args });
    const before = await logits(model);
    const seen: number[][] = [];
    trainer.add_callback({ on_step_end: async () => void seen.push(await logits(model)) });
    await trainer.train();
    expect(new Set(seen.map(row => row.join())).size).toBe(seen.length);
    expect(seen[0]).not.toEqual(before);
    expect(seen.at(-1)).toEqual(await logits(model));
    expect(logged(trainer, 'loss').at(-1)!).toBeLessThan(logged(trainer, 'loss')[0]! / 2);
    const { predictions, label_ids } = await trainer.predict(train_dataset);
    expect(accuracy({ predictions, label_ids: label_ids! }).accuracy).toBeGreaterThan(0.8);
  }, 60_000);
});

describe('data', () => {
  test('may come one by one', async () => {
    const records = readFixture('bert-sequence').data;
    async function* some() {
      for (const record of records) yield { ...record };
    }
    const { trainer } = await setUp({ train_dataset: some(), args: { max_steps: 1 } });
    expect((await trainer.train()).global_step).toBe(1);
  });

  test('that a list has got since are seen', async () => {
    const train_dataset: DataRecord[] = [{ input_ids: [2, 5, 3], label: 0 }];
    const { trainer } = await setUp({
      train_dataset,
      args: { num_train_epochs: 1, per_device_train_batch_size: 1 },
    });
    expect((await trainer.train()).global_step).toBe(1);
    train_dataset.push({ input_ids: [2, 6, 3], label: 1 }, { input_ids: [2, 7, 3], label: 1 });
    expect((await trainer.train()).global_step).toBe(3);
    train_dataset[2] = { input_ids: [2, 7, 3], label: 77 };
    expect((await thrown(trainer.train())).message).toMatch(/record 2.*77/);
    train_dataset.length = 0;
    expect((await thrown(trainer.train())).message).toMatch(/empty list/);
  });

  test.each<[string, DataRecord[], RegExp]>([
    ['an empty set', [], /train_dataset is wrong.*empty list/],
    ['no label', [{ input_ids: [2, 3] }], /record 0/],
    ['a label that is none', [{ input_ids: [2, 3], label: 77 }], /record 0.*77/],
    ['a label that is no number', [{ input_ids: [2, 3], label: Number.NaN }], /record 0.*NaN/],
    ['an id out of range', [{ input_ids: [2, 99_999_999], label: 0 }], /record 0.*out of range/],
    ['a text without a tokenizer', [{ text: 'a', label: 0 }], /processing_class/],
  ])('with %s is refused before the first step', async (_, train_dataset, message) => {
    const { trainer, model } = await setUp({ train_dataset });
    const before = await logits(model);
    const error = await thrown(trainer.train());
    expect(error).toBeInstanceOf(InputError);
    expect(error.message).toMatch(message);
    expect(await logits(model)).toEqual(before);
  });

  test.each([
    ['bert-token', 'TokenClassification'],
    ['bert-masked-lm', 'MaskedLM'],
  ] as const)('of %s without any label are refused', async (folder, kind) => {
    const model = await modelOf(`random/${folder}`, kind);
    const records = [{ input_ids: [2, 7, 3], labels: [-100, -100, -100] }];
    const trainer = new Trainer({ model, train_dataset: records, eval_dataset: records });
    expect((await thrown(trainer.train())).message).toMatch(/train_dataset has no token with a label/);
    expect((await thrown(trainer.evaluate(records.slice()))).message).toMatch(/eval_dataset has no token with a label/);
  });

  test('of questions, of which none has its answer in its tokens, are refused; one that has is enough', async () => {
    const model = await modelOf('random/bert-qa', 'QuestionAnswering');
    const outside = { input_ids: [2, 7, 3], start_positions: 3, end_positions: 9 };
    const args = { max_steps: 1 };
    const trainer = new Trainer({ model, train_dataset: [outside, { ...outside }], args });
    expect((await thrown(trainer.train())).message).toMatch(/train_dataset has no answer in what the model reads/);
    const one = new Trainer({ model, train_dataset: [outside, { ...outside, start_positions: 1 }], args });
    expect((await one.train()).global_step).toBe(1);
  });

  test.each([
    ['bert-sequence', 'SequenceClassification', { label: 0 }],
    ['bert-token', 'TokenClassification', { labels: [0, 1, 0] }],
    ['bert-qa', 'QuestionAnswering', { start_positions: 0, end_positions: 1 }],
    ['bert-rerank', 'SequenceClassification', { label: 0.5 }],
  ] as const)('without labels are predicted: %s', async (folder, kind, targets) => {
    const model = await modelOf(`random/${folder}`, kind);
    const compute_metrics = vi.fn(() => ({ ours: 1 }));
    const trainer = new Trainer({ model, compute_metrics });
    const records = [{ input_ids: [2, 7, 3] }, { input_ids: [2, 9, 3] }];
    const { predictions, label_ids, metrics } = await trainer.predict(records);
    expect(label_ids).toBeNull();
    expect(compute_metrics).not.toHaveBeenCalled();
    expect(Object.keys(metrics)).toEqual(['test_runtime', 'test_samples_per_second', 'test_steps_per_second']);
    const labelled = await trainer.predict(records.map(record => ({ ...record, ...targets })));
    expect(predictions).toEqual(labelled.predictions);
    expect(labelled.label_ids).toHaveLength(2);
    expect(Object.keys(labelled.metrics)).toContain('test_loss');
    // What was read for a prediction is not enough for an evaluation.
    expect((await thrown(trainer.evaluate(records))).message).toMatch(/record 0/);
  });

  test('are made into tokens and sequences without holding up the page', async () => {
    const { trainer } = await setUp({ args: { max_steps: 1 } });
    const { sequences } = TrainingData.prototype;
    const asked: number[] = [];
    const spy = vi.spyOn(TrainingData.prototype, 'sequences').mockImplementation(function (
      this: TrainingData,
      ...given
    ) {
      asked.push(given[0].length);
      return sequences.apply(this, given);
    });
    const eval_dataset = Array.from({ length: 40 }, (_, i) => ({ input_ids: [2, 7 + i, 3], label: i % 2 }));
    await trainer.evaluate(eval_dataset);
    expect(asked).toEqual(new Array(40).fill(1));
    asked.length = 0;
    await trainer.train();
    // One at a time, but for the batches of the step and for the largest one.
    expect(asked.filter(count => count === 1).length).toBeGreaterThan(1);
    expect(Math.max(...asked)).toBeLessThanOrEqual(trainer.args.per_device_train_batch_size);
    spy.mockRestore();
  });

  test('of question answering count the answers within their tokens', async () => {
    const model = await modelOf('random/bert-qa', 'QuestionAnswering');
    const input_ids = [2, 7, 9, 3];
    const answered = { input_ids, start_positions: 1, end_positions: 2 };
    const beyond = { input_ids: [2, 8, 3], start_positions: 3, end_positions: 400 };
    const lossOf = async (...eval_dataset: DataRecord[]) => {
      const { eval_loss } = await new Trainer({ model, eval_dataset }).evaluate();
      return eval_loss!;
    };
    const own = await lossOf(answered);
    expect(await lossOf(answered, beyond)).toBe(own);
    expect(await lossOf({ input_ids, start_positions: -100, end_positions: -100 })).toBe(
      await lossOf({ input_ids, start_positions: 0, end_positions: 0 }),
    );
    // The mean of a start alone and of an end alone is that of both.
    const start = await lossOf({ input_ids, start_positions: 1, end_positions: 4 });
    const end = await lossOf({ input_ids, start_positions: 4, end_positions: 2 });
    expect((start + end) / 2).toBeCloseTo(own, 12);
    const trainer = new Trainer({
      model,
      train_dataset: [answered, beyond],
      args: { max_steps: 1, learning_rate: 0, dropout: 0, logging_steps: 1 },
    });
    await trainer.train();
    expect(logged(trainer, 'loss')[0]! / own).toBeCloseTo(1, 5);
  });

  test('that are evaluated once are not kept', async () => {
    setFlagsFromString('--expose-gc');
    const collect: () => void = runInNewContext('gc');
    const { trainer, model } = await setUp();
    const evaluated = async (): Promise<WeakRef<object>> => {
      const records = [{ input_ids: [2, 7, 3], label: 0 }];
      await trainer.evaluate(records);
      return new WeakRef(records);
    };
    const kept = await evaluated();
    await vi.waitFor(() => {
      collect();
      // An error of an assertion would keep the list itself.
      expect(kept.deref() === undefined).toBe(true);
    });
    expect(trainer.model).toBe(model);
  });

  test('of a wrong option are refused', async () => {
    const { model, trainer } = await setUp();
    const make = (options: object) => () => new Trainer({ model, ...options } as TrainerOptions);
    expect(make({ tokenizer: {} })).toThrow(/has no field "tokenizer".*Use processing_class/s);
    expect(make({ model: {} })).toThrow(/AutoModelForX/);
    expect(make({ args: { learning_rat: 1 } })).toThrow(/learning_rat/);
    expect(make({ callbacks: [{ on_lug() {} }] })).toThrow(InputError);
    expect((await thrown(trainer.evaluate())).message).toMatch(/eval_dataset/);
    expect((await thrown(trainer.evaluate('text' as never))).message).toMatch(/eval_dataset/);
    expect(make({ args: { eval_strategy: 'epoch' } })).toThrow(/eval_strategy 'epoch'.*Pass eval_dataset/);
    expect(make({ args: { eval_on_start: true } })).toThrow(/eval_on_start.*Pass eval_dataset/);
    const nothing = await setUp({ args: { trainable: /no such tensor/ } });
    expect((await thrown(nothing.trainer.train())).message).toMatch(/nothing of this model would be trained/);
    const mapped = await setUp({ args: { learning_rate_mapping: { nothing: 1 } } });
    expect((await thrown(mapped.trainer.train())).message).toMatch(/matches no tensor/);
    const weighted = await setUp({ args: { class_weights: new Array(77).fill(1) } });
    expect((await thrown(weighted.trainer.train())).message).toMatch(/class_weights are not one for each label.*77/);
    for (const [folder, kind, record] of [
      ['bert-rerank', 'SequenceClassification', { label: 0.5 }],
      ['bert-multilabel', 'SequenceClassification', { label: [] }],
      ['bert-qa', 'QuestionAnswering', { start_positions: 0, end_positions: 1 }],
    ] as const) {
      const smoothed = new Trainer({
        model: await modelOf(`random/${folder}`, kind),
        train_dataset: [{ input_ids: [2, 3], ...record }],
        args: { label_smoothing_factor: 0.1 },
      });
      expect((await thrown(smoothed.train())).message).toMatch(/label_smoothing_factor is for models that choose one/);
    }
    const masked = new Trainer({
      model: await modelOf('random/bert-masked-lm', 'MaskedLM'),
      train_dataset: [{ input_ids: [2, 3], labels: [-100, 3] }],
      args: { class_weights: [1, 1] },
    });
    expect((await thrown(masked.train())).message).toMatch(/class_weights are for classifiers.*masked_lm/);
    const headless = await library.AutoModel.from_pretrained(filesOf('random/bert-base'));
    const error = await thrown(new Trainer({ model: headless, train_dataset: [{ input_ids: [2, 3] }] }).train());
    expect(error).toBeInstanceOf(UnsupportedError);
  });
});
