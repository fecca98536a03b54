import { afterEach, describe, expect, test, vi } from 'vitest';
import { CheckpointError, InputError, SourceError, UnsupportedError } from '../src/errors.ts';
import { env, pipeline } from '../src/index.ts';
import {
  CoSENTLoss,
  MatryoshkaLoss,
  MultipleNegativesRankingLoss,
  type SetFitArguments,
  SetFitModel,
  SetFitTrainer,
  type TrainingArguments,
} from '../src/train.ts';
import { randomStream } from '../src/training/random.ts';
import { contrastivePairs, type PairSampling } from '../src/training/setfit-pairs.ts';
import { safetensors } from './checkpoint-bytes.ts';
import type { CPUBackend } from './cpu-backend.ts';
import { fixtureFiles } from './fixture-files.ts';
import { leftOpen } from './on-the-cpu.ts';
import { thrown } from './source-environment.ts';
import { checkpointFiles, json } from './vector-fixtures.ts';

/** Few-shot classifiers in Node, on the interpreter. Devices: e2e/suites/trainer.ts. Python: tests/python-reload.test.ts. */

const { backends } = vi.hoisted(() => ({ backends: [] as CPUBackend[] }));
vi.mock('../src/engine/webgpu-backend.ts', async original =>
  (await import('./on-the-cpu.ts')).onTheCPU(original, backends),
);
afterEach(() => {
  expect(leftOpen(backends)).toEqual([]);
});

const load = () =>
  pipeline('feature-extraction', { ...fixtureFiles('random/bert-base'), ...fixtureFiles('sentence/st-prompts') });

const records = [
  { text: 'fine weather', label: 'good' },
  { text: 'a fine day', label: 'good' },
  { text: 'rain and wind', label: 'bad' },
  { text: 'it is cold', label: 'bad' },
];

test('learns a few labels, and its files give the logits', async () => {
  const model = new SetFitModel(await load(), { labels: ['bad', 'good'] });
  expect((await thrown(model.predict(['fine']))).message).toMatch(/no head yet/);
  const args = { batch_size: 8, body_learning_rate: 1e-3, dropout: 0, max_steps: 6 };
  const trainer = new SetFitTrainer({ model, args, train_dataset: records, eval_dataset: records });
  await trainer.train();
  expect(await trainer.evaluate()).toEqual({ eval_accuracy: 1 });
  const texts = records.map(({ text }) => text);
  expect(await model.predict(texts)).toEqual(records.map(({ label }) => label));
  const [row] = await model.predict_proba(texts);
  expect(row!.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 12);
  const logits = await model.predict_logits(texts);
  const files = await model.save_pretrained();
  const again = await pipeline('feature-extraction', files);
  const { data, dims } = await again(texts, { pooling: 'model' });
  expect(dims).toEqual([4, 2]);
  logits.flat().forEach((logit, i) => {
    expect(Math.abs(Number(data[i]) - logit)).toBeLessThan(1e-5);
  });
  await model.dispose();
  await again.dispose();
}, 60_000);

test('trains the head alone, as strictly as head_params says', async () => {
  const body = await load();
  const texts = records.map(({ text }) => text);
  const classes = records.map(({ label }) => Number(label === 'good'));
  const embeddings = await new SetFitModel(body).encode(texts);
  const sureness = async (C: number | undefined) => {
    const model = new SetFitModel(body, { labels: ['bad', 'good'], ...(C && { head_params: { C } }) });
    await model.fit(texts, classes);
    const rows = await model.predict_proba(texts);
    return rows.reduce((sum, row, i) => sum + row[classes[i]!]!, 0);
  };
  const plain = await sureness(undefined);
  expect(await sureness(1)).toBe(plain);
  expect(await sureness(10)).toBeGreaterThan(plain);
  expect(await sureness(0.1)).toBeLessThan(plain);
  expect(await new SetFitModel(body).encode(texts), 'the embedder is as it was').toEqual(embeddings);
  for (const C of [0, -1, Number.NaN]) {
    expect(() => new SetFitModel(body, { head_params: { C } }), String(C)).toThrow(/^C is wrong/);
  }
  expect(() => new SetFitModel(body, { head_params: { c: 1 } as object })).toThrow(/head_params has no field "c"/);
  await body.dispose();
});

test('has the defaults of setfit', async () => {
  const model = new SetFitModel(await load());
  const of = async (args: ConstructorParameters<typeof SetFitTrainer>[0]['args']) => {
    const seen: TrainingArguments[] = [];
    const enough = new Error('enough');
    const callbacks = [
      {
        on_train_begin: (given: TrainingArguments) => {
          seen.push(given);
          throw enough;
        },
      },
    ];
    expect(await thrown(new SetFitTrainer({ model, train_dataset: records, callbacks, args }).train())).toBe(enough);
    return seen[0];
  };
  expect(await of({})).toMatchObject({
    per_device_train_batch_size: 16,
    num_train_epochs: 1,
    learning_rate: 2e-5,
    warmup_steps: 0.1,
    weight_decay: 0.01,
    seed: 42,
    logging_first_step: true,
    logging_steps: 50,
  });
  const own = { l2_weight: 0, logging_first_step: false, logging_steps: 7 };
  expect(await of(own)).toMatchObject({ weight_decay: 0, logging_first_step: false, logging_steps: 7 });
  await model.dispose();
});

test('refuses labels that are none', async () => {
  const model = new SetFitModel(await load());
  const train = (train_dataset: object[]) =>
    new SetFitTrainer({ model, train_dataset: train_dataset as Record<string, unknown>[] }).train();
  expect((await thrown(train([{ text: 'a' }]))).message).toMatch(/record 0 of train_dataset/);
  expect(() => new SetFitTrainer({ model, train_dataset: [], args: { epochs: 1 } as object })).toThrow(/"epochs"/);
  await train(records).catch(() => undefined);
  expect(model.labels).toEqual(['good', 'bad']);
  const other = [{ text: 'a', label: 'neither' }];
  expect((await thrown(train(other))).message).toMatch(/neither.*good, bad/s);
  expect(() => new SetFitModel(model.model_body, { labels: ['one'] })).toThrow(InputError);
  await model.dispose();
}, 60_000);

describe('a model that was saved loads again', () => {
  const texts = records.map(({ text }) => text);
  const classes = records.map(({ label }) => Number(label === 'good'));
  const saved = async (name: string, labels: readonly string[] | null = ['bad', 'good']) => {
    const model = await SetFitModel.from_pretrained(checkpointFiles(name), { labels });
    await model.fit(texts, classes);
    return { model, files: await model.save_pretrained() };
  };
  const contents = async (files: readonly File[]) =>
    Object.fromEntries(
      await Promise.all(files.map(async file => [file.name, new Uint8Array(await file.arrayBuffer())] as const)),
    );
  const listed = async (files: readonly File[]) =>
    JSON.parse(await files.find(({ name }) => name === 'modules.json')!.text()) as { name: string; path: string }[];

  // One with modules behind the pooling, one with its encoder in a folder.
  test.each(['st-prompts', 'st-dense', 'in-folder'])('%s: labels, head and body, to the same bits', async name => {
    const { model, files } = await saved(name);
    const again = await SetFitModel.from_pretrained(files);
    expect(again.has_head).toBe(true);
    expect(again.labels).toEqual(['bad', 'good']);
    expect(await again.encode(texts)).toEqual(await model.encode(texts));
    expect(await again.predict_logits(texts)).toEqual(await model.predict_logits(texts));
    expect(await again.predict(texts)).toEqual(await model.predict(texts));
    // Nothing is lost or added where it is saved once more, nor where a new head is trained.
    const written = await contents(files);
    expect(await contents(await again.save_pretrained())).toEqual(written);
    await again.fit(texts, classes);
    expect(await contents(await again.save_pretrained())).toEqual(written);
    expect((await listed(files)).filter(({ name }) => name === 'model_head')).toHaveLength(1);
    await Promise.all([model.dispose(), again.dispose()]);
  });

  test('from the address of a folder, and without labels', async () => {
    const { model, files } = await saved('st-prompts', null);
    const served = await contents(files);
    const fetch = env.fetch;
    env.fetch = async input => {
      const file = String(input).split('/classifier/')[1];
      const bytes = served[file ?? ''];
      return bytes ? new Response(bytes) : new Response(null, { status: 404 });
    };
    try {
      const again = await SetFitModel.from_pretrained('https://models.test/classifier/');
      expect(again.labels).toBeUndefined();
      expect(await again.predict_logits(texts)).toEqual(await model.predict_logits(texts));
      expect(await again.predict(texts)).toEqual(await model.predict(texts));
      expect((await again.save_pretrained()).map(({ name }) => name).sort()).toEqual(Object.keys(served).sort());
      await again.dispose();
    } finally {
      env.fetch = fetch;
    }
    await model.dispose();
  });

  test('an embedder, and a model without a head, load without one', async () => {
    const embedder = await SetFitModel.from_pretrained(checkpointFiles('st-dense'));
    expect([embedder.has_head, embedder.labels]).toEqual([false, undefined]);
    embedder.labels = ['a', 'b'];
    const again = await SetFitModel.from_pretrained(await embedder.save_pretrained());
    expect([again.has_head, again.labels]).toEqual([false, ['a', 'b']]);
    expect(await again.encode(texts)).toEqual(await embedder.encode(texts));
    await Promise.all([embedder.dispose(), again.dispose()]);
  });

  test('other labels may be given, as many as there are classes', async () => {
    const { model, files } = await saved('st-prompts');
    const renamed = await SetFitModel.from_pretrained(files, { labels: ['no', 'yes'] });
    expect(await renamed.predict(texts.slice(0, 1))).toEqual(['yes']);
    const error = await thrown(SetFitModel.from_pretrained(files, { labels: ['a', 'b', 'c'] }));
    expect(error).toBeInstanceOf(InputError);
    expect(error.message).toMatch(/labels.*2 names/s);
    await Promise.all([model.dispose(), renamed.dispose()]);
  });

  test('a pipeline that has a head as its last module keeps it as a part of the body', async () => {
    const { model, files } = await saved('st-prompts');
    const outer = new SetFitModel(await pipeline('feature-extraction', files));
    await outer.fit(texts, classes);
    const again = await SetFitModel.from_pretrained(await outer.save_pretrained());
    expect((await again.encode(texts))[0]).toHaveLength(2);
    expect(await again.predict_logits(texts)).toEqual(await outer.predict_logits(texts));
    await Promise.all([model, outer, again].map(each => each.dispose()));
  });

  test.each<[string, Record<string, object>, RegExp, new (...args: never[]) => Error]>([
    [
      'labels are none',
      { 'config_setfit.json': { labels: 'good' } },
      /config_setfit.json is malformed: labels/,
      SourceError,
    ],
    [
      'embeddings are normalized',
      { 'config_setfit.json': { labels: null, normalize_embeddings: true } },
      /normalizes its embeddings/,
      UnsupportedError,
    ],
    ['the head is none', { '3_Dense/model.safetensors': {} }, /no head of a SetFit model/, CheckpointError],
  ])('is refused where %s', async (_, changed, message, type) => {
    const { model, files } = await saved('st-prompts');
    const written: Record<string, Uint8Array<ArrayBuffer>> = await contents(files);
    for (const [name, value] of Object.entries(changed)) {
      written[name] = name.endsWith('.json')
        ? json(value)
        : safetensors({ 'linear.bias': { dtype: 'F32', shape: [2], bytes: new Uint8Array(8) } });
    }
    const error = await thrown(SetFitModel.from_pretrained(written));
    expect(error.message).toMatch(message);
    expect(error).toBeInstanceOf(type);
    await model.dispose();
  });
});

describe('what its trainer does not take', () => {
  const trainerOf = async (args: object) => {
    const model = await SetFitModel.from_pretrained(checkpointFiles('st-prompts'));
    try {
      return new SetFitTrainer({ model, train_dataset: records, args: args as SetFitArguments });
    } finally {
      await model.dispose();
    }
  };

  test.each<[object, RegExp]>([
    [{ batch_size: 0 }, /^batch_size is wrong/],
    [{ num_epochs: -1 }, /^num_epochs is wrong/],
    [{ max_steps: 1.5 }, /^max_steps is wrong/],
    [{ num_iterations: 0 }, /^num_iterations is wrong/],
    [{ body_learning_rate: '2e-5' }, /^body_learning_rate is wrong/],
    [{ warmup_proportion: 1 }, /^warmup_proportion is wrong/],
    [{ l2_weight: Number.NaN }, /^l2_weight is wrong/],
    [{ seed: -1 }, /^seed is wrong/],
    [{ logging_first_step: 1 }, /^logging_first_step is wrong/],
    [{ logging_steps: 0 }, /^logging_steps is wrong/],
    [{ dropout: 2 }, /^dropout is wrong/],
    [{ trainable: 'none' }, /trainable/],
    [{ sampling_strategy: 'all' }, /sampling_strategy.*oversampling/s],
    [{ loss: 'cosine' }, /no loss of embeddings/],
  ])('%j, when it is made', async (args, message) => {
    expect((await thrown(trainerOf(args))).message).toMatch(message);
  });

  const ranking = new MultipleNegativesRankingLoss();
  test.each([
    ['MultipleNegativesRankingLoss', ranking],
    ['MatryoshkaLoss of it', new MatryoshkaLoss({ loss: ranking, matryoshka_dims: [8] })],
  ])('%s, which reads no labels of pairs', async (_, loss) => {
    const error = await thrown(trainerOf({ loss }));
    expect(error).toBeInstanceOf(InputError);
    expect(error.message).toMatch(/does not read the labels of pairs/);
    await trainerOf({ loss: new MatryoshkaLoss({ loss: new CoSENTLoss(), matryoshka_dims: [8] }) });
  });

  test('a checkpoint to go on from: it writes none', async () => {
    const trainer = await trainerOf({});
    const error = await thrown(trainer.train({ resume_from_checkpoint: true } as object));
    expect(error).toBeInstanceOf(InputError);
    expect(error.message).toMatch(/writes no checkpoints/);
  });
});

/** The example of setfit's guide: 8 happy texts, 4 content ones, 8 sad ones. In Python a text is a pair with itself, too: 20 pairs more. */
describe("pairs are setfit's", () => {
  const labels = [...Array(8).fill(0), ...Array(4).fill(1), ...Array(8).fill(2)] as number[];
  const texts = labels.map((label, i) => `${label}-${i}`);
  const POSITIVE = 28 + 6 + 28 + 20;
  const NEGATIVE = 8 * 4 + 8 * 8 + 4 * 8;
  const pairs = (sampling: Partial<PairSampling>, seed = 42) =>
    contrastivePairs(texts, labels, {
      strategy: 'oversampling',
      iterations: undefined,
      stream: randomStream({ seed, purpose: 'pairs' }),
      ...sampling,
    }) as { sentence1: string; sentence2: string; label: number }[];
  /** How often each pair of a kind is there. */
  const counts = (all: ReturnType<typeof pairs>, label: number) => {
    const found = new Map<string, number>();
    for (const pair of all.filter(pair => pair.label === label)) {
      const key = `${pair.sentence1} ${pair.sentence2}`;
      found.set(key, (found.get(key) ?? 0) + 1);
    }
    return [...found.values()];
  };
  const sum = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0);

  test.each<[string, Partial<PairSampling>, number, number]>([
    ['unique: every pair once', { strategy: 'unique' }, POSITIVE, NEGATIVE],
    ['undersampling: as many as of the rarer kind', { strategy: 'undersampling' }, POSITIVE, POSITIVE],
    ['oversampling: as many as of the more frequent kind', {}, NEGATIVE, NEGATIVE],
    ['num_iterations: so many of each kind for a text', { iterations: 3 }, 60, 60],
    ['num_iterations, more than there are', { iterations: 10, strategy: 'unique' }, 200, 200],
  ])('%s', (_, sampling, positive, negative) => {
    const all = pairs(sampling);
    const [same, other] = [counts(all, 1), counts(all, 0)];
    expect([sum(same), sum(other)]).toEqual([positive, negative]);
    // No pair comes again before all others of its kind have come.
    for (const [kind, unique, total] of [
      [same, POSITIVE, positive],
      [other, NEGATIVE, negative],
    ] as const) {
      expect(kind).toHaveLength(Math.min(unique, total));
      expect(Math.max(...kind) - Math.min(...kind)).toBeLessThanOrEqual(1);
    }
  });

  test('a label says whether two texts are of one class; no pair is there the other way round', () => {
    const all = pairs({ strategy: 'unique' });
    const classOf = (text: string) => text.split('-')[0];
    for (const { sentence1, sentence2, label } of all) {
      expect(label).toBe(Number(classOf(sentence1) === classOf(sentence2)));
      expect(texts.indexOf(sentence1)).toBeLessThanOrEqual(texts.indexOf(sentence2));
    }
  });

  test('the seed says which pairs come first', () => {
    const few = { strategy: 'undersampling' } as const;
    expect(pairs(few)).toEqual(pairs(few));
    expect(pairs(few, 1)).not.toEqual(pairs(few));
  });

  test('where a kind has no pair, the other is there alone', () => {
    const stream = randomStream({ seed: 42, purpose: 'pairs' });
    const alone = contrastivePairs(['a', 'b'], [0, 0], { strategy: 'oversampling', iterations: undefined, stream });
    expect(alone.map(({ label }) => label)).toEqual([1, 1, 1]);
  });
});
