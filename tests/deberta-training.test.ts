import { readFileSync } from 'node:fs';
import { describe, expect, it, vi } from 'vitest';
import { AutoModelForSequenceClassification, type Tensor } from '../src/index.ts';
import { get_peft_model, Trainer } from '../src/train.ts';
import { dropoutRates } from '../src/training/dropout-rates.ts';
import { readFixture } from './training-run.ts';

/** DeBERTa in the Trainer, on the interpreter: what a model computes once of its weights follows them. */

vi.mock('../src/engine/webgpu-backend.ts', async original => {
  const { CPUBackend } = await import('./cpu-backend.ts');
  return { ...(await original<object>()), openWebGPU: async () => new CPUBackend() };
});

const NAMES = ['deberta-sequence', 'deberta-v2-sequence'];

const modelOf = (name: string) =>
  AutoModelForSequenceClassification.from_pretrained(
    Object.fromEntries(
      ['config.json', 'model.safetensors'].map(file => [
        file,
        new Uint8Array(readFileSync(new URL(`fixtures/training/models/${name}/${file}`, import.meta.url))),
      ]),
    ),
  );

const INPUTS = { input_ids: [[2, 7, 9, 3, 11, 12, 13, 14, 15, 16, 17, 18, 19]] };
const logitsOf = async (model: Awaited<ReturnType<typeof modelOf>>) => [
  ...((await model(INPUTS)) as { logits: Tensor }).logits.data,
];
const args = { max_steps: 3, learning_rate: 1e-2, per_device_train_batch_size: 4, dropout: 0.1 };

describe('DeBERTa in the Trainer', () => {
  it.each(NAMES)('a call after steps is that of the saved model: %s', async name => {
    const model = await modelOf(name);
    const before = await logitsOf(model);
    const train_dataset = readFixture(name).data.map(example => ({ ...example }));
    await new Trainer({ model, train_dataset, args }).train();
    const after = await logitsOf(model);
    expect(after).not.toEqual(before);
    const files = await model.save_pretrained();
    const again = await AutoModelForSequenceClassification.from_pretrained(files);
    expect(await logitsOf(again)).toEqual(after);
    await again.dispose();
    await model.dispose();
  });

  it.each(NAMES)('adapters of all linears are merged into the projections of distances, too: %s', async name => {
    const model = await modelOf(name);
    const adapted = await get_peft_model(model, {
      r: 2,
      target_modules: 'all-linear',
      lora_dropout: 0.1,
    });
    const train_dataset = readFixture(name).data.map(example => ({ ...example }));
    await new Trainer({ model: adapted, train_dataset, args }).train();
    const after = await logitsOf(model);
    const merged = await adapted.merge_and_unload();
    const again = await AutoModelForSequenceClassification.from_pretrained(await merged.save_pretrained());
    expect(await logitsOf(again)).toEqual(after);
    await again.dispose();
    await model.dispose();
  });

  it('has dropout where Python has it', () => {
    const raw = { hidden_dropout_prob: 0.2, attention_probs_dropout_prob: 0.3, cls_dropout: 0.4, pooler_dropout: 0 };
    const rates = {
      embeddings: 0.2,
      attention: 0.3,
      attentionOutput: 0.2,
      output: 0.2,
      classifier: 0.4,
      classifierDense: 0,
      convolution: 0.2,
      distances: 0.2,
    };
    for (const modelType of ['deberta', 'deberta-v2']) {
      expect(dropoutRates({ modelType, raw }, 'SequenceClassification', undefined)).toEqual(rates);
      const { cls_dropout: _, ...without } = raw;
      expect(dropoutRates({ modelType, raw: without }, 'SequenceClassification', undefined).classifier).toBe(0.2);
    }
  });
});
