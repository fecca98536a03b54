import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test, vi } from 'vitest';
import { PreTrainedModel } from '../src/api/model.ts';
import { openCheckpoint } from '../src/checkpoint/file/index.ts';
import { newTensors } from '../src/engine/index.ts';
import { Preparing } from '../src/engine/prepare.ts';
import type { AutoClass, Tensor } from '../src/index.ts';
import * as library from '../src/index.ts';
import { encoderGraph, everything, type HeadKind, readConfig } from '../src/model/index.ts';
import { fakeSource, readTensors, safetensors, type TensorBytes } from './checkpoint-bytes.ts';
import { CPUBackend } from './cpu-backend.ts';

/** Models of random numbers: from_config, and heads that a checkpoint lacks. */

vi.mock('../src/engine/webgpu-backend.ts', async original => (await import('./on-the-cpu.ts')).onTheCPU(original));

const folder = new URL('fixtures/interpreter/', import.meta.url);
const read = (name: string, file: string) => new Uint8Array(readFileSync(new URL(`${name}/${file}`, folder)));
const folders = readdirSync(folder).filter(name => name !== 'README.md');

function classOf(name: string): { kind: HeadKind | undefined; auto: AutoClass<never> } {
  const cls = JSON.parse(new TextDecoder().decode(read(name, 'expected.json'))).cls as string;
  const kind = /For([A-Z]\w*)$/.exec(cls)?.[1] ?? (cls.endsWith('LMHead') ? 'MaskedLM' : undefined);
  const auto = (library as unknown as Record<string, AutoClass<never>>)[kind ? `AutoModelFor${kind}` : 'AutoModel']!;
  return { kind: kind as HeadKind | undefined, auto };
}

function headerOf(file: Uint8Array): Map<string, string> {
  return new Map(Object.entries(readTensors(file)).map(([name, { shape }]) => [usualName(name), String(shape)]));
}

/** What Python's files call a tensor in several ways. */
const usualName = (name: string) =>
  name
    .replace(/LayerNorm\.gamma$/, 'LayerNorm.weight')
    .replace(/LayerNorm\.beta$/, 'LayerNorm.bias')
    .replace('encoder.layer.*.attention.self.rotary_embeddings', 'rotary_embeddings');

/** Tensors of Python's files that nothing is computed with. */
const UNUSED =
  /contact_head|bottleneck\.attention\.|embedding_transformation|cls\.predictions\.dense|^transformer\.pooler|deberta\.encoder\.(LayerNorm|rel_embeddings)|^(cls\.predictions|lm_head)\.bias$/;

/** The file that a new model would have been loaded from, made without a load. */
async function fileOfNew(config: object, head: HeadKind | undefined, seed: number): Promise<Uint8Array<ArrayBuffer>> {
  const encoder = readConfig(config);
  const backend = new CPUBackend();
  const made = newTensors({ seed, isWhole: true });
  const { weights } = backend.plan(encoderGraph(encoder, everything(made.makesPooler(encoder, head), head, undefined)));
  const wanted = new Preparing(encoder, backend).weightsOfFiles(weights).flatMap(weight => weight.parts);
  const empty = await openCheckpoint(fakeSource({ 'model.safetensors': safetensors({}) }));
  const found = { checkpoint: empty, config: encoder, head, find: () => undefined, advice: () => undefined };
  const { checkpoint } = made.complete(found, wanted);
  const tensors: Record<string, TensorBytes> = {};
  for await (const { tensor, begin, bytes } of checkpoint.chunks()) {
    const { name, dtype, shape, byteLength } = tensor;
    tensors[name] ??= { dtype, shape: [...shape], bytes: new Uint8Array(byteLength) };
    tensors[name].bytes.set(bytes, begin);
  }
  return safetensors(tensors);
}

describe('from_config gives the model that from_pretrained gives of a file of the same tensors', () => {
  test.each(folders.filter(name => !name.includes('-tasks-')))('%s', async name => {
    const config = JSON.parse(new TextDecoder().decode(read(name, 'config.json')));
    const { kind, auto } = classOf(name);
    const made = await auto.from_config(config, { seed: 7 });
    const file = await fileOfNew(config, kind, 7);
    const loaded = await auto.from_pretrained({ 'config.json': read(name, 'config.json'), 'model.safetensors': file });
    const fingerprints = [made, loaded].map(model => PreTrainedModel.engineOf(model).fingerprint);
    expect(fingerprints[1]).toBe(fingerprints[0]);
    expect(loaded.newly_initialized).toEqual([]);
    const ids = { input_ids: kind === 'MultipleChoice' ? [[[5, 6, 7, 8]]] : [[5, 6, 7, 8]] };
    const [a, b] = (await Promise.all([made._call(ids), loaded._call(ids)])) as Record<string, Tensor>[];
    expect(Object.keys(a!).length).toBeGreaterThan(0);
    for (const [output, tensor] of Object.entries(a!)) {
      expect([...tensor.data].every(number => Number.isFinite(number))).toBe(true);
      expect(b![output]!.data).toEqual(tensor.data);
    }
    const saved = await made.save_pretrained();
    const again = await auto.from_pretrained(saved);
    expect(PreTrainedModel.engineOf(again).fingerprint).toBe(fingerprints[0]);
    const other = await auto.from_config(config, { seed: 8 });
    expect(PreTrainedModel.engineOf(other).fingerprint).not.toBe(fingerprints[0]);
  });
});

describe('from_config gives the names and shapes of the files that Python saves', () => {
  // Nothing in config.json tells JinaBERT's code models from the others, or that there are weights for tasks. The bias of nomic's
  // vocabulary has another name on the hub, which is read as well.
  const others = /^jina_bert-code|-tasks-|^nomic_bert-plain-MaskedLM/;
  test.each(folders.filter(name => !others.test(name)))('%s', async name => {
    const config = JSON.parse(new TextDecoder().decode(read(name, 'config.json')));
    const model = await classOf(name).auto.from_config(config);
    const python = headerOf(read(name, 'model.safetensors'));
    const { tensors } = PreTrainedModel.engineOf(model);
    const own = new Map(tensors.map(({ info }) => [info.name, String(info.shape)]));
    const missing = [...own].filter(([n, shape]) => python.get(n) !== shape).map(([n]) => n);
    const unused = [...python.keys()].filter(n => !own.has(n) && !UNUSED.test(n));
    expect({ missing, unused }).toEqual({ missing: [], unused: [] });
    expect(model.newly_initialized).toEqual([...own.keys()].sort());
  });
});
