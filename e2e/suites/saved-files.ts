import type { ModelInputs, PretrainedOptions, Tensor } from '../../src/index.ts';
import * as source from '../../src/index.ts';
import { Trainer } from '../../src/train.ts';
import { readTensors } from '../../tests/checkpoint-bytes.ts';
import { load } from '../answers.ts';
import { heads, sharedDevice } from '../fixtures.ts';
import { check, expect, expectEqual, expectSameBits, expectThrows } from '../harness.ts';
import { addressOf, fetchJson, library } from '../library.ts';
import { randomBert, UNEVEN_SHAPE } from '../random-bert.ts';

/**
 * What is saved of a model on this device loads again and gives the same bits: heads of every family, files of halves, an embedder with
 * dense layers, a table in several bindings, a trained model. Which bytes are in the files: tests/saved-files.test.ts.
 */

source.env.useBrowserCache = false;

type AnyModel = source.PreTrainedModel & ((inputs: ModelInputs) => Promise<Record<string, Tensor | undefined>>);
interface Classes {
  readonly [name: string]: { from_pretrained(from: unknown, options: PretrainedOptions): Promise<AnyModel> };
}

/** Loads a model as its Python namesake: BertForMaskedLM -> AutoModelForMaskedLM. */
const loadAs = async (cls: string, from: unknown, options: PretrainedOptions = {}): Promise<AnyModel> => {
  const name = `AutoModel${/For[A-Z]\w*$/.exec(cls)?.[0] ?? ''}`;
  return (library as unknown as Classes)[name]!.from_pretrained(from, { device: await sharedDevice(), ...options });
};

/** Saves a model, loads what was saved, and compares what both give for a sequence. */
async function compare(
  cls: string,
  model: AnyModel,
  inputs: ModelInputs,
  { saved, ...options }: PretrainedOptions & { saved?: source.SaveOptions } = {},
): Promise<File[]> {
  const files = await model.save_pretrained(saved);
  const again = await loadAs(cls, files, options);
  const [before, after] = [await model(inputs), await again(inputs)];
  expectEqual(Object.keys(after), Object.keys(before), 'the names of the outputs');
  for (const [name, tensor] of Object.entries(before)) expectSameBits(after[name]!.data, tensor!.data, name);
  await again.dispose();
  return files;
}

const bytesOf = async (files: readonly File[], name: string) =>
  new Uint8Array(await files.find(file => file.name === name)!.arrayBuffer());

interface Expected {
  readonly cls: string;
  readonly cases: readonly { input_ids: number[]; token_type_ids: number[] | null }[];
}

/** A head of every family, which has its pooler or its dense layer too, and the vocabulary's head, which may be tied. */
const chosen = heads.filter(url => /-(SequenceClassification|MaskedLM|QuestionEncoder|PreTraining)\/$/.test(url));
for (const url of chosen) {
  check(url.replace('/fixtures/interpreter/', '').replace(/\/$/, ''), async log => {
    const { cls, cases } = await fetchJson<Expected>(`${url}expected.json`);
    const { input_ids, token_type_ids } = cases.find(one => one.input_ids.length > 3) ?? cases[0]!;
    const inputs = { input_ids: [input_ids], ...(token_type_ids && { token_type_ids: [token_type_ids] }) };
    const model = await loadAs(cls, addressOf(url));
    const files = await compare(cls, model, inputs);
    const old = readTensors(new Uint8Array(await (await fetch(addressOf(`${url}model.safetensors`))).arrayBuffer()));
    const now = readTensors(await bytesOf(files, 'model.safetensors'));
    for (const [name, { dtype, bytes }] of Object.entries(now)) {
      if (old[name]?.dtype === dtype && bytes.length > 0) expectSameBits(bytes, old[name]!.bytes, name);
    }
    await model.dispose();
    log(`${Object.keys(now).length} tensors of ${Object.keys(old).length}`);
  });
}

const INPUTS: ModelInputs = { input_ids: [[5, 1000, 7, 8, 9]] };

for (const as of ['F32', 'F16', 'BF16'] as const) {
  check(`a file of ${as}, kept as fp32 and as fp16`, async () => {
    const { files } = randomBert(UNEVEN_SHAPE, { seed: 3, as });
    const plain = await loadAs('BertModel', files);
    await compare('BertModel', plain, INPUTS);
    const halves = await loadAs('BertModel', files, { dtype: 'fp16' });
    const saved = await halves.save_pretrained();
    const name = 'encoder.layer.0.output.dense.weight';
    const tensor = readTensors(await bytesOf(saved, 'model.safetensors'))[name]!;
    expectEqual(tensor.dtype, 'F16', name);
    const twice = readTensors(await bytesOf(await plain.save_pretrained({ dtype: 'float16' }), 'model.safetensors'));
    // Rounded on the GPU or on the CPU, matrices are the same.
    expectSameBits(tensor.bytes, twice[name]!.bytes, 'matrices as halves');
    if (as === 'F16') {
      // Vectors, which are float32 on the GPU, are halves in this file already.
      await compare('BertModel', halves, INPUTS, { dtype: 'fp16' });
      expectSameBits(tensor.bytes, readTensors(files['model.safetensors']!)[name]!.bytes, 'halves of halves');
      await compare('BertModel', plain, INPUTS, { saved: { dtype: 'float16' } });
    }
    if (as === 'BF16') await compare('BertModel', plain, INPUTS, { saved: { dtype: 'bfloat16' } });
    const error = await expectThrows(() => halves.save_pretrained({ dtype: 'float32' }), 'halves as float32');
    expect(error instanceof library.UnsupportedError && /kept as fp16/.test(error.message), String(error));
    for (const model of [plain, halves]) await model.dispose();
  });
}

check('a table in several bindings', async () => {
  // 12.8 MB, more than the 4 MiB of one binding of a small device, and than one piece of what is read back.
  const { files } = randomBert({ ...UNEVEN_SHAPE, vocab_size: 80_003 }, { seed: 4, as: 'F16' });
  const model = await loadAs('BertModel', files);
  await compare('BertModel', model, { input_ids: [[5, 79_000, 40_000, 2]] });
  await model.dispose();
});

const TEXTS = ['Paris is the capital of France.', 'It rains.'];

for (const name of ['st-dense', 'in-folder/model']) {
  check(`an embedder with its modules: ${name}`, async log => {
    const address = addressOf(`/fixtures/sentence/${name}/`);
    const embed = await load('feature-extraction', address);
    const files = await embed.save_pretrained();
    const again = await load('feature-extraction', files);
    const [before, after] = [await embed(TEXTS, { pooling: 'model' }), await again(TEXTS, { pooling: 'model' })];
    expectSameBits(after.data, before.data, 'embeddings');
    for (const file of files) {
      if (/(safetensors|(^|\/)config\.json)$/.test(file.name)) continue;
      const wanted = new Uint8Array(await (await fetch(`${address}${file.name}`)).arrayBuffer());
      expectSameBits(new Uint8Array(await file.arrayBuffer()), wanted, file.name);
    }
    const names = files.map(({ name }) => name);
    for (const file of ['modules.json', '1_Pooling/config.json']) expect(names.includes(file), `${file} is missing`);
    for (const pipe of [embed, again]) await pipe.dispose();
    log(names.join(' '));
  });
}

check('a trained model gives the same bits when it is loaded again', async () => {
  const address = addressOf('/fixtures/random/bert-sequence/');
  const model = await source.AutoModelForSequenceClassification.from_pretrained(address, {
    device: await sharedDevice(),
  });
  const inputs = { input_ids: [[2, 7, 9, 3]] };
  const untrained = (await model(inputs)).logits.data;
  const train_dataset = [0, 1, 2, 0].map((label, i) => ({ input_ids: [2, 7 + i, 9, 3], label }));
  await new Trainer({ model, train_dataset, args: { learning_rate: 1e-2, max_steps: 2 } }).train();
  const trained = (await model(inputs)).logits.data;
  expect(
    [...trained].some((logit, i) => logit !== untrained[i]),
    'the training has changed nothing',
  );
  await compare('BertForSequenceClassification', model as unknown as AnyModel, inputs);
  await model.dispose();
});

check('a saving ends at once where it is aborted, and with the model', async () => {
  const { files } = randomBert(UNEVEN_SHAPE, { seed: 5, as: 'F32' });
  const model = await loadAs('BertModel', files);
  const stop = new AbortController();
  const saving = expectThrows(() => model.save_pretrained({ signal: stop.signal }), 'aborted');
  stop.abort(new Error('enough'));
  expectEqual(String(await saving), 'Error: enough', 'the reason');
  await compare('BertModel', model, INPUTS);
  const disposed = expectThrows(() => model.save_pretrained(), 'disposed');
  await model.dispose();
  expect((await disposed) instanceof library.DeviceError, String(await disposed));
});
