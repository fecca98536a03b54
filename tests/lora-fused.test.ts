import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test, vi } from 'vitest';
import { AutoModelForSequenceClassification } from '../src/index.ts';
import { get_peft_model, Trainer } from '../src/train.ts';
import { readTensors, safetensors } from './checkpoint-bytes.ts';
import { fixtureFiles, fixtures } from './fixture-files.ts';
import { far, fileOf, floatTensors } from './lora-run.ts';
import { logged } from './trained-model.ts';

/**
 * Adapters on linears that a file has fused: one A for all rows of Wqkv, whose query, key and value this library keeps as it likes; and on
 * linears of which something is computed once, when the model is loaded.
 */

vi.mock('../src/engine/webgpu-backend.ts', async original => (await import('./on-the-cpu.ts')).onTheCPU(original));

type Fused = readonly [
  family: string,
  head: string | undefined,
  way: string,
  target_modules: string | readonly string[],
];
/** The class of transformers, where it has one; how Python computes it; the linears with adapters. */
const FAMILIES: readonly Fused[] = [
  ['modernbert', 'ModernBertForSequenceClassification', 'PEFT', 'all-linear'],
  ['nomic_bert', 'NomicBertForSequenceClassification', 'rows', ['Wqkv', 'out_proj', 'fc11']],
  ['gte', 'GteForSequenceClassification', 'rows', ['qkv_proj', 'up_gate_proj']],
  ['jina_embeddings_v3', 'JinaEmbeddingsV3ForSequenceClassification', 'rows', ['Wqkv']],
  ['deberta', undefined, '', ['in_proj', 'attention.output.dense']],
  ['deberta-v2', undefined, '', ['value_proj', 'intermediate.dense']],
  ['new', undefined, '', ['qkv_proj', 'up_gate_proj']],
  ['neobert', undefined, '', ['qkv', 'w12']],
];

const records = [0, 1, 2, 3].map(label => ({
  input_ids: [5, 6, 7, 8, 9].map(id => id + 3 * label),
  labels: label,
}));
const RANK = 3;
const ALPHA = 6;
const STEPS = 4;
const RATE = 1e-2;
const args = {
  max_steps: STEPS,
  per_device_train_batch_size: records.length,
  learning_rate: RATE,
  lr_scheduler_type: 'constant',
  weight_decay: 0,
  dropout: 0,
  logging_steps: 1,
} as const;

/** A model with adapters that change it from the start. */
async function adaptedModel(family: string, target_modules: string | readonly string[]) {
  const files = fixtureFiles(`interpreter/${family}-SequenceClassification`);
  const base = await AutoModelForSequenceClassification.from_pretrained(files);
  const before = await logitsOf(base);
  const model = await get_peft_model(base, { r: RANK, lora_alpha: ALPHA, target_modules, init_lora_weights: false });
  const saved = await model.save_pretrained();
  return { files, model, before, saved, tensors: floatTensors(await fileOf(saved, 'adapter_model.safetensors')) };
}

type Model = Awaited<ReturnType<typeof AutoModelForSequenceClassification.from_pretrained>>;
const logitsOf = async (model: Model) => [
  ...((await model({ input_ids: [records[0]!.input_ids] })).logits.data as Float32Array),
];

describe('the logits are those of a file of the merged matrices', () => {
  test.each(FAMILIES)('%s', async (family, _, __, targets) => {
    const { files, model, before, tensors } = await adaptedModel(family, targets);
    const merged = readTensors(files['model.safetensors']!);
    const prefix = 'base_model.model.';
    for (const [key, a] of tensors) {
      if (!key.endsWith('.lora_A.weight')) continue;
      const module = key.slice(prefix.length, -'.lora_A.weight'.length);
      const b = tensors.get(`${prefix}${module}.lora_B.weight`)!;
      const { bytes, shape, dtype } = merged[`${module}.weight`]!;
      expect(dtype).toBe('F32');
      const weight = new Float32Array(bytes.slice().buffer);
      const [rows, columns] = shape as [number, number];
      expect([a.shape, b.shape]).toEqual([
        [RANK, columns],
        [rows, RANK],
      ]);
      for (let i = 0; i < weight.length; i++) {
        const [row, column] = [Math.floor(i / columns), i % columns];
        let sum = 0;
        for (let k = 0; k < RANK; k++) sum += b.data[row * RANK + k]! * a.data[k * columns + column]!;
        weight[i] = weight[i]! + (ALPHA / RANK) * sum;
      }
      merged[`${module}.weight`] = { dtype, shape, bytes: new Uint8Array(weight.buffer) };
    }
    const other = await AutoModelForSequenceClassification.from_pretrained({
      ...files,
      'model.safetensors': safetensors(merged),
    });
    const logits = await logitsOf(model);
    expect(far(logits, before)).toBeGreaterThan(1e-2);
    // Both round the merged matrices to float32, after sums in another order.
    expect(far(await logitsOf(other), logits)).toBeLessThan(1e-5);
  });
});

/** Python with PEFT: WEBGPU_BERT_PYTHON, or python3. */
const python = process.env.WEBGPU_BERT_PYTHON ?? 'python3';
const hasPeft = spawnSync(python, ['-c', 'import peft, transformers']).status === 0;
const why = hasPeft ? '' : ' (skipped: WEBGPU_BERT_PYTHON names no Python with peft and transformers)';

describe("a training is Python's in float64", () => {
  const inPython = FAMILIES.filter(([, head]) => head !== undefined);
  test.skipIf(!hasPeft).each(inPython)(
    `%s${why}`,
    async (family, head, way, targets) => {
      const { model, saved } = await adaptedModel(family, targets);
      const before = await logitsOf(model);
      const folder = mkdtempSync(join(tmpdir(), 'lora-fused-'));
      for (const file of saved) writeFileSync(join(folder, file.name), new Uint8Array(await file.arrayBuffer()));
      const base = join(fixtures, 'interpreter', `${family}-SequenceClassification`);
      const script = fileURLToPath(new URL('python/fused_adapters.py', import.meta.url));
      const input = JSON.stringify({ base, head, adapter: folder, records, steps: STEPS, rate: RATE });
      const { status, stdout, stderr } = spawnSync(python, [script], { input, encoding: 'utf8' });
      rmSync(folder, { recursive: true });
      expect(status, stderr).toBe(0);
      const expected = JSON.parse(stdout) as {
        way: string;
        logits: number[];
        losses: number[];
        after: Record<string, { shape: number[]; data: number[] }>;
      };
      expect(expected.way).toBe(way);
      // Weights, and the moments of AdamW, are float32 between the steps.
      expect(far(before, expected.logits)).toBeLessThan(1e-5);
      const trainer = new Trainer({ model, train_dataset: records.map(record => ({ ...record })), args });
      await trainer.train();
      const losses = logged(trainer, 'loss');
      expect(far(losses, expected.losses)).toBeLessThan(1e-5);
      const after = floatTensors(await fileOf(await model.save_pretrained(), 'adapter_model.safetensors'));
      expect([...after.keys()].sort()).toEqual(Object.keys(expected.after).sort());
      for (const [key, { shape, data }] of after) {
        expect([key, shape]).toEqual([key, expected.after[key]!.shape]);
        expect(far(data, expected.after[key]!.data), key).toBeLessThan(1e-5);
      }
    },
    120_000,
  );
});
