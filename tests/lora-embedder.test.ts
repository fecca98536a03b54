import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test, vi } from 'vitest';
import { AutoModelForSequenceClassification, type FeatureExtractionPipeline, pipeline } from '../src/index.ts';
import {
  get_peft_model,
  type LoraConfigInit,
  MultipleNegativesRankingLoss,
  PeftModel,
  SentenceTransformerTrainer,
  Trainer,
  type TrainingArgumentsInit,
} from '../src/train.ts';
import { FakeDirectory } from './fake-directory.ts';
import { type Files, fixtureFiles } from './fixture-files.ts';
import { far, fileOf, floatTensors } from './lora-run.ts';
import { logged } from './trained-model.ts';
import { readFixture } from './training-run.ts';
import { checkpointFiles } from './vector-fixtures.ts';

/** Adapters (LoRA) on embedders, and trainings of adapters that go on from a checkpoint: in Node, on the interpreter. */

vi.mock('../src/engine/webgpu-backend.ts', async original => (await import('./on-the-cpu.ts')).onTheCPU(original));

const CONFIG: LoraConfigInit = {
  r: 4,
  lora_alpha: 8,
  target_modules: ['query', 'value', 'q_lin', 'v_lin'],
  task_type: 'FEATURE_EXTRACTION',
};
const TEXTS = ['Paris', 'a brown animal'];
const train_dataset = [
  { anchor: 'Paris', positive: 'a city in France' },
  { anchor: 'the fox', positive: 'a brown animal' },
  { anchor: 'rain', positive: 'water that falls' },
  { anchor: 'a train', positive: 'it goes on rails' },
];
const args = { max_steps: 4, per_device_train_batch_size: 4, learning_rate: 1e-2, dropout: 0 };

const rowsOf = async (extractor: FeatureExtractionPipeline): Promise<Float32Array> =>
  (await extractor(TEXTS, { pooling: 'model' })).data as Float32Array;

async function trained(files: Files, config: LoraConfigInit = CONFIG, more: TrainingArgumentsInit = {}) {
  const extractor = await pipeline('feature-extraction', files);
  const before = await rowsOf(extractor);
  const adapted = await get_peft_model(extractor.model, config);
  const trainer = new SentenceTransformerTrainer({
    model: extractor,
    loss: new MultipleNegativesRankingLoss(),
    train_dataset,
    args: { ...args, ...more },
  });
  await trainer.train();
  return { extractor, adapted, before, after: await rowsOf(extractor), trainer };
}

/** Rows of length 1 are float32: an ulp of a number below 1 is 6e-8, and merging rounds each weight once. */
const SAME = 1e-6;

describe.each(['st-prompts', 'st-dense', 'st-several-poolings'])('adapters on %s', name => {
  const files = checkpointFiles(name);

  test('are all that is trained, and merged they give the same vectors', async () => {
    const { extractor, adapted, before, after, trainer } = await trained(files);
    expect(far(after, before)).toBeGreaterThan(1e-3);
    const losses = logged(trainer, 'train_loss');
    expect(losses.every(Number.isFinite)).toBe(true);
    const saved = await adapted.save_pretrained();
    const tensors = floatTensors(await fileOf(saved, 'adapter_model.safetensors'));
    expect([...tensors.keys()].every(key => /\.(query|value|q_lin|v_lin)\.lora_[AB]\.weight$/.test(key))).toBe(true);
    expect([...tensors].every(([, { data }]) => data.some(number => number !== 0))).toBe(true);
    // Nothing else has moved: on the untrained model, whose other weights are those of the file, they give these vectors.
    const other = await pipeline('feature-extraction', files);
    const loaded = await PeftModel.from_pretrained(other.model, saved);
    expect(await rowsOf(other)).toEqual(after);
    await loaded.merge_and_unload();
    expect(far(await rowsOf(other), after)).toBeLessThan(SAME);
    // The embedder's own files have them merged.
    const again = await pipeline('feature-extraction', await extractor.save_pretrained());
    expect(far(await rowsOf(again), after)).toBeLessThan(SAME);
    await adapted.merge_and_unload();
    expect(far(await rowsOf(extractor), after)).toBeLessThan(SAME);
    await Promise.all([extractor, other, again].map(each => each.dispose()));
  });
});

test("'all-linear' has the pooler too, which no embedding is made of: it stays as it was", async () => {
  const { adapted, before, after } = await trained(checkpointFiles('st-prompts'), {
    ...CONFIG,
    target_modules: 'all-linear',
  });
  expect(far(after, before)).toBeGreaterThan(1e-3);
  const tensors = floatTensors(await fileOf(await adapted.save_pretrained(), 'adapter_model.safetensors'));
  const key = 'base_model.model.pooler.dense.lora_B.weight';
  expect(tensors.get(key)!.data.every(number => number === 0)).toBe(true);
});

describe('a training of adapters goes on from a checkpoint to the same bits', () => {
  const checkpoints: TrainingArgumentsInit = { max_steps: 5, save_steps: 2, logging_steps: 1 };
  const config = { ...CONFIG, lora_dropout: 0.2 };

  test('of an embedder', async () => {
    const files = checkpointFiles('st-prompts');
    const output_dir = new FakeDirectory().handle();
    const setUp = async () => {
      const extractor = await pipeline('feature-extraction', files);
      const model = await get_peft_model(extractor.model, config);
      const trainer = new SentenceTransformerTrainer({
        model: extractor,
        loss: new MultipleNegativesRankingLoss(),
        train_dataset,
        args: { ...args, ...checkpoints, per_device_train_batch_size: 2, dropout: 0.1, output_dir },
      });
      const bits = async () => [
        await rowsOf(extractor),
        ...floatTensors(await fileOf(await model.save_pretrained(), 'adapter_model.safetensors')).values(),
      ];
      return { trainer, bits };
    };
    const whole = await setUp();
    await whole.trainer.train();
    const resumed = await setUp();
    await resumed.trainer.train({ resume_from_checkpoint: 'checkpoint-2' });
    expect(await resumed.bits()).toEqual(await whole.bits());
    expect(resumed.trainer.state.log_history.map(({ loss }) => loss)).toEqual(
      whole.trainer.state.log_history.map(({ loss }) => loss),
    );
  });

  test('of a classifier, with its head and biases', async () => {
    const files = fixtureFiles('random/bert-sequence');
    const output_dir = new FakeDirectory().handle();
    const records = readFixture('bert-sequence').data.slice(0, 6);
    const setUp = async () => {
      const base = await AutoModelForSequenceClassification.from_pretrained(files);
      const model = await get_peft_model(base, { ...config, task_type: 'SEQ_CLS', bias: 'lora_only' });
      const trainer = new Trainer({
        model,
        train_dataset: records.map(record => ({ ...record })),
        args: { ...args, ...checkpoints, per_device_train_batch_size: 2, dropout: 0.1, output_dir },
      });
      const bits = async () => [
        (await model({ input_ids: [[2, 7, 9, 3]] })).logits.data,
        ...floatTensors(await fileOf(await model.save_pretrained(), 'adapter_model.safetensors')).values(),
      ];
      return { trainer, bits };
    };
    const whole = await setUp();
    await whole.trainer.train();
    const resumed = await setUp();
    await resumed.trainer.train({ resume_from_checkpoint: 'checkpoint-2' });
    expect(await resumed.bits()).toEqual(await whole.bits());
  });
});

/** Python with PEFT: WEBGPU_BERT_PYTHON, or python3. */
const python = process.env.WEBGPU_BERT_PYTHON ?? 'python3';
const hasPython = spawnSync(python, ['-c', 'import peft, sentence_transformers']).status === 0;

test.skipIf(!hasPython)(
  `sentence-transformers and PEFT read the files${hasPython ? '' : ' (skipped: WEBGPU_BERT_PYTHON names no Python with both)'}`,
  async () => {
    const root = mkdtempSync(join(tmpdir(), 'lora-embedder-'));
    const write = async (folder: string, files: readonly File[]) => {
      for (const file of files) {
        const path = join(root, folder, file.name);
        mkdirSync(dirname(path), { recursive: true });
        writeFileSync(path, new Uint8Array(await file.arrayBuffer()));
      }
      return join(root, folder);
    };
    const files = checkpointFiles('st-dense');
    const base = await write(
      'base',
      Object.entries(files).map(([name, bytes]) => new File([bytes], name)),
    );
    const { extractor, adapted, after } = await trained(files);
    const adapter = await write('adapter', await adapted.save_pretrained());
    const merged = await write('merged', await extractor.save_pretrained());
    const input = JSON.stringify({ base, adapter, merged, texts: TEXTS });
    const script = fileURLToPath(new URL('python/adapted_embedder.py', import.meta.url));
    const { status, stdout, stderr } = spawnSync(python, [script], { input, encoding: 'utf8' });
    rmSync(root, { recursive: true });
    expect(status, stderr).toBe(0);
    // Python's rows are float64 of float32 weights, those here float32.
    for (const [way, rows] of Object.entries(JSON.parse(stdout) as Record<string, number[][]>)) {
      expect(far(after, rows.flat()), way).toBeLessThan(1e-5);
    }
  },
  120_000,
);
