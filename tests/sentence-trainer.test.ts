import { describe, expect, test, vi } from 'vitest';
import { InputError, UnsupportedError } from '../src/errors.ts';
import { pipeline } from '../src/index.ts';
import {
  CoSENTLoss,
  CosineSimilarityLoss,
  type EmbedderLoss,
  MatryoshkaLoss,
  MultipleNegativesRankingLoss,
  SentenceTransformerTrainer,
  type SentenceTransformerTrainerOptions,
  SentenceTransformerTrainingArguments,
  SetFitModel,
  SetFitTrainer,
  TrainingArguments,
} from '../src/train.ts';
import { FakeDirectory } from './fake-directory.ts';
import { fixtureFiles } from './fixture-files.ts';
import { thrown } from './source-environment.ts';
import { logged } from './trained-model.ts';

/** The trainer of embedders in Node, on the interpreter. Devices: e2e/suites/embedder-training.ts, trainer.ts. */

vi.mock('../src/engine/webgpu-backend.ts', async original => (await import('./on-the-cpu.ts')).onTheCPU(original));

const load = (folder = 'sentence/st-prompts') =>
  pipeline('feature-extraction', { ...fixtureFiles('random/bert-base'), ...fixtureFiles(folder) });

const PAIRS = [
  { anchor: 'Paris', positive: 'a city in France' },
  { anchor: 'the fox', positive: 'a brown animal' },
  { anchor: 'rain', positive: 'water that falls' },
  { anchor: 'a train', positive: 'it goes on rails' },
];
const SCORED = PAIRS.map(({ anchor, positive }, i) => ({ sentence1: anchor, sentence2: positive, score: i / 4 }));

async function setUp(options: Partial<SentenceTransformerTrainerOptions> = {}) {
  const model = await load();
  const trainer = new SentenceTransformerTrainer({
    model,
    loss: new MultipleNegativesRankingLoss(),
    train_dataset: PAIRS,
    ...options,
    args: { per_device_train_batch_size: 4, learning_rate: 1e-3, logging_steps: 1, dropout: 0, ...options.args },
  });
  return { model, trainer };
}

describe('SentenceTransformerTrainer', () => {
  test.each<[string, EmbedderLoss, object[]]>([
    ['in-batch negatives', new MultipleNegativesRankingLoss(), PAIRS],
    ['hard negatives', new MultipleNegativesRankingLoss(), PAIRS.map(each => ({ ...each, negative: 'no' }))],
    ['dot products', new MultipleNegativesRankingLoss({ scale: 1, similarity_fct: 'dot_score' }), PAIRS],
    ['cosines', new CosineSimilarityLoss(), SCORED],
    ['the order of cosines', new CoSENTLoss(), SCORED],
    [
      'several lengths',
      new MatryoshkaLoss({ loss: new MultipleNegativesRankingLoss(), matryoshka_dims: [32, 8] }),
      PAIRS,
    ],
  ])('evaluates %s with the loss of training', async (_, loss, records) => {
    const train_dataset = records as Record<string, unknown>[];
    const args = { learning_rate: 0, max_steps: 1, per_device_eval_batch_size: 4 };
    const { trainer, model } = await setUp({ loss, train_dataset, eval_dataset: train_dataset, args });
    await trainer.train();
    const { eval_loss } = await trainer.evaluate();
    expect(Math.abs(eval_loss! / logged(trainer, 'loss')[0]! - 1)).toBeLessThan(1e-5);
    await model.dispose();
  });

  test('learns; the embedder sees it, and its space is another one', async () => {
    const { trainer, model } = await setUp({ args: { max_steps: 8, learning_rate: 3e-3 } });
    const spaces = [model.space];
    trainer.add_callback({ on_step_end: () => void spaces.push(model.space) });
    await trainer.train();
    expect(logged(trainer, 'loss').at(-1)!).toBeLessThan(logged(trainer, 'loss')[0]! / 2);
    expect(new Set(spaces).size).toBe(9);
    const { data } = await model(['Paris', 'a city in France'], { pooling: 'model', normalize: true });
    expect(data.every(value => Number.isFinite(Number(value)))).toBe(true);
    await model.dispose();
  }, 60_000);

  test('says where no batch is whole, because all records have one text', async () => {
    const { trainer, model } = await setUp({
      train_dataset: PAIRS.map(({ positive }) => ({ anchor: 'the same', positive })),
      args: { batch_sampler: 'no_duplicates', dataloader_drop_last: true, per_device_train_batch_size: 2 },
    });
    const error = await thrown(trainer.train());
    expect(error).toBeInstanceOf(InputError);
    expect(error.message).toMatch(/no whole batch.*4 records.*2 that may stand in one batch/s);
    await model.dispose();
  });

  test('evaluates with the keys of transformers', async () => {
    const { trainer, model } = await setUp({ eval_dataset: PAIRS });
    expect(Object.keys(await trainer.evaluate())).toEqual([
      'eval_loss',
      'eval_runtime',
      'eval_samples_per_second',
      'eval_steps_per_second',
      'epoch',
    ]);
    await model.dispose();
  });

  test('puts prompts before the texts of columns, and makes batches without a text twice', async () => {
    const repeated = [...PAIRS, { anchor: 'Paris', positive: 'the capital' }];
    const seen: number[] = [];
    const args = { prompts: { anchor: 'query: ' }, batch_sampler: 'no_duplicates', num_train_epochs: 1 } as const;
    const { trainer, model } = await setUp({
      train_dataset: repeated,
      args: { ...args, per_device_train_batch_size: 5 },
      callbacks: [{ on_step_end: (_, { num_input_tokens_seen }) => void seen.push(num_input_tokens_seen) }],
    });
    await trainer.train();
    const plain = await setUp({
      train_dataset: repeated,
      args: { num_train_epochs: 1, per_device_train_batch_size: 5 },
    });
    await plain.trainer.train();
    // The fifth record has the anchor of the first, so it is put off; the schedule has one step of five.
    expect(trainer.state.global_step).toBe(1);
    expect(plain.trainer.state.global_step).toBe(1);
    expect(seen[0]).not.toBe(plain.trainer.state.num_input_tokens_seen);
    await model.dispose();
  });

  test('goes on from a checkpoint to the same bits', async () => {
    const output_dir = new FakeDirectory().handle();
    const args = { max_steps: 4, save_steps: 2, output_dir, per_device_train_batch_size: 2 };
    const rowOf = async (model: Awaited<ReturnType<typeof load>>) => [
      ...(await model('Paris', { pooling: 'model' })).data,
    ];
    const whole = await setUp({ args });
    await whole.trainer.train();
    const resumed = await setUp({ args });
    await resumed.trainer.train({ resume_from_checkpoint: 'checkpoint-2' });
    expect(await rowOf(resumed.model)).toEqual(await rowOf(whole.model));
    expect(logged(resumed.trainer, 'loss')).toEqual(logged(whole.trainer, 'loss'));
  }, 60_000);

  test('calls an evaluator, and refuses what is wrong', async () => {
    const evaluator = async () => ({ 'cosine_mrr@10': 0.5 });
    const { trainer, model } = await setUp({ evaluator });
    expect(await trainer.evaluate()).toMatchObject({ 'eval_cosine_mrr@10': 0.5 });
    const make = (options: object) => () =>
      new SentenceTransformerTrainer({
        model,
        loss: new CoSENTLoss(),
        ...options,
      } as SentenceTransformerTrainerOptions);
    expect(make({ loss: 'mnrl' })).toThrow(UnsupportedError);
    expect(make({ model: {} })).toThrow(/feature-extraction/);
    expect(make({ args: { batch_sampler: 'none' } })).toThrow(UnsupportedError);
    expect(make({ args: { prompts: 3 } })).toThrow(/prompts/);
    expect(make({ args: { label_smoothing_factor: 0.1 } })).toThrow(/label_smoothing_factor has no meaning/);
    expect(make({ args: { class_weights: [1, 2] } })).toThrow(/class_weights has no meaning/);
    expect(make({ processing_class: 1 })).toThrow(/tokenizer is that of the model/);
    expect(make({})().args).toBeInstanceOf(SentenceTransformerTrainingArguments);
    expect(make({ args: new TrainingArguments({ seed: 5 }) })().args.seed).toBe(5);
    const wrongData: [object[], RegExp][] = [
      [[], /empty/],
      [[{ label: 1 }], /no texts/],
      [[{ a: 'x', b: 3, label: 1 }], /record 0.*"b" is no text/],
      [[{ a: 'x', b: 'y' }], /label of record 0/],
      [[{ a: 'x', b: 'y', c: 'z', label: 1 }], /so many texts/],
    ];
    for (const [train_dataset, message] of wrongData) {
      const error = await thrown(make({ train_dataset })().train());
      expect(error).toBeInstanceOf(InputError);
      expect(error.message).toMatch(message);
    }
    const [table] = [await pipeline('feature-extraction', fixtureFiles('sentence/st-static'))];
    expect(make({ model: table })).toThrow(/table of vectors/);
    await table.dispose();
    await model.dispose();
  });

  test('evaluates in batches without a text twice, where it trains in such', async () => {
    // Two questions of one answer: in one batch each takes the answer of the other for a wrong one.
    const twice = [PAIRS[0]!, { anchor: 'the capital', positive: PAIRS[0]!.positive }, ...PAIRS.slice(1, 3)];
    const apart = [twice[0]!, ...twice.slice(2), twice[1]!];
    const lossOf = async (eval_dataset: object[], args: object) => {
      const { trainer, model } = await setUp({ args: { ...args, per_device_eval_batch_size: 4 }, eval_dataset });
      const { eval_loss } = await trainer.evaluate();
      await model.dispose();
      return eval_loss!;
    };
    const own = await lossOf(twice, { batch_sampler: 'no_duplicates' });
    const first = await lossOf(apart.slice(0, 3), {});
    // The second batch is one record, which has nothing to be taken for.
    expect(own).toBeCloseTo((3 * first) / 4, 6);
    expect(await lossOf(twice, {})).toBeGreaterThan(own + 0.1);
  });

  test.each([{ trainable: 'head' as const }, { trainable: /pooler/ }])(
    'refuses to train what the loss does not read: $trainable',
    async args => {
      const { trainer, model } = await setUp({ args });
      const error = await thrown(trainer.train());
      expect(error).toBeInstanceOf(InputError);
      expect(error.message).toMatch(/nothing of this model would be trained.*the loss does not read/);
      expect(trainer.state.global_step).toBe(0);
      const body = new SetFitTrainer({
        model: new SetFitModel(model),
        train_dataset: PAIRS.map(({ anchor }, label) => ({ text: anchor, label: String(label % 2) })),
        args,
      });
      expect((await thrown(body.train())).message).toMatch(/nothing of this model would be trained/);
      await model.dispose();
    },
  );
});
