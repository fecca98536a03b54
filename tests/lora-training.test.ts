import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test, vi } from 'vitest';
import { CheckpointError, InputError, UnsupportedError } from '../src/errors.ts';
import * as library from '../src/index.ts';
import { type DataRecord, get_peft_model, LoraConfig, type LoraConfigInit, PeftModel, Trainer } from '../src/train.ts';
import { type ModuleNames, targetsOf } from '../src/training/lora/modules.ts';
import { far, fileOf, floatTensors, LORA_RECORDS, LORA_RUNS, type LoraRun, loraModel } from './lora-run.ts';
import { thrown } from './source-environment.ts';
import { classOf, logged, logitsOf, type SequenceModel } from './trained-model.ts';
import { readFixture } from './training-run.ts';

/** LoRA in Node, on the interpreter, against runs of PEFT in float64 (tests/fixtures/lora). Devices: e2e/suites/lora.ts. */

vi.mock('../src/engine/webgpu-backend.ts', async original => (await import('./on-the-cpu.ts')).onTheCPU(original));

const fixture = (path: string) => new URL(`fixtures/${path}`, import.meta.url);
const bytesOf = (path: string) => new Uint8Array(readFileSync(fixture(path)));
const filesOf = (folder: string, names: readonly string[]) =>
  Object.fromEntries(names.map(name => [name, bytesOf(`${folder}/${name}`)]));
const runOf = (name: string): LoraRun => JSON.parse(readFileSync(fixture(`lora/${name}/run.json`), 'utf8'));
const adapterOf = (name: string) => filesOf(`lora/${name}`, ['adapter_config.json', 'adapter_model.safetensors']);

async function modelOf(name: string, head = 'BertForSequenceClassification'): Promise<SequenceModel> {
  const files = filesOf(loraModel(name), ['config.json', 'model.safetensors']);
  return classOf(library, head).from_pretrained(files);
}

const recordsOf = (name: string): DataRecord[] =>
  readFixture(name)
    .data.slice(0, LORA_RECORDS)
    .map(example => ({ ...example }));

describe("a run is PEFT's", () => {
  test.each(LORA_RUNS)('%s: losses, norms, logits, and the adapter that it ends with', async name => {
    const { head, args, parameters, losses, grad_norms, logits } = runOf(name);
    const base = await modelOf(name, head);
    const records = recordsOf(name);
    const before = await logitsOf(base, records[0]!);
    const model = await PeftModel.from_pretrained(base, adapterOf(name), { is_trainable: true });
    expect(model.get_nb_trainable_parameters()).toEqual(parameters);
    expect(far(await logitsOf(model, records[0]!), before)).toBeGreaterThan(1e-3);
    const trainer = new Trainer({ model, train_dataset: records, args: { ...args, logging_steps: 1 } });
    await trainer.train();
    const [ownLosses, ownNorms] = [logged(trainer, 'loss'), logged(trainer, 'grad_norm')];
    // The interpreter computes in float64: of the first two steps, since the first has a learning rate of 0.
    expect(far(ownLosses.slice(0, 2), losses.slice(0, 2))).toBeLessThan(1e-8);
    expect(far(ownNorms.slice(0, 2), grad_norms.slice(0, 2)) / Math.max(...grad_norms)).toBeLessThan(1e-8);
    // Weights and moments are float32 between the steps.
    expect(far(ownLosses, losses)).toBeLessThan(1e-5);
    expect(far(ownNorms, grad_norms) / Math.max(...grad_norms)).toBeLessThan(1e-5);
    expect(far((await logitsOf(base, records[0]!)).slice(0, logits.length), logits)).toBeLessThan(1e-4);
    const after = floatTensors(bytesOf(`lora/${name}/after.safetensors`));
    const saved = floatTensors(await fileOf(await model.save_pretrained(), 'adapter_model.safetensors'));
    expect([...saved.keys()].filter(key => !after.has(key))).toEqual([]);
    expect(
      [...after.keys()].filter(key => !saved.has(key) && !/\.(modules_to_save|original_module)\./.test(key)),
    ).toEqual([]);
    for (const [key, { shape, data }] of saved) {
      expect([key, shape]).toEqual([key, after.get(key)!.shape]);
      // Adam divides by the size of a gradient, so that one that is 0 in theory, as of key biases, moves by what it rounds to.
      const most = /key\.base_layer\.bias/.test(key) ? 0.02 : 1e-5;
      expect(far(data, after.get(key)!.data), key).toBeLessThan(most);
    }
    await base.dispose();
  });
});

describe('LoraConfig', () => {
  test('has the names and defaults of PEFT', () => {
    expect({ ...new LoraConfig() }).toEqual({
      r: 8,
      target_modules: null,
      exclude_modules: null,
      lora_alpha: 8,
      lora_dropout: 0,
      bias: 'none',
      use_rslora: false,
      modules_to_save: null,
      init_lora_weights: true,
      layers_to_transform: null,
      layers_pattern: null,
      task_type: null,
      base_model_name_or_path: null,
      revision: null,
    });
    expect(new LoraConfig({ r: 4, lora_alpha: 6 }).scaling).toBe(1.5);
    expect(new LoraConfig({ r: 4, lora_alpha: 6, use_rslora: true }).scaling).toBe(3);
    expect(new LoraConfig({ task_type: 'SEQ_CLS', modules_to_save: ['pooler'] }).savedModules).toEqual([
      'pooler',
      'classifier',
      'score',
    ]);
  });

  test.each<[object, RegExp]>([
    [{ rank: 8 }, /has no field "rank".*lora_alpha/],
    [{ r: 0 }, /r is wrong.*at least 1/],
    [{ r: 1.5 }, /r is wrong/],
    [{ lora_alpha: '8' }, /lora_alpha is wrong/],
    [{ lora_dropout: 1 }, /lora_dropout is wrong/],
    [{ bias: 'some' }, /bias is not supported.*lora_only/],
    [{ target_modules: [1] }, /target_modules is wrong.*list of strings/],
    [{ modules_to_save: 'classifier' }, /modules_to_save is wrong.*list/],
    [{ init_lora_weights: 'pissa' }, /init_lora_weights is not supported.*gaussian/],
    [{ task_type: 'CAUSAL_LM' }, /task_type is not supported.*SEQ_CLS/],
    [{ peft_type: 'LOHA' }, /peft_type is not supported/],
    [{ target_modules: 'all-linear', layers_to_transform: [0] }, /layers_to_transform is wrong/],
    [{ layers_pattern: 'layer' }, /layers_pattern is wrong/],
    [{ layers_to_transform: [-1] }, /layers_to_transform is wrong/],
  ])('%j throws', (init, message) => {
    const make = () => new LoraConfig(init as LoraConfigInit);
    expect(make).toThrow(message);
    expect(make).toThrow(/not supported/.test(String(message)) ? UnsupportedError : InputError);
  });
});

/** Linears by these names, as far as targets go by names. */
const namedLinears = (names: readonly string[], outputs: readonly string[] = []): ModuleNames => {
  const linears = names.map(name => ({ name, weights: [], tensor: {} as never }));
  return {
    linears,
    weights: [],
    parameters: [{ name: 'bert.embeddings.word_embeddings.weight', tensor: {} as never }],
    outputs: new Set(linears.filter(({ name }) => outputs.includes(name))),
  };
};

describe('target_modules', () => {
  const NAMES = namedLinears(
    [0, 1, 12]
      .flatMap(layer =>
        ['attention.self.query', 'attention.self.value', 'attention.output.dense', 'intermediate.dense'].map(
          name => `bert.encoder.layer.${layer}.${name}`,
        ),
      )
      .concat('bert.pooler.dense', 'classifier'),
    ['classifier'],
  );
  const layer = (number: number, ...names: string[]) => names.map(name => `bert.encoder.layer.${number}.${name}`);

  test.each<[LoraConfigInit, string[]]>([
    [{ target_modules: ['query'] }, [0, 1, 12].flatMap(i => layer(i, 'attention.self.query'))],
    // A whole name, or what stands behind a dot: no other end.
    [{ target_modules: ['bert.pooler.dense', 'uery', 'pooler'] }, ['bert.pooler.dense']],
    [{ target_modules: ['output.dense'] }, [0, 1, 12].flatMap(i => layer(i, 'attention.output.dense'))],
    // A string matches the whole name.
    [
      { target_modules: String.raw`.*\.[01]\.attention\.self\.(query|value)` },
      [0, 1].flatMap(i => layer(i, 'attention.self.query', 'attention.self.value')),
    ],
    [{ target_modules: 'classifier' }, ['classifier']],
    [
      { target_modules: ['query'], layers_to_transform: [1, 12] },
      [1, 12].flatMap(i => layer(i, 'attention.self.query')),
    ],
    [
      { target_modules: ['query', 'classifier'], layers_to_transform: 0, layers_pattern: 'layer' },
      layer(0, 'attention.self.query'),
    ],
    [
      { target_modules: ['query'], exclude_modules: String.raw`.*\.1\..*` },
      [0, 12].flatMap(i => layer(i, 'attention.self.query')),
    ],
    [{ target_modules: ['pooler.dense', 'query'], exclude_modules: ['query'] }, ['bert.pooler.dense']],
    // modules_to_save get no adapters, nor what is in them.
    [
      { target_modules: ['dense'], modules_to_save: ['pooler', 'attention'] },
      [0, 1, 12].flatMap(i => layer(i, 'intermediate.dense')),
    ],
  ])('%j', (init, expected) => {
    expect(targetsOf(new LoraConfig(init), NAMES).map(({ name }) => name)).toEqual(expected);
  });

  test("'all-linear' are all but the output", () => {
    const names = targetsOf(new LoraConfig({ target_modules: 'ALL-linear' }), NAMES).map(({ name }) => name);
    expect(names).toEqual(NAMES.linears.map(({ name }) => name).filter(name => name !== 'classifier'));
  });

  test('that are none, or no linears, throw', () => {
    const targets = (target_modules: string | string[]) => () => targetsOf(new LoraConfig({ target_modules }), NAMES);
    expect(targets(['quary'])).toThrow(/no linear.*quary.*the ends are query, value, dense, classifier/);
    expect(targets('query')).toThrow(InputError);
    expect(targets('(')).toThrow(/target_modules is wrong.*regular expression/);
    expect(targets(['word_embeddings', 'query'])).toThrow(/linears alone.*word_embeddings/);
  });
});

const CONFIG: LoraConfigInit = { r: 4, lora_alpha: 6, task_type: 'SEQ_CLS' };
const QUERY_A = 'base_model.model.bert.encoder.layer.0.attention.self.query.lora_A.weight';

describe('get_peft_model', () => {
  test('changes nothing at first; A is uniform as in torch, the same for the same seed', async () => {
    const [record] = recordsOf('bert-sequence');
    const make = async (seed?: number) => {
      const base = await modelOf('bert-sequence');
      const before = await logitsOf(base, record!);
      const model = await get_peft_model(base, CONFIG, seed === undefined ? null : { seed });
      expect(await logitsOf(model, record!)).toEqual(before);
      return floatTensors(await fileOf(await model.save_pretrained(), 'adapter_model.safetensors'));
    };
    const tensors = await make();
    const { data, shape } = tensors.get(QUERY_A)!;
    expect(shape).toEqual([4, 48]);
    const bound = 1 / Math.sqrt(48);
    expect(Math.max(...data)).toBeLessThan(bound);
    expect(Math.max(...data.map(Math.abs))).toBeGreaterThan(0.95 * bound);
    const variance = data.reduce((sum, v) => sum + v * v, 0) / data.length;
    expect(Math.abs(variance / (bound ** 2 / 3) - 1)).toBeLessThan(0.25);
    expect(tensors.get(QUERY_A.replace('_A', '_B'))!.data.every(v => v === 0)).toBe(true);
    expect(tensors.get(QUERY_A.replace('query', 'value'))!.data).not.toEqual(data);
    expect([...tensors.keys()].filter(key => !key.includes('lora_'))).toEqual(
      expect.arrayContaining(['base_model.model.classifier.weight', 'base_model.model.classifier.bias']),
    );
    expect((await make()).get(QUERY_A)!.data).toEqual(data);
    expect((await make(7)).get(QUERY_A)!.data).not.toEqual(data);
  });

  test('counts and prints what is trained', async () => {
    const base = await modelOf('bert-sequence');
    const model = await get_peft_model(base, new LoraConfig(CONFIG));
    expect(model.get_nb_trainable_parameters()).toEqual(runOf('bert-sequence').parameters);
    const log = vi.spyOn(console, 'log').mockImplementation(() => undefined);
    model.print_trainable_parameters();
    expect(log.mock.calls[0]![0]).toMatch(
      /^trainable params: 1,683 \|\| all params: [\d,]+ \|\| trainable%: \d\.\d{4}$/,
    );
    log.mockRestore();
  });

  test('merges: the answers stay, and the adapters are gone', async () => {
    const base = await modelOf('bert-sequence');
    const [record] = recordsOf('bert-sequence');
    const model = await PeftModel.from_pretrained(base, adapterOf('bert-sequence'));
    const adapted = await logitsOf(model, record!);
    const { weights } = await base.bytes();
    expect(await model.merge_and_unload()).toBe(base);
    expect(await logitsOf(base, record!)).toEqual(adapted);
    expect((await base.bytes()).weights).toBeLessThan(weights);
    expect((await thrown(model.save_pretrained())).message).toMatch(/no adapters any more/);
    expect((await thrown(model.merge_and_unload())).message).toMatch(/no adapters any more/);
    // It is a model like any other again.
    await get_peft_model(base, { r: 2 });
  });

  test.each<[string, object, RegExp]>([
    ['a wrong field', { rank: 3 }, /no field "rank"/],
    ['targets that there are not', { target_modules: ['q_proj'] }, /no linear of this model/],
    ['modules_to_save that there are not', { modules_to_save: ['score_head'] }, /no module of this model.*score_head/],
    [
      'adapters beside a matrix that is trained whole',
      { target_modules: ['value'], modules_to_save: ['query'] },
      /one matrix/,
    ],
  ])('with %s is refused, and the model is as it was', async (_, init, message) => {
    const base = await modelOf('bert-sequence');
    const before = await base.bytes();
    const error = await thrown(get_peft_model(base, init as LoraConfigInit));
    expect(error.message).toMatch(message);
    expect(await base.bytes()).toEqual(before);
    await get_peft_model(base, CONFIG);
    expect((await thrown(get_peft_model(base, CONFIG))).message).toMatch(/has adapters already/);
  });

  test('of what is no model is refused', async () => {
    expect((await thrown(get_peft_model({} as never, CONFIG))).message).toMatch(/AutoModelForX/);
    const distilbert = await modelOf('distilbert-sequence', 'DistilBertForSequenceClassification');
    expect((await thrown(get_peft_model(distilbert, {}))).message).toMatch(/no target_modules.*"distilbert".*q_lin/);
    const model = await get_peft_model(distilbert, { target_modules: ['q_lin'], task_type: 'SEQ_CLS' });
    const keys = [...floatTensors(await fileOf(await model.save_pretrained(), 'adapter_model.safetensors')).keys()];
    expect(keys).toContain('base_model.model.distilbert.transformer.layer.0.attention.q_lin.lora_A.weight');
    // pre_classifier ends with classifier, so PEFT takes it, too.
    expect(keys).toContain('base_model.model.pre_classifier.weight');
  });
});

describe('a Trainer', () => {
  const train_dataset = recordsOf('bert-sequence');
  const args = { max_steps: 2, per_device_train_batch_size: 4, learning_rate: 1e-3 };

  test('trains adapters and the head alone', async () => {
    const base = await modelOf('bert-sequence');
    const before = floatTensors(bytesOf('random/bert-sequence/model.safetensors'));
    const model = await get_peft_model(base, { ...CONFIG, lora_dropout: 0.1 });
    const start = floatTensors(await fileOf(await model.save_pretrained(), 'adapter_model.safetensors'));
    await new Trainer({ model, train_dataset, args }).train();
    const end = floatTensors(await fileOf(await model.save_pretrained(), 'adapter_model.safetensors'));
    expect([...end].filter(([key, { data }]) => far(data, start.get(key)!.data) === 0)).toEqual([]);
    const { PreTrainedModel } = await import('../src/api/index.ts');
    const { tensorReader, wholeTensor } = await import('../src/training/weights.ts');
    const reader = tensorReader(await PreTrainedModel.engineOf(base).backend());
    for (const [canonical, name] of [
      ['encoder.layer.0.attention.self.query.base_layer.weight', 'bert.encoder.layer.0.attention.self.query.weight'],
      ['encoder.layer.0.attention.self.key.weight', 'bert.encoder.layer.0.attention.self.key.weight'],
      ['encoder.layer.1.output.dense.weight', 'bert.encoder.layer.1.output.dense.weight'],
      ['embeddings.LayerNorm.bias', 'bert.embeddings.LayerNorm.bias'],
    ] as const) {
      expect(far(await wholeTensor(reader, canonical), before.get(name)!.data), canonical).toBe(0);
    }
  });

  test('of adapters for answers alone, or with another choice of weights, refuses', async () => {
    const base = await modelOf('bert-sequence');
    const model = await PeftModel.from_pretrained(base, adapterOf('bert-sequence'));
    expect(model.get_nb_trainable_parameters()[0]).toBe(0);
    const error = await thrown(new Trainer({ model, train_dataset, args }).train());
    expect(error).toBeInstanceOf(InputError);
    expect(error.message).toMatch(/is_trainable: true/);
    await model.merge_and_unload();
    const adapted = await get_peft_model(base, CONFIG);
    const chosen = new Trainer({ model: adapted, train_dataset, args: { ...args, trainable: 'head' } });
    expect((await thrown(chosen.train())).message).toMatch(/trainable is wrong.*modules_to_save/);
  });

  test('has learning rates for adapters by their names', async () => {
    const model = await get_peft_model(await modelOf('bert-sequence'), CONFIG);
    const start = floatTensors(await fileOf(await model.save_pretrained(), 'adapter_model.safetensors'));
    const rates = { 'lora_[AB]': 0 };
    await new Trainer({ model, train_dataset, args: { ...args, learning_rate_mapping: rates } }).train();
    const end = floatTensors(await fileOf(await model.save_pretrained(), 'adapter_model.safetensors'));
    const changed = [...end].filter(([key, { data }]) => far(data, start.get(key)!.data) > 0).map(([key]) => key);
    expect(changed.sort()).toEqual(['base_model.model.classifier.bias', 'base_model.model.classifier.weight']);
  });
});

describe('files', () => {
  /** The files of a run with another field in adapter_config.json. */
  const withFields = (fields: object) => {
    const files = adapterOf('bert-sequence');
    const json = JSON.parse(new TextDecoder().decode(files['adapter_config.json'])) as object;
    return { ...files, 'adapter_config.json': new TextEncoder().encode(JSON.stringify({ ...json, ...fields })) };
  };

  test('load again as they were saved', async () => {
    const base = await modelOf('bert-sequence');
    const model = await PeftModel.from_pretrained(base, adapterOf('bert-sequence'));
    const files = await model.save_pretrained();
    expect(files.map(({ name }) => name)).toEqual(['adapter_config.json', 'adapter_model.safetensors']);
    const again = await PeftModel.from_pretrained(await modelOf('bert-sequence'), files);
    const [record] = recordsOf('bert-sequence');
    expect(await logitsOf(again, record!)).toEqual(await logitsOf(model, record!));
    expect(again.peft_config.default.toJSON()).toEqual(model.peft_config.default.toJSON());
    const saved = floatTensors(await fileOf(files, 'adapter_model.safetensors'));
    const given = floatTensors(adapterOf('bert-sequence')['adapter_model.safetensors']!);
    expect(saved).toEqual(given);
  });

  test.each<[string, () => Record<string, Uint8Array>, RegExp, new (...args: never[]) => Error]>([
    ['of DoRA', () => withFields({ use_dora: true }), /needs "use_dora"/, UnsupportedError],
    [
      'with ranks of their own',
      () => withFields({ rank_pattern: { query: 4 } }),
      /needs "rank_pattern"/,
      UnsupportedError,
    ],
    ['of a later PEFT', () => withFields({ use_next: 3 }), /needs "use_next"/, UnsupportedError],
    ['of another kind', () => withFields({ peft_type: 'LOHA' }), /peft_type/, UnsupportedError],
    ['with another rank', () => withFields({ r: 2 }), /does not belong.*\[4, 48\].*\[2, 48\]/, CheckpointError],
    [
      'without the head',
      () => withFields({ task_type: null, modules_to_save: null }),
      /does not belong.*classifier/,
      CheckpointError,
    ],
    ['of another model', () => adapterOf('roberta-token'), /does not belong/, CheckpointError],
  ])('%s are refused', async (_, files, message, type) => {
    const base = await modelOf('bert-sequence');
    const before = await base.bytes();
    const error = await thrown(PeftModel.from_pretrained(base, files()));
    expect(error.message).toMatch(message);
    expect(error).toBeInstanceOf(type);
    expect(await base.bytes()).toEqual(before);
  });

  test('fields that are off, however new they are, are no reason to refuse', async () => {
    const files = withFields({ use_next: false, next_config: {}, peft_version: '9.0.0' });
    await PeftModel.from_pretrained(await modelOf('bert-sequence'), files);
  });
});

/** Python with PEFT: WEBGPU_BERT_PYTHON, or python3. */
const python = process.env.WEBGPU_BERT_PYTHON ?? 'python3';
const hasPeft = spawnSync(python, ['-c', 'import peft, transformers']).status === 0;

describe('PEFT reads the files', () => {
  test.skipIf(!hasPeft).each(LORA_RUNS)(
    `%s: the logits are the same${hasPeft ? '' : ' (skipped: WEBGPU_BERT_PYTHON names no Python with peft and transformers)'}`,
    async name => {
      const { head, args } = runOf(name);
      const base = await modelOf(name, head);
      const [record] = recordsOf(name);
      const model = await PeftModel.from_pretrained(base, adapterOf(name), { is_trainable: true });
      await new Trainer({ model, train_dataset: recordsOf(name), args: { ...args, max_steps: 2 } }).train();
      const folder = mkdtempSync(join(tmpdir(), 'lora-'));
      for (const file of await model.save_pretrained()) {
        writeFileSync(join(folder, file.name), new Uint8Array(await file.arrayBuffer()));
      }
      const script = fileURLToPath(new URL('python/adapter_logits.py', import.meta.url));
      const input = JSON.stringify({ base: fileURLToPath(fixture(loraModel(name))), head, folder, record });
      const { status, stdout, stderr } = spawnSync(python, [script], { input, encoding: 'utf8' });
      rmSync(folder, { recursive: true });
      expect(status, stderr).toBe(0);
      const expected = JSON.parse(stdout) as { logits: number[]; unexpected: string[] };
      expect(expected.unexpected).toEqual([]);
      expect(far(await logitsOf(base, record!), expected.logits)).toBeLessThan(1e-5);
    },
    120_000,
  );
});
