import { readdirSync, readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { PreTrainedModel } from '../src/api/model.ts';
import { CheckpointError, InputError, UnsupportedError } from '../src/errors.ts';
import {
  type AutoClass,
  AutoModel,
  AutoModelForMaskedLM,
  AutoModelForMultipleChoice,
  AutoModelForPreTraining,
  AutoModelForQuestionAnswering,
  AutoModelForSequenceClassification,
  AutoModelForTokenClassification,
  env,
  LogLevel,
  type NewHeadOptions,
  pipeline,
  type Tensor,
} from '../src/index.ts';
import { readTensors, safetensors } from './checkpoint-bytes.ts';
import type { CPUBackend } from './cpu-backend.ts';
import { thrown } from './source-environment.ts';

/** Heads that a checkpoint lacks: when they are made, of what, and when they stay an error. */

const { backends } = vi.hoisted(() => ({ backends: [] as CPUBackend[] }));
vi.mock('../src/engine/webgpu-backend.ts', async original =>
  (await import('./on-the-cpu.ts')).onTheCPU(original, backends),
);

const warn = vi.spyOn(console, 'warn');
beforeEach(() => warn.mockReset().mockImplementation(() => undefined));
afterEach(() => {
  env.logLevel = LogLevel.WARNING;
});

const folder = new URL('fixtures/interpreter/', import.meta.url);
const read = (name: string, file: string) => new Uint8Array(readFileSync(new URL(`${name}/${file}`, folder)));

/** The files of a fixture, with fields of config.json changed, and without the tensors that `without` matches. */
function files(name: string, { fields = {}, without }: { fields?: object; without?: RegExp } = {}) {
  const config = { ...JSON.parse(new TextDecoder().decode(read(name, 'config.json'))), ...fields };
  const kept = Object.entries(readTensors(read(name, 'model.safetensors'))).filter(([key]) => !without?.test(key));
  return {
    'config.json': new TextEncoder().encode(JSON.stringify(config)),
    'model.safetensors': safetensors(Object.fromEntries(kept)),
  };
}

const ids = { input_ids: [[5, 6, 7, 8]] };
const logitsOf = async (model: PreTrainedModel) => ((await model._call(ids)) as { logits: Tensor }).logits;
const tags = { id2label: { 0: 'O', 1: 'B-PER', 2: 'I-PER' } };

describe('a checkpoint without a head', () => {
  test('is an error without options, which says how a head is made', async () => {
    const error = await thrown(AutoModelForTokenClassification.from_pretrained(files('bert-Model')));
    expect(error).toBeInstanceOf(CheckpointError);
    expect(error.message).toContain('lacks the tensor "classifier.weight"');
    expect(error.message).toMatch(/num_labels or seed of AutoModelForTokenClassification\.from_pretrained/);
    expect(warn).not.toHaveBeenCalled();
  });

  test('is an error for a pipeline, whatever the options', async () => {
    const bert = files('bert-Model');
    for (const options of [{}, { num_labels: 2 }, { seed: 1 }]) {
      const error = await thrown(pipeline('text-classification', bert, options as object));
      expect(error).toBeInstanceOf('seed' in options || 'num_labels' in options ? UnsupportedError : CheckpointError);
    }
  });

  test('gets one of as many classes as there are names, and says so', async () => {
    const model = await AutoModelForTokenClassification.from_pretrained(files('bert-Model'), tags);
    expect(model.newly_initialized).toEqual(['classifier.bias', 'classifier.weight']);
    expect(warn).toHaveBeenCalledTimes(1);
    expect(warn.mock.calls[0]![0]).toMatch(
      /Some weights of AutoModelForTokenClassification were not initialized .*: classifier\.bias, classifier\.weight\. You should probably TRAIN/,
    );
    const { dims, data } = await logitsOf(model);
    expect(dims).toEqual([1, 4, 3]);
    expect(new Set(data as Float32Array).size).toBe(12);
    expect(model.config.id2label).toEqual(tags.id2label);
    expect(model.config.label2id).toEqual({ O: 0, 'B-PER': 1, 'I-PER': 2 });
    const { data: bias } = backends.at(-1)!.weights.tensor('classifier.bias');
    expect([...bias]).toEqual([0, 0, 0]);
  });

  test('says nothing where env.logLevel is above WARNING', async () => {
    env.logLevel = LogLevel.ERROR;
    await AutoModelForTokenClassification.from_pretrained(files('bert-Model'), tags);
    expect(warn).not.toHaveBeenCalled();
  });

  test('gets the same numbers for the same seed, 42 where none is given, and keeps its own', async () => {
    const load = async (options: NewHeadOptions) =>
      logitsOf(await AutoModelForTokenClassification.from_pretrained(files('bert-Model'), options));
    const usual = await load(tags);
    expect((await load({ ...tags, seed: 42 })).data).toEqual(usual.data);
    expect((await load({ ...tags, seed: 43 })).data).not.toEqual(usual.data);
    // The name of the encoder in the file makes no difference.
    const prefixed = files('bert-TokenClassification', { without: /^classifier/ });
    const model = await AutoModelForTokenClassification.from_pretrained(prefixed, tags);
    const weight = backends.at(-1)!.weights.tensor('classifier.weight').data;
    await AutoModelForTokenClassification.from_pretrained(files('bert-Model'), tags);
    expect(backends.at(-1)!.weights.tensor('classifier.weight').data.slice(0, 9)).toEqual(weight.slice(0, 9));
    expect(model.newly_initialized).toEqual(['classifier.bias', 'classifier.weight']);
  });

  test('gets the same head again after its device was lost', async () => {
    const model = await AutoModelForTokenClassification.from_pretrained(files('bert-Model'), tags);
    const before = await logitsOf(model);
    const devices = backends.length;
    backends.at(-1)!.lose();
    expect((await logitsOf(model)).data).toEqual(before.data);
    expect(backends.length).toBe(devices + 1);
    expect(model.newly_initialized.length).toBe(2);
    expect(warn).toHaveBeenCalledTimes(1);
  });

  test('gets the pooler, too, where the head reads one that is missing', async () => {
    const model = await AutoModelForSequenceClassification.from_pretrained(files('bert-MaskedLM'), { num_labels: 4 });
    const pooler = ['bert.pooler.dense.bias', 'bert.pooler.dense.weight'];
    expect(model.newly_initialized).toEqual([...pooler, 'classifier.bias', 'classifier.weight']);
    expect((await logitsOf(model)).dims).toEqual([1, 4]);
    expect(model.config.id2label).toEqual({ 0: 'LABEL_0', 1: 'LABEL_1', 2: 'LABEL_2', 3: 'LABEL_3' });
    const whole = await AutoModelForSequenceClassification.from_pretrained(files('bert-Model'), { num_labels: 4 });
    expect(whole.newly_initialized).toEqual(['classifier.bias', 'classifier.weight']);
  });

  test('gets a head without classes by its seed', async () => {
    const masked = await AutoModelForMaskedLM.from_pretrained(files('roberta-Model'), { seed: 1 });
    expect(masked.newly_initialized).toEqual([
      'lm_head.bias',
      'lm_head.dense.bias',
      'lm_head.dense.weight',
      'lm_head.layer_norm.bias',
      'lm_head.layer_norm.weight',
    ]);
    const answers = await AutoModelForQuestionAnswering.from_pretrained(files('roberta-Model'), { seed: 1 });
    expect(answers.newly_initialized).toEqual(['qa_outputs.bias', 'qa_outputs.weight']);
    const both = await AutoModelForPreTraining.from_pretrained(files('bert-MaskedLM'), { seed: 1 });
    expect(both.newly_initialized.filter(name => name.startsWith('cls'))).toEqual([
      'cls.seq_relationship.bias',
      'cls.seq_relationship.weight',
    ]);
  });

  test('keeps the layer that ModernBERT classifies with, where it is that of its masked-LM head', async () => {
    const masked = await AutoModelForSequenceClassification.from_pretrained(files('modernbert-MaskedLM'), tags);
    expect(masked.newly_initialized).toEqual(['classifier.bias', 'classifier.weight']);
    const plain = await AutoModelForSequenceClassification.from_pretrained(files('modernbert-Model'), tags);
    expect(plain.newly_initialized).toEqual(expect.arrayContaining(['classifier.bias', 'head.dense.weight']));
  });
});

/** Every head of a family whose fixtures have it and a model without a head. */
const HEADS: Readonly<Record<string, AutoClass<never, NewHeadOptions>>> = {
  MaskedLM: AutoModelForMaskedLM,
  PreTraining: AutoModelForPreTraining,
  SequenceClassification: AutoModelForSequenceClassification,
  TokenClassification: AutoModelForTokenClassification,
  QuestionAnswering: AutoModelForQuestionAnswering,
  MultipleChoice: AutoModelForMultipleChoice,
};
// DeBERTa's models of both kinds differ in their settings. For nomic's vocabulary on the hub the bias has another name, which is read, too.
const all = readdirSync(folder).filter(name => !/^deberta.*MaskedLM|^nomic_bert-plain-MaskedLM/.test(name));
const headed = all.flatMap(name => {
  const [, family, head] = /^(.*)-(\w+)$/.exec(name) ?? [];
  const folder = `${family}-Model`;
  return head && HEADS[head] && all.includes(folder) ? [{ name, folder, auto: HEADS[head] }] : [];
});

test.each(headed)("the head of $name has Python's names and shapes", async ({ name, folder, auto }) => {
  const { id2label } = JSON.parse(new TextDecoder().decode(read(name, 'config.json')));
  const base = files(folder);
  const model = await auto.from_pretrained(base, { seed: 3, ...(id2label && { id2label }) });
  const python = readTensors(read(name, 'model.safetensors'));
  // Of its own names the file that was saved without a head has those of the encoder without their prefix.
  const find = (own: string) => python[own] ?? Object.entries(python).find(([key]) => key.endsWith(`.${own}`))?.[1];
  expect(model.newly_initialized.length).toBeGreaterThan(0);
  const { tensors } = PreTrainedModel.engineOf(model);
  for (const { info } of tensors.filter(({ info }) => model.newly_initialized.includes(info.name))) {
    expect([info.name, find(info.name)?.shape]).toEqual([info.name, info.shape]);
  }
});

describe('a head of another size', () => {
  const load = (options: NewHeadOptions) =>
    AutoModelForTokenClassification.from_pretrained(files('bert-TokenClassification'), options);

  test('is an error that names the option, and made anew with it', async () => {
    const present = (await logitsOf(await load({}))).dims.at(-1)!;
    const error = await thrown(load({ num_labels: present + 1 }));
    expect(error).toBeInstanceOf(CheckpointError);
    expect(error.message).toMatch(/head of another size.*ignore_mismatched_sizes: true/s);
    const model = await load({ num_labels: present + 1, ignore_mismatched_sizes: true });
    expect(model.newly_initialized).toEqual(['classifier.bias', 'classifier.weight']);
    expect((await logitsOf(model)).dims).toEqual([1, 4, present + 1]);
    const encoder = await AutoModel.from_pretrained(files('bert-TokenClassification'));
    const [a, b] = await Promise.all([model, encoder].map(each => each._call(ids, { output_hidden_states: true })));
    expect(a!.hidden_states!.at(-1)!.data).toEqual(b!.hidden_states!.at(-1)!.data);
  });

  test('stays as it is where the size is the same, and gets the names', async () => {
    const plain = await load({});
    const names = Object.keys(plain.config.id2label as object).map((_, id) => [id, `name ${id}`]);
    const named = await load({ id2label: Object.fromEntries(names), ignore_mismatched_sizes: true });
    expect(named.newly_initialized).toEqual([]);
    expect((await logitsOf(named)).data).toEqual((await logitsOf(plain)).data);
    expect(named.config.id2label).toEqual(Object.fromEntries(names));
    expect(warn).not.toHaveBeenCalled();
  });

  test('of the encoder it is an error in any case', async () => {
    const bert = files('bert-TokenClassification', { fields: { type_vocab_size: 9 } });
    const loading = AutoModelForTokenClassification.from_pretrained(bert, { seed: 1, ignore_mismatched_sizes: true });
    expect((await thrown(loading)).message).toMatch(/token_type_embeddings\.weight" has the wrong shape/);
  });
});

describe('what is missing in part stays an error', () => {
  test.each([
    ['bert-SequenceClassification', /^classifier\.bias/, 'classifier.bias'],
    ['bert-SequenceClassification', /pooler\.dense\.bias/, 'pooler.dense.bias'],
    ['roberta-SequenceClassification', /^classifier\.out_proj/, 'classifier.out_proj.weight'],
    ['distilbert-SequenceClassification', /^pre_classifier/, 'classifier.dense.weight'],
    ['modernbert-SequenceClassification', /^head\.dense/, 'classifier.dense.weight'],
    [
      'bert-SequenceClassification',
      /layer\.1\.output\.dense\.weight|^classifier/,
      'encoder.layer.1.output.dense.weight',
    ],
    ['bert-SequenceClassification', /word_embeddings|^classifier/, 'embeddings.word_embeddings.weight'],
  ])('%s without %s', async (name, without, tensor) => {
    const loading = AutoModelForSequenceClassification.from_pretrained(files(name, { without }), { seed: 1 });
    const error = await thrown(loading);
    expect(error).toBeInstanceOf(CheckpointError);
    expect(error.message).toContain(`lacks the tensor "${tensor}"`);
  });

  test("DeBERTa's other masked-LM head is not thrown away", async () => {
    const deberta = files('deberta-MaskedLM', { fields: { legacy: true } });
    const error = await thrown(AutoModelForMaskedLM.from_pretrained(deberta, { seed: 1 }));
    expect(error.message).toContain('set "legacy": false');
  });
});

describe('the options', () => {
  const load = (options: unknown) =>
    AutoModelForSequenceClassification.from_pretrained(files('bert-Model'), options as NewHeadOptions);

  test('take either of id2label and label2id, and problem_type', async () => {
    const model = await load({ label2id: { no: 0, yes: 1 }, problem_type: 'multi_label_classification' });
    expect(model.config.id2label).toEqual({ 0: 'no', 1: 'yes' });
    expect(model.config.problem_type).toBe('multi_label_classification');
    const counted = files('bert-Model', { fields: { num_labels: 2, id2label: null } });
    const three = await AutoModelForSequenceClassification.from_pretrained(counted, { num_labels: 3 });
    expect(three.config.num_labels).toBe(3);
    expect('num_labels' in (await load({ num_labels: 3 })).config).toBe(false);
    // A list has its names by their places, too.
    expect((await load({ id2label: ['a', 'b', 'c'] })).config.id2label).toEqual({ 0: 'a', 1: 'b', 2: 'c' });
  });

  test.each([
    [{ num_labels: 0 }, /num_labels is wrong/],
    [{ num_labels: 2.5 }, /num_labels is wrong/],
    [{ num_labels: 1e9 }, /num_labels is wrong/],
    [{ num_labels: 3, id2label: { 0: 'a', 1: 'b' } }, /num_labels is wrong: got number 3, expected 2/],
    [{ id2label: {} }, /id2label is wrong/],
    [{ id2label: { 1: 'a', 2: 'b' } }, /id2label is wrong/],
    [{ id2label: { 0: 'a', 1: 'a' } }, /id2label is wrong/],
    [{ id2label: { 0: 7 } }, /id2label is wrong/],
    [{ id2label: 'a' }, /id2label is wrong/],
    [{ label2id: { a: 0, b: 0 } }, /label2id is wrong/],
    [{ label2id: { a: 0, b: 1 }, id2label: { 0: 'b', 1: 'a' } }, /label2id is wrong/],
    [{ seed: -1 }, /seed is wrong/],
    [{ seed: 2 ** 32 }, /seed is wrong/],
  ])('%o is refused', async (options, message) => {
    const devices = backends.length;
    const error = await thrown(load(options));
    expect(error).toBeInstanceOf(InputError);
    expect(error.message).toMatch(message);
    expect(backends.length).toBe(devices);
  });

  test('that are not built are refused by name', async () => {
    expect(await thrown(load({ problem_type: 'ranking' }))).toBeInstanceOf(UnsupportedError);
    expect((await thrown(load({ num_label: 2 }))).message).toContain('num_labels');
    const plain = AutoModel.from_pretrained(files('bert-Model'), { num_labels: 2 } as object);
    expect(await thrown(plain)).toBeInstanceOf(UnsupportedError);
  });
});
