import { describe, expect, test } from 'vitest';
import { InputError, UnsupportedError } from '../src/errors.ts';
import { TRAINING_ARGUMENT_NAMES, TrainingArguments, type TrainingArgumentsInit } from '../src/training/index.ts';
import python from './fixtures/training-host.json' with { type: 'json' };

/** For whoever is not checked by TypeScript. */
const untyped = (fields: unknown) => new TrainingArguments(fields as TrainingArgumentsInit);

describe('TrainingArguments', () => {
  test('has the defaults of transformers, where it has the field', () => {
    const args = new TrainingArguments();
    for (const [name, value] of Object.entries(python.defaults)) {
      expect([name, args.to_dict()[name]]).toEqual([name, value]);
    }
    // What differs, or is not in transformers.
    expect(args).toMatchObject({
      output_dir: undefined,
      optim: 'adamw_torch',
      save_strategy: 'no',
      data_seed: 42,
      eval_steps: 500,
      trainable: 'all',
      dropout: undefined,
      max_tokens_per_batch: undefined,
      gradient_checkpointing: false,
      learning_rate_mapping: {},
      lr_scheduler_kwargs: {},
    });
  });

  test('knows the names of all its fields', () => {
    expect(Object.keys(new TrainingArguments()).sort()).toEqual([...TRAINING_ARGUMENT_NAMES].sort());
  });

  test('takes null as not given, and another object of the class', () => {
    const args = new TrainingArguments({ learning_rate: 1e-3, data_seed: null, metric_for_best_model: 'f1' });
    expect(args.data_seed).toBe(42);
    expect(new TrainingArguments(args)).toEqual(args);
    expect(new TrainingArguments(null)).toEqual(new TrainingArguments());
  });

  test('derives fields from others, as transformers does', () => {
    expect(new TrainingArguments({ logging_steps: 20 }).eval_steps).toBe(20);
    expect(new TrainingArguments({ optim: 'adamw_bert' }).adam_epsilon).toBe(1e-6);
    expect(new TrainingArguments({ optim: 'adamw_bert', adam_epsilon: 1e-7 }).adam_epsilon).toBe(1e-7);
    expect(new TrainingArguments({ output_dir: 'opfs:mail' }).save_strategy).toBe('steps');
    expect(new TrainingArguments({ seed: 7 }).data_seed).toBe(7);
    expect(new TrainingArguments({ metric_for_best_model: 'f1' }).greater_is_better).toBe(true);
    expect(new TrainingArguments({ metric_for_best_model: 'eval_loss' }).greater_is_better).toBe(false);
    const best = new TrainingArguments({
      output_dir: 'opfs:ner',
      eval_strategy: 'epoch',
      save_strategy: 'epoch',
      load_best_model_at_end: true,
    });
    expect(best).toMatchObject({ metric_for_best_model: 'loss', greater_is_better: false });
  });

  test('takes the warmup in steps or as a share', () => {
    const warmup = (fields: TrainingArgumentsInit, total: number) =>
      new TrainingArguments(fields).get_warmup_steps(total);
    expect(warmup({}, 30)).toBe(0);
    expect(warmup({ warmup_steps: 5 }, 30)).toBe(5);
    expect(warmup({ warmup_steps: 0.1 }, 25)).toBe(3);
    expect(warmup({ warmup_ratio: 0.1 }, 25)).toBe(3);
    expect(warmup({ warmup_ratio: 0.1, warmup_steps: 7 }, 25)).toBe(7);
  });

  test('makes the schedule of a run', () => {
    const linear = new TrainingArguments({ warmup_steps: 3 }).schedule(20);
    expect([0, 1, 3, 20].map(linear)).toEqual([0, 1 / 3, 1, 0]);
    const google = new TrainingArguments({ warmup_steps: 3, optim: 'adamw_bert' }).schedule(20);
    expect(google(3)).toBeCloseTo(1 - 3 / 20, 15);
    const restarts = new TrainingArguments({
      lr_scheduler_type: 'cosine_with_restarts',
      lr_scheduler_kwargs: { num_cycles: 3 },
    });
    expect(restarts.schedule(30)(10)).toBeCloseTo(1, 10);
  });

  test('can stand in a JSON file', () => {
    const args = new TrainingArguments({ trainable: /encoder\.layer\.[45]\./, output_dir: 'opfs:a/b' });
    const dict = JSON.parse(JSON.stringify(args.to_dict()));
    expect(dict).toMatchObject({ trainable: 'encoder\\.layer\\.[45]\\.', output_dir: 'opfs:a/b', dropout: null });
    const folder = { name: 'mine', getFileHandle: () => undefined };
    expect(untyped({ output_dir: folder }).to_dict().output_dir).toBe('mine');
  });

  test('refuses a field that there is not, with all that there are, and says what to do', () => {
    const error = (() => {
      try {
        return untyped({ learning_rat: 1 });
      } catch (caught) {
        return caught as InputError;
      }
    })() as InputError;
    expect(error).toBeInstanceOf(InputError);
    expect(error.message).toContain('TrainingArguments has no field "learning_rat"');
    for (const name of TRAINING_ARGUMENT_NAMES) expect(error.message).toMatch(new RegExp(`\\b${name}\\b`));
    expect(() => untyped({ evaluation_strategy: 'epoch' })).toThrow(/Use eval_strategy\.$/);
    expect(() => untyped({ fp16: true })).toThrow(/float32/);
    expect(() => untyped([])).toThrow(/TrainingArguments is wrong: got an empty list, expected an object/);
    expect(() => untyped('all')).toThrow(InputError);
  });

  const wrong: [fields: Record<string, unknown>, complaint: RegExp][] = [
    [{ learning_rate: '5e-5' }, /learning_rate is wrong: got "5e-5", expected a number of at least 0/],
    [{ learning_rate: -1 }, /learning_rate/],
    [{ learning_rate: Number.NaN }, /learning_rate/],
    [{ per_device_train_batch_size: 0 }, /expected a whole number of at least 1/],
    [{ per_device_train_batch_size: 2.5 }, /per_device_train_batch_size/],
    [{ num_train_epochs: 0 }, /num_train_epochs is wrong: got number 0, expected a number above 0/],
    [{ max_steps: -2 }, /max_steps/],
    [{ warmup_steps: 1.5 }, /warmup_steps is wrong: got number 1.5, expected a whole number of steps, or a share/],
    [{ warmup_ratio: 1 }, /warmup_ratio/],
    [{ logging_steps: 0 }, /logging_steps/],
    [{ adam_beta2: 1 }, /adam_beta2 is wrong: got number 1, expected a number of at least 0 and below 1/],
    [{ adam_epsilon: 0 }, /adam_epsilon/],
    [{ label_smoothing_factor: 1 }, /label_smoothing_factor/],
    [{ class_weights: [1, -1] }, /class_weights is wrong/],
    [{ class_weights: [0, 0] }, /not all of them 0/],
    [{ class_weights: { spam: 2 } }, /expected a list of numbers/],
    [{ dropout: 1 }, /dropout/],
    [{ seed: 1.5 }, /seed/],
    [{ data_seed: -1 }, /data_seed/],
    [{ logging_first_step: 1 }, /logging_first_step is wrong: got number 1, expected true or false/],
    [{ trainable: 'body' }, /trainable is wrong: got "body", expected 'all', 'head'/],
    [{ trainable: { last_layers: 0 } }, /trainable/],
    [{ trainable: { last_layers: 2, head: true } }, /trainable/],
    [{ output_dir: './out' }, /output_dir is wrong: got ".\/out", expected 'opfs:name'/],
    [{ output_dir: 'opfs:' }, /output_dir/],
    [{ output_dir: 'opfs:../x' }, /output_dir/],
    [{ learning_rate_mapping: { '(': 1e-3 } }, /learning_rate_mapping is wrong: got "\(", expected the source/],
    [{ learning_rate_mapping: { head: -1 } }, /head is wrong/],
    [{ lr_scheduler_kwargs: { num_cycles: 2 } }, /the schedule 'linear' has no options/],
    [
      { lr_scheduler_type: 'cosine', lr_scheduler_kwargs: { power: 2 } },
      /no field "power": expected some of num_cycles/,
    ],
    [{ save_strategy: 'epoch' }, /save_strategy "epoch" has no output_dir to save to/],
    [{ load_best_model_at_end: true }, /load_best_model_at_end has nothing to compare/],
    [
      { load_best_model_at_end: true, eval_strategy: 'epoch' },
      /evaluation and saving at the same time: got eval_strategy 'epoch', save_strategy 'no'/,
    ],
    [
      { load_best_model_at_end: true, eval_strategy: 'steps', eval_steps: 200, output_dir: 'opfs:x', save_steps: 500 },
      /saves at steps that are not evaluated/,
    ],
    [
      { output_dir: 'opfs:x', save_strategy: 'best', eval_strategy: 'epoch' },
      /save_strategy 'best' needs metric_for_best_model/,
    ],
  ];
  test.each(wrong)('refuses %j', (fields, complaint) => {
    expect(() => untyped(fields)).toThrow(complaint);
    expect(() => untyped(fields)).toThrow(InputError);
  });

  test.each([
    { optim: 'sgd' },
    { lr_scheduler_type: 'reduce_lr_on_plateau' },
    { eval_strategy: 'best' },
    { train_sampling_strategy: 'batch_rebalance' },
    { gradient_checkpointing: 'yes' },
    { gradient_checkpointing: true },
  ])('refuses %j with what there is', fields => {
    expect(() => untyped(fields)).toThrow(UnsupportedError);
  });

  test('takes shares of steps that fit one another', () => {
    const shares = { eval_strategy: 'steps', output_dir: 'opfs:x', load_best_model_at_end: true } as const;
    expect(new TrainingArguments({ ...shares, eval_steps: 0.1, save_steps: 0.3 }).save_steps).toBe(0.3);
    expect(() => new TrainingArguments({ ...shares, eval_steps: 0.1, save_steps: 100 })).toThrow(/not evaluated/);
  });
});
