import { execFile, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test, vi } from 'vitest';
import * as library from '../src/index.ts';
import {
  MultipleNegativesRankingLoss,
  SentenceTransformerTrainer,
  SetFitModel,
  Trainer,
  type TrainerOptions,
} from '../src/train.ts';
import { FakeDirectory } from './fake-directory.ts';
import { fixtureFiles, fixtures } from './fixture-files.ts';
import { sequenceFiles, sequenceRecords } from './sequence-training.ts';
import { checkpointFiles, colbertFiles } from './vector-fixtures.ts';

/**
 * Python loads what is saved here: heads of every family that transformers has, without a missing or an unexpected tensor, and models of sentence-transformers with their modules; and computes what is computed here. WEBGPU_BERT_PYTHON names the Python; default: python3.
 */

vi.mock('../src/engine/webgpu-backend.ts', async original => (await import('./on-the-cpu.ts')).onTheCPU(original));

const python = process.env.WEBGPU_BERT_PYTHON ?? 'python3';
const probe = spawnSync(python, ['-c', 'import torch, transformers, sentence_transformers'], { encoding: 'utf8' });
const why = probe.error?.message ?? (probe.status === 0 ? undefined : probe.stderr.trim().split('\n').at(-1));
if (why !== undefined) {
  test.skip(`Python does not load what is saved, because ${python} lacks torch, transformers or sentence-transformers: ${why}`, () =>
    undefined);
}

/** Python computes in float32, and this library here in float64: some 1e-7 a step, which a few layers add up. */
const TOLERANCE = 1e-5;

/** Families whose classes transformers has; the others' code is in repositories of the hub. */
const FAMILIES = [
  'albert',
  'bert',
  'camembert',
  'convbert',
  'data2vec-text',
  'deberta',
  'deberta-v2',
  'distilbert',
  'dpr',
  'electra',
  'ernie',
  'esm',
  'eurobert',
  'gemma3_text',
  'gte',
  'jina_embeddings_v3',
  'megatron-bert',
  'mobilebert',
  'modernbert',
  'mpnet',
  'nomic_bert',
  'rembert',
  'roberta',
  'roberta-prelayernorm',
  'roformer',
  'squeezebert',
  'xlm-roberta',
];
/** Of each family a head whose vocabulary may be tied, and one with the pooler or a dense layer of its own. Of BERT all. */
const HEADS = ['MaskedLM', 'SequenceClassification', 'PreTraining', 'QuestionEncoder'];
/** Families whose numbers, as halves, are cut out of tensors, tied, or copied from the file. */
const ROUNDED = ['albert', 'bert', 'deberta', 'gemma3_text', 'modernbert'];

interface Result {
  readonly folder: string;
  readonly missing: readonly string[];
  readonly unexpected: readonly string[];
  readonly dtype: string;
  readonly worst: number;
}

const script = fileURLToPath(new URL('python/reload.py', import.meta.url));

/** What Python says of saved models, in the order of the folders. */
const reload = (folders: readonly string[]): Promise<Result[]> =>
  new Promise((resolve, reject) => {
    execFile(python, [script, ...folders], { maxBuffer: 1 << 26 }, (error, stdout, stderr) => {
      if (error) reject(new Error(`${stdout}\n${stderr}`));
      else
        resolve(
          stdout
            .trim()
            .split('\n')
            .map(line => JSON.parse(line) as Result),
        );
    });
  });

/** The files of a model in a folder, as a person who saves them on the disk has them. */
async function writeFolder(folder: string, files: readonly File[], expected: object): Promise<void> {
  for (const file of files) {
    const path = join(folder, file.name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, new Uint8Array(await file.arrayBuffer()));
  }
  writeFileSync(join(folder, 'case.json'), JSON.stringify(expected));
}

const numbers = ({ dims, data }: library.Tensor) => ({ shape: dims, data: Array.from(data, Number) });

type AnyModel = library.PreTrainedModel &
  ((inputs: library.ModelInputs) => Promise<Record<string, library.Tensor | undefined>>);
interface AnyClass {
  from_pretrained(files: unknown): Promise<AnyModel>;
}
const classOf = (cls: string): AnyClass =>
  (library as unknown as Record<string, AnyClass>)[`AutoModel${/For[A-Z]\w*$/.exec(cls)?.[0] ?? ''}`]!;

interface Case {
  readonly input_ids: readonly number[];
  readonly token_type_ids: readonly number[] | null;
}

/** Saves a fixture of transformers, and what the saved files give here. */
async function saveModel(folder: string, name: string, dtype: library.SavedDtype): Promise<void> {
  const path = join(fixtures, 'interpreter', name, 'expected.json');
  const { cls, cases } = JSON.parse(readFileSync(path, 'utf8')) as { cls: string; cases: Case[] };
  const { input_ids, token_type_ids } = cases.find(({ input_ids }) => input_ids.length > 3) ?? cases[0]!;
  const row = (ids: readonly number[]) => (cls.endsWith('ForMultipleChoice') ? [[ids]] : [ids]);
  const inputs = { input_ids: row(input_ids), ...(token_type_ids && { token_type_ids: row(token_type_ids) }) };
  const loaded = await classOf(cls).from_pretrained(fixtureFiles(`interpreter/${name}`));
  const files = await loaded.save_pretrained({ dtype });
  const again = await classOf(cls).from_pretrained(files);
  const outputs = Object.entries(await again(inputs as unknown as library.ModelInputs));
  await Promise.all([loaded.dispose(), again.dispose()]);
  await writeFolder(folder, files, {
    cls,
    inputs,
    outputs: Object.fromEntries(outputs.map(([name, tensor]) => [name, numbers(tensor!)])),
  });
}

const TEXTS = ['the quick brown fox', 'It rains in Paris.'];

async function saveEmbedder(folder: string, name: string): Promise<void> {
  const files = Object.entries(checkpointFiles(name)).map(([path, bytes]) => [path.replace(/^model\//, ''), bytes]);
  const pipe = await library.pipeline('feature-extraction', Object.fromEntries(files));
  const saved = await pipe.save_pretrained();
  const embeddings = await pipe(TEXTS, { pooling: 'model' });
  await pipe.dispose();
  await writeFolder(folder, saved, { encode: TEXTS, outputs: { embeddings: numbers(embeddings) } });
}

/** A few-shot classifier, whose logits are what Python's SentenceTransformer gives. */
async function saveClassifier(folder: string, name: string): Promise<void> {
  const model = await SetFitModel.from_pretrained(checkpointFiles(name), { labels: ['fox', 'rain', 'train'] });
  await model.fit([...TEXTS, 'A train in the rain.', 'a brown fox'], [0, 1, 2, 0]);
  const saved = await model.save_pretrained();
  const logits = await model.predict_logits(TEXTS);
  await model.dispose();
  const outputs = { embeddings: { shape: [TEXTS.length, 3], data: logits.flat() } };
  await writeFolder(folder, saved, { encode: TEXTS, outputs });
}

/** Files of a model of transformers, and what they give here. */
async function writeModel(folder: string, cls: string, files: readonly File[], input_ids: readonly number[]) {
  const model = await classOf(cls).from_pretrained(files);
  const inputs = { input_ids: [input_ids] };
  const outputs = Object.entries(await model(inputs as unknown as library.ModelInputs));
  await model.dispose();
  const wanted = Object.fromEntries(outputs.map(([name, tensor]) => [name, numbers(tensor!)]));
  await writeFolder(folder, files, { cls, inputs, outputs: wanted });
}

const IDS = [2, 7, 9, 11, 3];
const FEW_STEPS = { max_steps: 3, per_device_train_batch_size: 2, learning_rate: 1e-2 } as const;

/** Trains a model, and says that it is another one afterwards. */
async function trained(model: AnyModel, options: Omit<TrainerOptions, 'model'>): Promise<void> {
  const ask = async () => (await model({ input_ids: [IDS] } as unknown as library.ModelInputs)).logits!.data;
  const before = [...((await ask()) as Float32Array)];
  const trainer = new Trainer({ model: model as TrainerOptions['model'], ...options });
  await trainer.train();
  expect([...((await ask()) as Float32Array)]).not.toEqual(before);
}

/** What was learned here, by what a person saves: a new head, a whole new model, a checkpoint, an embedder. */
const LEARNED: Readonly<Record<string, (folder: string) => Promise<void>>> = {
  async 'a new head'(folder) {
    const { AutoModelForSequenceClassification } = library;
    const model = await AutoModelForSequenceClassification.from_pretrained(fixtureFiles('random/bert-base'), {
      id2label: ['red', 'blue', 'green'],
    });
    expect(model.newly_initialized.length).toBeGreaterThan(0);
    const data = [0, 1, 2, 0].map((labels, i) => ({ input_ids: [2, 5 + i, 20 + 3 * i, 3], labels }));
    await trained(model as unknown as AnyModel, { train_dataset: data, args: FEW_STEPS });
    await writeModel(folder, 'BertForSequenceClassification', await model.save_pretrained(), IDS);
  },
  async 'a whole new model'(folder) {
    const read = fixtureFiles('random/bert-masked-lm')['config.json'] as Uint8Array;
    const config = JSON.parse(new TextDecoder().decode(read));
    const model = await library.AutoModelForMaskedLM.from_config(config, { seed: 3 });
    const data = [5, 9, 14, 22].map(id => ({ input_ids: [2, id, 4, 3], labels: [-100, -100, id, -100] }));
    await trained(model as unknown as AnyModel, { train_dataset: data, args: FEW_STEPS });
    await writeModel(folder, 'BertForMaskedLM', await model.save_pretrained(), IDS);
  },
  async 'a checkpoint'(folder) {
    const directory = new FakeDirectory();
    const model = await library.AutoModelForSequenceClassification.from_pretrained(sequenceFiles);
    const args = { ...FEW_STEPS, save_steps: 3, output_dir: directory.handle() };
    await trained(model as unknown as AnyModel, { train_dataset: sequenceRecords(4), args });
    const files: File[] = [];
    for await (const entry of (await directory.getDirectoryHandle('checkpoint-3')).values()) {
      if (entry instanceof FakeDirectory) continue;
      const file = await entry.getFile();
      if (/^(config\.json|model\.safetensors)$/.test(file.name)) files.push(file);
    }
    expect(files).toHaveLength(2);
    await writeModel(folder, 'BertForSequenceClassification', files, IDS);
  },
  async 'an embedder'(folder) {
    const files = { ...fixtureFiles('random/bert-base'), ...fixtureFiles('sentence/st-prompts') };
    const pipe = await library.pipeline('feature-extraction', files);
    const before = await pipe(TEXTS, { pooling: 'model' });
    const trainer = new SentenceTransformerTrainer({
      model: pipe,
      loss: new MultipleNegativesRankingLoss(),
      train_dataset: TEXTS.map(text => ({ anchor: text.slice(0, 8), positive: text })),
      args: FEW_STEPS,
    });
    await trainer.train();
    const saved = await pipe.save_pretrained();
    const again = await library.pipeline('feature-extraction', saved);
    const embeddings = await again(TEXTS, { pooling: 'model' });
    expect(embeddings.tolist()).not.toEqual(before.tolist());
    await Promise.all([pipe.dispose(), again.dispose()]);
    await writeFolder(folder, saved, { encode: TEXTS, outputs: { embeddings: numbers(embeddings) } });
  },
};

async function saveRanker(folder: string, name: string): Promise<void> {
  const files = checkpointFiles(name);
  // Without it transformers 5 reads the tokenizer without token types, and this library with them, as transformers 4 does.
  const model_input_names = ['input_ids', 'token_type_ids', 'attention_mask'];
  const config = JSON.parse(new TextDecoder().decode(files['tokenizer_config.json']));
  files['tokenizer_config.json'] = new TextEncoder().encode(JSON.stringify({ ...config, model_input_names }));
  const pipe = await library.pipeline('text-ranking', files);
  const saved = await pipe.save_pretrained();
  const ranked = await pipe('a fox', TEXTS);
  await pipe.dispose();
  const scores = TEXTS.map((_, i) => ranked.find(({ corpus_id }) => corpus_id === i)!.score);
  const rank = TEXTS.map(text => ['a fox', text]);
  await writeFolder(folder, saved, { rank, outputs: { scores: { shape: [scores.length], data: scores } } });
}

async function saveSparse(folder: string, name: string): Promise<void> {
  const encoder = await library.SparseEncoder.from_pretrained(checkpointFiles(name));
  const saved = await encoder.save_pretrained();
  const columns = encoder.get_embedding_dimension();
  const dense = (vectors: readonly library.SparseVector[]) => {
    const data = new Array<number>(vectors.length * columns).fill(0);
    for (const [row, { indices, values }] of vectors.entries()) {
      for (const [i, index] of indices.entries()) data[row * columns + index] = values[i]!;
    }
    return { shape: [vectors.length, columns], data };
  };
  const outputs = {
    queries: dense(await encoder.encode_query(TEXTS)),
    documents: dense(await encoder.encode_document(TEXTS)),
  };
  await encoder.dispose();
  await writeFolder(folder, saved, { sparse: TEXTS, outputs });
}

async function saveTokens(folder: string, name: string): Promise<void> {
  const encoder = await library.MultiVectorEncoder.from_pretrained(colbertFiles(name));
  const saved = await encoder.save_pretrained();
  const outputs = Object.fromEntries(
    [
      ['queries', await encoder.encode_query(TEXTS)] as const,
      ['documents', await encoder.encode_document(TEXTS)] as const,
    ].flatMap(([kind, rows]) => rows.map((matrix, i) => [`${kind} ${i}`, numbers(matrix)])),
  );
  await encoder.dispose();
  await writeFolder(folder, saved, { tokens: TEXTS, outputs });
}

describe.skipIf(why !== undefined)('what is saved, in Python', () => {
  const root = mkdtempSync(join(tmpdir(), 'webgpu-bert-saved-'));
  afterAll(() => rmSync(root, { recursive: true }));

  const namesOf = (families: readonly string[], heads: readonly string[]) =>
    families.flatMap(family =>
      heads.map(head => `${family}-${head}`).filter(name => existsSync(join(fixtures, 'interpreter', name))),
    );
  const ofBERT = readdirSync(join(fixtures, 'interpreter')).filter(name => name.startsWith('bert-'));

  test.each([
    ['float32', [...new Set([...ofBERT, ...namesOf(FAMILIES, HEADS)])]],
    ['float16', namesOf(ROUNDED, ['SequenceClassification'])],
    ['bfloat16', namesOf(ROUNDED, ['SequenceClassification'])],
  ] as const)(
    'classes of transformers, as %s',
    async (dtype, names) => {
      const folders = names.map(name => join(root, dtype, name));
      for (const [i, name] of names.entries()) await saveModel(folders[i]!, name, dtype);
      for (const { folder, worst, ...result } of await reload(folders)) {
        const name = basename(folder);
        expect([name, result]).toEqual([name, { missing: [], unexpected: [], dtype }]);
        expect(worst, name).toBeLessThan(TOLERANCE);
      }
    },
    600_000,
  );

  const sentence = readdirSync(join(fixtures, 'sentence'));
  test('models of sentence-transformers', async () => {
    const embedders = sentence.filter(name => name.startsWith('st-') || name === 'in-folder');
    const rankers = sentence.filter(name => name.startsWith('cross-'));
    for (const name of embedders) await saveEmbedder(join(root, name), name);
    for (const name of rankers) await saveRanker(join(root, name), name);
    for (const result of await reload([...embedders, ...rankers].map(name => join(root, name)))) {
      expect(result.worst, result.folder).toBeLessThan(TOLERANCE);
    }
  }, 600_000);

  test('what was learned here', async () => {
    const folders = Object.keys(LEARNED).map(name => join(root, name.replaceAll(' ', '-')));
    for (const [i, save] of Object.values(LEARNED).entries()) await save(folders[i]!);
    for (const { folder, worst, ...result } of await reload(folders)) {
      expect(worst, basename(folder)).toBeLessThan(TOLERANCE);
      if ('missing' in result) expect([result.missing, result.unexpected], basename(folder)).toEqual([[], []]);
    }
  }, 600_000);

  test('few-shot classifiers: SentenceTransformer gives their logits', async () => {
    const names = ['st-prompts', 'st-dense', 'in-folder'];
    const folders = names.map(name => join(root, `setfit-${name}`));
    for (const [i, name] of names.entries()) await saveClassifier(folders[i]!, name);
    for (const result of await reload(folders)) expect(result.worst, result.folder).toBeLessThan(TOLERANCE);
  }, 600_000);

  test('sparse and late-interaction models of sentence-transformers', async () => {
    const sparse = sentence.filter(name => name.startsWith('splade-'));
    const tokens = sentence.filter(name => name.startsWith('colbert'));
    for (const name of sparse) await saveSparse(join(root, name), name);
    for (const name of tokens) await saveTokens(join(root, name), name);
    for (const result of await reload([...sparse, ...tokens].map(name => join(root, name)))) {
      expect(result.worst, result.folder).toBeLessThan(TOLERANCE);
    }
  }, 600_000);
});
