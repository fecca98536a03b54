import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test, vi } from 'vitest';
import { CheckpointError, InputError, UnsupportedError } from '../src/errors.ts';
import * as library from '../src/index.ts';
import {
  type DataRecord,
  get_peft_model,
  LoraConfig,
  type LoraConfigInit,
  PeftModel,
  Trainer,
  type TrainingArgumentsInit,
} from '../src/train.ts';
import { type ModuleNames, targetsOf } from '../src/training/lora/modules.ts';
import { thrown } from './source-environment.ts';
import { readFixture } from './training-run.ts';

/** LoRA in Node, on the interpreter, against runs of PEFT in float64 (tests/fixtures/lora). Devices: e2e/suites/lora.ts. */

vi.mock('../src/engine/webgpu-backend.ts', async original => {
  const { CPUBackend } = await import('./cpu-backend.ts');
  return { ...(await original<object>()), openWebGPU: async () => new CPUBackend() };
});

interface LoraRun {
  readonly head: string;
  readonly args: TrainingArgumentsInit;
  readonly parameters: readonly [number, number];
  readonly losses: readonly number[];
  readonly grad_norms: readonly number[];
  readonly logits: readonly number[];
}

const fixture = (path: string) => new URL(`fixtures/${path}`, import.meta.url);
const bytesOf = (path: string) => new Uint8Array(readFileSync(fixture(path)));
const filesOf = (folder: string, names = readdirSync(fixture(folder))) =>
  Object.fromEntries(names.map(name => [name, bytesOf(`${folder}/${name}`)]));
const runOf = (name: string): LoraRun => JSON.parse(readFileSync(fixture(`lora/${name}/run.json`), 'utf8'));
const adapterOf = (name: string) => filesOf(`lora/${name}`, ['adapter_config.json', 'adapter_model.safetensors']);

type SequenceModel = Awaited<ReturnType<typeof library.AutoModelForSequenceClassification.from_pretrained>>;

async function modelOf(name: string, head = 'BertForSequenceClassification'): Promise<SequenceModel> {
  const classes = library as unknown as Record<string, typeof library.AutoModelForSequenceClassification>;
  const files = filesOf(`random/${name}`, ['config.json', 'model.safetensors']);
  return classes[`AutoModelFor${/For(\w+)$/.exec(head)![1]}`]!.from_pretrained(files);
}

const recordsOf = (name: string): DataRecord[] =>
  readFixture(name)
    .data.slice(0, 20)
    .map(example => ({ ...example }));

async function logitsOf(model: SequenceModel, record: DataRecord): Promise<number[]> {
  const { input_ids, token_type_ids } = record as { input_ids: number[]; token_type_ids?: number[] };
  const { logits } = await model({ input_ids: [input_ids], ...(token_type_ids && { token_type_ids: [token_type_ids] }) });
  return [...(logits.data as Float32Array)];
}

/** The tensors of a safetensors file of float32. */
function tensorsOf(bytes: Uint8Array): Map<string, { shape: number[]; data: Float32Array }> {
  const length = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length))) as Record<
    string,
    { shape: number[]; data_offsets: [number, number] }
  >;
  return new Map(
    Object.entries(header).flatMap(([name, { shape, data_offsets }]) => {
      if (name === '__metadata__') return [];
      const data = new Float32Array(bytes.slice(8 + length + data_offsets[0], 8 + length + data_offsets[1]).buffer);
      return [[name, { shape, data }] as const];
    }),
  );
}

const far = (actual: ArrayLike<number>, expected: ArrayLike<number>): number => {
  let worst = actual.length === expected.length ? 0 : Number.NaN;
  for (let i = 0; i < expected.length; i++) worst = Math.max(worst, Math.abs(actual[i]! - expected[i]!));
  return worst;
};
const fileOf = async (files: readonly File[], name: string) =>
  new Uint8Array(await files.find(file => file.name === name)!.arrayBuffer());

const RUNS = ['bert-sequence', 'roberta-token', 'bert-masked-lm'];

describe("a run is PEFT's", () => {
  test.each(RUNS)('%s: losses, norms, logits, and the adapter that it ends with', async name => {
    const { head, args, parameters, losses, grad_norms, logits } = runOf(name);
    const base = await modelOf(name, head);
    const records = recordsOf(name);
    const before = await logitsOf(base, records[0]!);
    const model = await PeftModel.from_pretrained(base, adapterOf(name), { is_trainable: true });
    expect(model.get_nb_trainable_parameters()).toEqual(parameters);
    expect(far(await logitsOf(model, records[0]!), before)).toBeGreaterThan(1e-3);
    const trainer = new Trainer({ model, train_dataset: records, args: { ...args, logging_steps: 1 } });
    await trainer.train();
    const logged = (key: 'loss' | 'grad_norm') => trainer.state.log_history.flatMap(entry => entry[key] ?? []);
    // The interpreter computes in float64; weights and moments are float32 between the steps.
    expect(far(logged('loss'), losses)).toBeLessThan(1e-5);
    expect(far(logged('grad_norm'), grad_norms) / Math.max(...grad_norms)).toBeLessThan(1e-5);
    expect(far((await logitsOf(base, records[0]!)).slice(0, logits.length), logits)).toBeLessThan(1e-4);
    const after = tensorsOf(bytesOf(`lora/${name}/after.safetensors`));
    const saved = tensorsOf(await fileOf(await model.save_pretrained(), 'adapter_model.safetensors'));
    expect([...saved.keys()].filter(key => !after.has(key))).toEqual([]);
    expect([...after.keys()].filter(key => !saved.has(key) && !/\.(modules_to_save|original_module)\./.test(key))).toEqual([]);
    for (const [key, { shape, data }] of saved) {
      expect([key, shape]).toEqual([key, after.get(key)!.shape]);
      // Adam divides by the size of a gradient, so that one that is 0 in theory, as of key biases, moves by what it rounds to.
      const most = /key\.base_layer\.bias/.test(key) ? 0.02 : 1e-5;
      expect(far(data, after.get(key)!.data), key).toBeLessThan(most);
    }
    await base.dispose();
  });
});
