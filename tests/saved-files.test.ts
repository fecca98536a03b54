import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { PreTrainedModel } from '../src/api/model.ts';
import { type HostDtype, toFloats } from '../src/checkpoint/file/index.ts';
import { floatsToBrains, floatsToHalves } from '../src/halves.ts';
import * as library from '../src/index.ts';
import type { Json } from '../src/json.ts';
import { withMembers } from '../src/saving/config-text.ts';
import { readTensors, safetensors, type TensorBytes, withHeader } from './checkpoint-bytes.ts';
import type { CPUBackend } from './cpu-backend.ts';
import { type Files, fixtureFiles, fixtures } from './fixture-files.ts';
import { leftOpen } from './on-the-cpu.ts';
import { checkpointFiles } from './vector-fixtures.ts';

/**
 * What is saved is what was loaded: of every head of every family, of embedders with their modules, of a trained model, in every type of
 * numbers; and the list of files loads again and gives the same bits.
 */

const { backends } = vi.hoisted(() => ({ backends: [] as CPUBackend[] }));
vi.mock('../src/engine/webgpu-backend.ts', async original =>
  (await import('./on-the-cpu.ts')).onTheCPU(original, backends),
);
afterEach(() => {
  expect(leftOpen(backends)).toEqual([]);
});

const { AutoModel, AutoModelForMaskedLM, AutoModelForSequenceClassification, AutoTokenizer, pipeline } = library;

const bytesOf = async (file: File) => new Uint8Array(await file.arrayBuffer());
const textOf = (file: Uint8Array) => new TextDecoder().decode(file);
const byName = async (files: readonly File[]): Promise<Files> =>
  Object.fromEntries(await Promise.all(files.map(async file => [file.name, await bytesOf(file)] as const)));

const numbersOf = ({ dtype, bytes }: TensorBytes) => toFloats(bytes.slice().buffer, dtype as HostDtype);

/** The header of a safetensors file as it stands there. */
function headerOf(file: Uint8Array<ArrayBuffer>): { length: number; header: Record<string, Json> } {
  const length = Number(new DataView(file.buffer, file.byteOffset).getBigUint64(0, true));
  return { length, header: JSON.parse(textOf(file.subarray(8, 8 + length))) as Record<string, Json> };
}

type AnyModel = library.PreTrainedModel &
  ((inputs: library.ModelInputs) => Promise<Record<string, library.Tensor | undefined>>);
interface AnyClass {
  from_pretrained(files: unknown, options?: library.PretrainedOptions): Promise<AnyModel>;
}
const classOf = (cls: string): AnyClass =>
  (library as unknown as Record<string, AnyClass>)[`AutoModel${/For[A-Z]\w*$/.exec(cls)?.[0] ?? ''}`]!;

interface Case {
  readonly input_ids: readonly number[];
  readonly token_type_ids: readonly number[] | null;
}

/** What a model gives for a sequence, by name. */
async function outputsOf(model: AnyModel, cls: string, { input_ids, token_type_ids }: Case) {
  const isChoice = cls.endsWith('ForMultipleChoice');
  const row = (numbers: readonly number[]) => (isChoice ? [[[...numbers]]] : [[...numbers]]);
  const outputs = await model({
    input_ids: row(input_ids),
    ...(token_type_ids && { token_type_ids: row(token_type_ids) }),
  } as unknown as library.ModelInputs);
  return Object.fromEntries(Object.entries(outputs).map(([name, tensor]) => [name, [...tensor!.data]]));
}

/** Names of tensors that a load does not tell from others, or that are no weights. */
const LEFT_OUT = /(^|\.)(position_ids|token_type_ids)$/;

describe.each(readdirSync(join(fixtures, 'interpreter')).filter(name => !name.endsWith('.md')))('%s', name => {
  const files = fixtureFiles(`interpreter/${name}`);
  const { cls, cases } = JSON.parse(readFileSync(join(fixtures, 'interpreter', name, 'expected.json'), 'utf8')) as {
    cls: string;
    cases: Case[];
  };

  test('is saved as it was, and loads again', async () => {
    const model = await classOf(cls).from_pretrained(files);
    const saved = await model.save_pretrained();
    expect(saved.map(({ name }) => name)).toEqual(['config.json', 'model.safetensors']);
    const again = await classOf(cls).from_pretrained(saved);
    const [before, after] = [await outputsOf(model, cls, cases[0]!), await outputsOf(again, cls, cases[0]!)];
    expect(after).toEqual(before);
    await Promise.all([model.dispose(), again.dispose()]);

    const written = await byName(saved);
    const [config, weights] = [written['config.json']!, written['model.safetensors']!];
    const raw = JSON.parse(textOf(files['config.json']!)) as Json;
    expect(JSON.parse(textOf(config))).toEqual({ ...raw, ['dtype' in raw ? 'dtype' : 'torch_dtype']: 'float32' });
    const [old, now] = [readTensors(files['model.safetensors']!), readTensors(weights)];
    for (const [tensor, { shape, ...before }] of Object.entries(old)) {
      if (LEFT_OUT.test(tensor)) continue;
      expect([tensor, now[tensor]?.dtype, now[tensor]?.shape]).toEqual([tensor, 'F32', shape]);
      expect(numbersOf(now[tensor]!), tensor).toEqual(numbersOf({ shape, ...before }));
    }
    expect(Object.keys(now).filter(tensor => !(tensor in old))).toEqual([]);
  });
});

const bert = () => fixtureFiles('random/bert-sequence');
const WORDS = 'bert.embeddings.word_embeddings.weight';
const QUERY = 'bert.encoder.layer.0.attention.self.query.weight';

/** The files of a model with other tensors, and with other fields in config.json. */
function edited(files: Files, edit: (tensors: Record<string, TensorBytes>) => void, config: Json = {}): Files {
  const tensors = readTensors(files['model.safetensors']!);
  edit(tensors);
  const raw = { ...JSON.parse(textOf(files['config.json']!)), ...config };
  return {
    ...files,
    'config.json': new TextEncoder().encode(JSON.stringify(raw)),
    'model.safetensors': safetensors(tensors),
  };
}
const floats = (values: ArrayLike<number>, shape = [values.length]): TensorBytes => ({
  dtype: 'F32',
  shape,
  bytes: new Uint8Array(Float32Array.from(values).buffer),
});

/** Writes other numbers over a tensor of a model, as a training does. */
async function train(model: library.PreTrainedModel, tensor: string, change: (x: number) => number): Promise<void> {
  const engine = PreTrainedModel.engineOf(model);
  const { weights } = (await engine.backendForTraining()) as CPUBackend;
  const bytes = new Uint8Array(Float32Array.from(weights.tensor(tensor).data, change).buffer);
  await weights.write({ tensor, stored: 'F32', begin: 0, bytes });
}

describe('the file of the weights', () => {
  test('has a header as safetensors writes it, and no byte that is not accounted for', async () => {
    const model = await AutoModelForSequenceClassification.from_pretrained(bert());
    const file = (await byName(await model.save_pretrained()))['model.safetensors']!;
    await model.dispose();
    const { length, header } = headerOf(file);
    expect((8 + length) % 8).toBe(0);
    const { __metadata__: metadata, ...tensors } = header;
    expect(metadata).toEqual({ format: 'pt' });
    expect(Object.keys(tensors)).toEqual(Object.keys(tensors).sort());
    let end = 0;
    for (const { dtype, shape, data_offsets } of Object.values(tensors)) {
      const bytes = 4 * (shape as number[]).reduce((a, b) => a * b, 1);
      expect([dtype, data_offsets]).toEqual(['F32', [end, end + bytes]]);
      end += bytes;
    }
    expect(file.length).toBe(8 + length + end);
  });

  test.each([
    ['float16', 'F16', floatsToHalves],
    ['bfloat16', 'BF16', floatsToBrains],
  ] as const)('in %s has the numbers rounded to nearest even', async (dtype, type, round) => {
    const files = bert();
    const model = await AutoModelForSequenceClassification.from_pretrained(files);
    const saved = await model.save_pretrained({ dtype });
    await model.dispose();
    const written = await byName(saved);
    const [old, now] = [files, written].map(list => readTensors(list['model.safetensors']!)) as [
      Record<string, TensorBytes>,
      Record<string, TensorBytes>,
    ];
    for (const [name, tensor] of Object.entries(now)) {
      expect(tensor.dtype).toBe(type);
      expect(new Uint16Array(tensor.bytes.slice().buffer)).toEqual(round(numbersOf(old[name]!)));
    }
    expect(JSON.parse(textOf(written['config.json']!)).dtype).toBe(dtype);
    // What is loaded of it is saved as it is.
    const again = await AutoModelForSequenceClassification.from_pretrained(saved);
    const twice = await byName(await again.save_pretrained({ dtype }));
    await again.dispose();
    expect(twice).toEqual(written);
  });

  test('of a model kept as fp16 is of float16 unless that is refused; of q8 none is written', async () => {
    const load = (dtype: string) => AutoModelForSequenceClassification.from_pretrained(bert(), { dtype });
    const halves = await load('fp16');
    const saved = await byName(await halves.save_pretrained());
    expect(readTensors(saved['model.safetensors']!)[QUERY]!.dtype).toBe('F16');
    for (const dtype of ['float32', 'bfloat16'] as const) {
      const error = await halves.save_pretrained({ dtype }).catch(error => error);
      expect(error).toBeInstanceOf(library.UnsupportedError);
      expect(String(error)).toMatch(/kept as fp16.*dtype: 'float16'.*dtype: 'fp32'/s);
    }
    const bytes = await load('q8');
    for (const dtype of [undefined, 'float16'] as const) {
      const error = await bytes.save_pretrained(dtype && { dtype }).catch(error => error);
      expect(error).toBeInstanceOf(library.UnsupportedError);
      expect(String(error)).toMatch(/kept as q8.*dtype: 'fp32'/s);
    }
    await Promise.all([halves.dispose(), bytes.dispose()]);
  });

  test('refuses a number that the type cannot hold, and one that is not finite', async () => {
    const model = await AutoModelForSequenceClassification.from_pretrained(
      edited(bert(), tensors => {
        tensors['classifier.bias'] = floats([1, 65520, 2]);
      }),
    );
    const error = await model.save_pretrained({ dtype: 'float16' }).catch(error => error);
    expect(error).toBeInstanceOf(library.InputError);
    expect(String(error)).toMatch(/"classifier.bias" does not fit into float16: got 65520.*bfloat16/s);
    const fits = await byName(await model.save_pretrained({ dtype: 'bfloat16' }));
    expect(numbersOf(readTensors(fits['model.safetensors']!)['classifier.bias']!)[1]).toBe(65536);
    await train(model, 'classifier.bias', () => Number.NaN);
    const damaged = await model.save_pretrained().catch(error => error);
    expect(damaged).toBeInstanceOf(library.CheckpointError);
    expect(damaged.tensor).toBe('classifier.bias');
    await model.dispose();
  });

  test('has the weights of a trained model, whose other files stay', async () => {
    const files = bert();
    const model = await AutoModelForSequenceClassification.from_pretrained(files);
    await train(model, 'encoder.layer.0.attention.self.query.weight', x => x + 0.5);
    const saved = await model.save_pretrained();
    const inputs = { input_ids: [[2, 9, 8, 7, 3]] };
    const [trained, again] = [model, await AutoModelForSequenceClassification.from_pretrained(saved)];
    const [a, b] = [await trained(inputs), await again(inputs)];
    expect([...b.logits.data]).toEqual([...a.logits.data]);
    await Promise.all([trained.dispose(), again.dispose()]);
    const [old, now] = [files, await byName(saved)].map(list => readTensors(list['model.safetensors']!)[QUERY]!);
    expect(numbersOf(now!)).toEqual(numbersOf(old!).map(x => x + 0.5));
  });

  test('keeps the heads that the class has not, and leaves out copies of tied tensors and buffers', async () => {
    const files = edited(fixtureFiles('random/bert-pretraining'), tensors => {
      tensors['cls.predictions.decoder.weight'] = tensors[WORDS]!;
      tensors['cls.predictions.decoder.bias'] = tensors['cls.predictions.bias']!;
      tensors['bert.embeddings.position_ids'] = {
        dtype: 'I64',
        shape: [1, 2],
        bytes: new Uint8Array(BigInt64Array.of(0n, 1n).buffer),
      };
    });
    const old = Object.keys(readTensors(fixtureFiles('random/bert-pretraining')['model.safetensors']!));
    for (const auto of [AutoModel, AutoModelForMaskedLM, library.AutoModelForPreTraining]) {
      const model = await auto.from_pretrained(files);
      const saved = await byName(await model.save_pretrained());
      await model.dispose();
      expect(Object.keys(readTensors(saved['model.safetensors']!))).toEqual(old.sort());
    }
  });

  test('names what shares a tensor in its metadata, as the file did', async () => {
    const files = fixtureFiles('random/bert-masked-lm');
    const tensors = readTensors(files['model.safetensors']!);
    tensors['cls.predictions.decoder.weight'] = tensors[WORDS]!;
    delete tensors[WORDS];
    const plain = safetensors(tensors);
    const { length, header } = headerOf(plain);
    header.__metadata__ = { format: 'pt', [WORDS]: 'cls.predictions.decoder.weight' };
    const shared = { ...files, 'model.safetensors': withHeader(JSON.stringify(header), plain.subarray(8 + length)) };
    const model = await AutoModelForMaskedLM.from_pretrained(shared);
    const saved = await model.save_pretrained();
    const again = await AutoModelForMaskedLM.from_pretrained(saved);
    await Promise.all([model.dispose(), again.dispose()]);
    const written = (await byName(saved))['model.safetensors']!;
    expect(headerOf(written).header.__metadata__).toEqual(header.__metadata__);
  });

  test('is one, of however many shards', async () => {
    const files = bert();
    const tensors = Object.entries(readTensors(files['model.safetensors']!));
    const halves = [tensors.slice(0, 9), tensors.slice(9)];
    const shards = halves.map(
      (half, i) => [`model-0000${i + 1}-of-00002.safetensors`, Object.fromEntries(half)] as const,
    );
    const { 'model.safetensors': _, ...others } = files;
    const index = {
      metadata: {},
      weight_map: Object.fromEntries(shards.flatMap(([file, half]) => Object.keys(half).map(name => [name, file]))),
    };
    const sharded = {
      ...others,
      ...Object.fromEntries(shards.map(([file, half]) => [file, safetensors(half)])),
      'model.safetensors.index.json': new TextEncoder().encode(JSON.stringify(index)),
    };
    const [one, two] = await Promise.all([
      pipeline('text-classification', files),
      pipeline('text-classification', sharded),
    ]);
    expect(await byName(await two.save_pretrained())).toEqual(await byName(await one.save_pretrained()));
    await Promise.all([one.dispose(), two.dispose()]);
  });
});

describe('config.json', () => {
  test('is as it was written but for what has changed', () => {
    const text = '{\n  "a": 0.0,\n  "b" : [1, {"dtype": 2.0, "c": "}"}],\n  "dtype": "float32"\n}\n';
    expect(withMembers(text, { dtype: 'float16' })).toBe(text.replace('float32', 'float16'));
    expect(withMembers(text, { b: { x: 1 } })).toBe(
      '{\n  "a": 0.0,\n  "b" : {\n    "x": 1\n  },\n  "dtype": "float32"\n}\n',
    );
    expect(withMembers(text, { e: null, a: 1 })).toBe(
      `${text.replace('0.0', '1').replace('"float32"\n', '"float32",\n  "e": null\n')}`,
    );
    expect(withMembers('{}', { 'q"': 'x' })).toBe('{\n  "q\\"": "x"\n}');
    expect(withMembers('{"a":1,"a":2}', { a: 3 })).toBe('{"a":1,"a":3}');
  });
});

test.each([
  ['bert-sequence', ['BertModel'], AutoModelForSequenceClassification, ['BertForSequenceClassification']],
  ['bert-sequence', null, AutoModelForSequenceClassification, ['BertForSequenceClassification']],
  ['bert-sequence', ['BertForSequenceClassification'], AutoModel, ['BertForSequenceClassification']],
  ['bert-pretraining', ['BertForPreTraining'], AutoModelForMaskedLM, ['BertForPreTraining']],
  ['bert-masked-lm', ['BertForTokenClassification'], AutoModelForMaskedLM, ['BertForMaskedLM']],
  ['roberta-masked-lm', null, library.AutoModelForPreTraining, ['RobertaForMaskedLM']],
] as const)('of %s with architectures %j, the class that is saved has the head', async (name, before, auto, after) => {
  const files = edited(fixtureFiles(`random/${name}`), () => undefined, { architectures: before });
  const model = await auto.from_pretrained(files);
  const saved = await byName(await model.save_pretrained());
  await model.dispose();
  expect(JSON.parse(textOf(saved['config.json']!)).architectures).toEqual(after);
});

/** The files that a saved list lacks, and those that it has beyond them. */
const namesOf = (files: readonly File[]) => files.map(({ name }) => name).sort();

describe('a pipeline', () => {
  test('gives all files, which load again by one list, by their names, and by the worker’s form', async () => {
    const files = bert();
    const pipe = await pipeline('text-classification', files);
    const saved = await pipe.save_pretrained();
    expect(namesOf(saved)).toEqual(['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json']);
    const expected = await pipe('the quick fox');
    for (const list of [saved, await byName(saved), saved.map(file => ({ name: file.name, blob: file }))]) {
      const again = await pipeline('text-classification', list);
      expect(await again('the quick fox')).toEqual(expected);
      await again.dispose();
    }
    const written = await byName(saved);
    for (const name of ['tokenizer.json', 'tokenizer_config.json']) expect(written[name]).toEqual(files[name]);
    await pipe.dispose();
  });

  const folders = readdirSync(join(fixtures, 'sentence')).filter(
    name => name !== 'colbert-stanford' && existsSync(join(fixtures, 'sentence', name, 'expected.json')),
  );
  test.each(folders)('of sentence-transformers gives the files of its modules: %s', async name => {
    const files = Object.fromEntries(
      Object.entries(checkpointFiles(name)).map(([path, bytes]) => [path.replace(/^model\//, ''), bytes]),
    );
    const general = files['config_sentence_transformers.json'];
    const kind = general ? (JSON.parse(textOf(general)) as Json).model_type : undefined;
    const run = RUNS[String(kind)] ?? RUNS.SentenceTransformer!;
    const { saved, before, after } = await run(files);
    expect(after).toEqual(before);
    const written = await byName(saved);
    // What a load does not read is not saved.
    const missing = Object.keys(files).filter(file => !(file in written));
    expect([name, missing]).toEqual([name, NOT_READ[name] ?? []]);
    for (const [file, bytes] of Object.entries(written)) {
      if (!file.endsWith('.safetensors') && file.split('/').at(-1) !== 'config.json')
        expect(bytes, file).toEqual(files[file]);
    }
  });
});

/** What of a checkpoint no load reads, and so no list has. */
const NOT_READ: Readonly<Record<string, readonly string[]>> = { 'in-folder': ['config.json'] };

const TEXTS = ['the quick brown fox', 'a dog'];

interface Savable {
  save_pretrained(): Promise<File[]>;
  dispose(): Promise<void>;
}

/** What a model gives for texts, what it is saved as, and what that gives. */
const runOf =
  <Model extends Savable>(
    load: (files: Files | File[]) => Promise<Model>,
    answer: (model: Model) => Promise<unknown>,
  ) =>
  async (files: Files) => {
    const results: unknown[] = [];
    let saved: File[] = [];
    for (const list of [() => files, () => saved]) {
      const model = await load(list());
      results.push(await answer(model));
      saved = await model.save_pretrained();
      await model.dispose();
    }
    return { saved, before: results[0], after: results[1] };
  };

/** By the class that config_sentence_transformers.json names. */
const RUNS: Record<string, ReturnType<typeof runOf>> = {
  SentenceTransformer: runOf(
    files => pipeline('feature-extraction', files),
    async pipe => {
      const { dims, data } = await pipe(TEXTS, { pooling: 'model' });
      return [dims, [...data]];
    },
  ),
  CrossEncoder: runOf(
    files => pipeline('text-ranking', files),
    pipe => pipe('fox', TEXTS),
  ),
  SparseEncoder: runOf(
    files => library.SparseEncoder.from_pretrained(files),
    async encoder => [await encoder.encode_query(TEXTS), await encoder.encode_document(TEXTS)],
  ),
  MultiVectorEncoder: runOf(
    files => library.MultiVectorEncoder.from_pretrained(files),
    async encoder => {
      const vectors = [await encoder.encode_query(TEXTS), await encoder.encode_document(TEXTS)].flat();
      return vectors.map(({ dims, data }) => [dims, [...data]]);
    },
  ),
};
RUNS.ColBERT = RUNS.MultiVectorEncoder!;

describe('a tokenizer', () => {
  test('gives the files that it was read from, and they are read again', async () => {
    const { 'tokenizer.json': json, 'tokenizer_config.json': config, ...others } = bert();
    const files = { ...others, 'tokenizer.json': json!, 'tokenizer_config.json': config! };
    const tokenizer = await AutoTokenizer.from_pretrained(files);
    const saved = await tokenizer.save_pretrained();
    expect(await byName(saved)).toEqual({ 'tokenizer.json': json, 'tokenizer_config.json': config });
    const again = await AutoTokenizer.from_pretrained(saved);
    expect(again.encode('the quick fox')).toEqual(tokenizer.encode('the quick fox'));
  });

  test('of vocabulary files gives these, as the model does, and both lists in one load', async () => {
    const vocabulary = '[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nthe\nfox\n';
    const { 'tokenizer.json': _, 'tokenizer_config.json': __, ...others } = bert();
    const files = { ...others, 'vocab.txt': new TextEncoder().encode(vocabulary) };
    const [tokenizer, model] = [await AutoTokenizer.from_pretrained(files), await AutoModel.from_pretrained(files)];
    const saved = [...(await model.save_pretrained()), ...(await tokenizer.save_pretrained())];
    expect(namesOf(saved)).toEqual(['config.json', 'model.safetensors', 'vocab.txt', 'vocab.txt']);
    const again = await pipeline('feature-extraction', saved);
    expect(again.tokenizer.encode('the fox')).toEqual(tokenizer.encode('the fox'));
    await Promise.all([model.dispose(), again.dispose()]);
  });

  test('is saved with a model that was loaded from files with one, whatever class loads it', async () => {
    const files = bert();
    const all = ['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json'];
    for (const auto of [AutoModel, AutoModelForSequenceClassification]) {
      const model = await auto.from_pretrained({ ...files, 'README.md': new Uint8Array(3) });
      const saved = await model.save_pretrained();
      expect(namesOf(saved)).toEqual(all);
      const { 'tokenizer.json': tokenizer, 'tokenizer_config.json': config } = await byName(saved);
      expect([tokenizer, config]).toEqual([files['tokenizer.json'], files['tokenizer_config.json']]);
      await model.dispose();
    }
    const made = await AutoModel.from_config(JSON.parse(textOf(files['config.json']!)));
    expect(namesOf(await made.save_pretrained())).toEqual(all.slice(0, 2));
    await made.dispose();
  });

  test('in the folder of an encoder is saved beside it', async () => {
    const pipe = await pipeline('feature-extraction', fixtureFiles('sentence/in-folder'));
    const names = namesOf(await pipe.model.save_pretrained());
    expect(names).toEqual(['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json']);
    await pipe.dispose();
  });

  test('that cannot be read any more is left out, and the console says so', async () => {
    const files = bert();
    const { env } = library;
    const { fetch } = env;
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => undefined);
    let isOffline = false;
    env.fetch = async input => {
      const name = String(input).split('/').at(-1)!;
      const bytes = files[name];
      if (isOffline && name.startsWith('tokenizer')) throw new TypeError('Failed to fetch');
      return bytes ? new Response(bytes) : new Response(null, { status: 404 });
    };
    try {
      const model = await AutoModelForSequenceClassification.from_pretrained('https://models.test/bert/');
      expect(namesOf(await model.save_pretrained())).toContain('tokenizer.json');
      expect(warn).not.toHaveBeenCalled();
      isOffline = true;
      expect(namesOf(await model.save_pretrained())).toEqual(['config.json', 'model.safetensors']);
      expect(warn).toHaveBeenCalledTimes(1);
      expect(String(warn.mock.calls[0])).toMatch(/files of the tokenizer are not among.*tokenizer.json/s);
      await model.dispose();
    } finally {
      env.fetch = fetch;
      warn.mockRestore();
    }
  });

  test('that was made of JSON has no files', async () => {
    const { 'tokenizer.json': json, 'tokenizer_config.json': config } = bert();
    const tokenizer = new library.PreTrainedTokenizer(JSON.parse(textOf(json!)), JSON.parse(textOf(config!)));
    const error = await tokenizer.save_pretrained().catch(error => error);
    expect(error).toBeInstanceOf(library.InputError);
    expect(String(error)).toMatch(/has no files.*AutoTokenizer/s);
  });
});

describe('save_pretrained', () => {
  test('rejects at once where it is aborted, before and while it reads', async () => {
    const pipe = await pipeline('text-classification', bert());
    const before = await pipe('the fox');
    const stop = new AbortController();
    const { signal } = stop;
    const saving = [pipe.save_pretrained({ signal }), pipe.model.save_pretrained({ signal })];
    stop.abort(new Error('enough'));
    for (const one of saving) await expect(one).rejects.toThrow('enough');
    await expect(pipe.save_pretrained({ signal })).rejects.toThrow('enough');
    await expect(pipe.tokenizer.save_pretrained({ signal })).rejects.toThrow('enough');
    expect(await pipe('the fox')).toEqual(before);
    const names = ['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json'];
    expect(namesOf(await pipe.model.save_pretrained())).toEqual(names);
    await pipe.dispose();
  });

  test('refuses what is no option, and a model that was disposed of', async () => {
    const model = await AutoModel.from_pretrained(bert());
    const save = (options: object) => model.save_pretrained(options).catch(error => error);
    expect(String(await save({ dtype: 'int8' }))).toMatch(/UnsupportedError.*dtype.*float32, float16, bfloat16/s);
    expect(String(await save({ type: 'float32' }))).toMatch(/UnsupportedError.*no option "type"/s);
    expect(String(await save({ signal: 1 }))).toMatch(/InputError: signal is wrong/);
    await model.dispose();
    expect(await save({})).toBeInstanceOf(library.DeviceError);
  });

  test('begins again on another device where the first is lost', async () => {
    const model = await AutoModelForSequenceClassification.from_pretrained(bert());
    const expected = await byName(await model.save_pretrained());
    const [first] = backends as [CPUBackend];
    const saving = model.save_pretrained();
    first.lose();
    expect(await byName(await saving)).toEqual(expected);
    await model.dispose();
  });
});
