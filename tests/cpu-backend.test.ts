import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { DeviceError } from '../src/errors.ts';
import { AutoModel, AutoTokenizer, pipeline, type Task } from '../src/index.ts';
import type { CPUBackend } from './cpu-backend.ts';
import { fixtureFiles, fixtures } from './fixture-files.ts';
import { leftOpen } from './on-the-cpu.ts';

/**
 * Text in, answer out, without a GPU: the library as people call it, whose only foreign part is the backend. Answers are held against
 * the Python libraries, which computed them in float64.
 */

const { backends } = vi.hoisted(() => ({ backends: [] as CPUBackend[] }));
vi.mock('../src/engine/webgpu-backend.ts', async original =>
  (await import('./on-the-cpu.ts')).onTheCPU(original, backends),
);
afterEach(() => {
  // Whatever a test has loaded was given back.
  expect(leftOpen(backends)).toEqual([]);
});

const jsonOf = (path: string) => JSON.parse(readFileSync(join(fixtures, path), 'utf8'));

/** The backend's outputs are float32: of numbers about 1 that is 6e-8, and a few are added up behind it. */
const TOLERANCE = 1e-6;

/** Everything equal but for scores, which may differ by TOLERANCE. */
function expectAnswer(actual: unknown, expected: unknown, path: string): void {
  if (typeof expected === 'number' && path.endsWith('.score')) {
    expect(Math.abs((actual as number) - expected), path).toBeLessThan(TOLERANCE);
  } else if (typeof expected === 'object' && expected !== null) {
    expect(Object.keys(actual as object).sort(), path).toEqual(Object.keys(expected).sort());
    for (const [name, value] of Object.entries(expected)) {
      expectAnswer((actual as Record<string, unknown>)[name], value, `${path}.${name}`);
    }
  } else expect(actual, path).toBe(expected);
}

type AnyPipeline = ((...values: unknown[]) => Promise<unknown>) & { dispose(): Promise<void> };
interface Golden {
  task: Task;
  model: string;
  args: unknown[];
  options: Record<string, unknown>;
  answer: unknown;
}
const { cases } = jsonOf('random/pipelines.json') as { cases: Golden[] };

test.each([...new Set(cases.map(({ model }) => model))])('the pipeline of %s answers as Python does', async model => {
  const calls = cases.filter(golden => golden.model === model);
  const { task } = calls[0]!;
  const pipe = (await pipeline(task, fixtureFiles(`random/${model}`))) as unknown as AnyPipeline;
  for (const { args, options, answer } of calls) {
    const result = await pipe(...args, options);
    // With a top_k of 1 question-answering gives one answer, and Python a list.
    const listed = task === 'question-answering' && !Array.isArray(result) ? [result] : result;
    expectAnswer(listed, answer, `${JSON.stringify(args)} ${JSON.stringify(options)}: answer`);
  }
  await pipe.dispose();
});

test.each([
  // transformers 4 takes the names, where the weights have so many rows, and transformers 5 fails.
  ['bert-sequence', { num_labels: 2 }, ['NEG', 'NEU', 'POS']],
  // transformers 5 takes the number, and transformers 4 fails.
  ['bert-sequence', { id2label: { 0: 'one', 1: 'two' }, num_labels: 3 }, ['LABEL_0', 'LABEL_1', 'LABEL_2']],
  ['roberta-sequence', { id2label: {}, num_labels: 3 }, ['LABEL_0', 'LABEL_1', 'LABEL_2']],
  ['distilbert-sequence', { id2label: { 0: 'one' }, num_labels: 3 }, ['LABEL_0', 'LABEL_1', 'LABEL_2']],
])(
  'where num_labels and id2label disagree the weights of %s tell which is right: %j',
  async (model, fields, labels) => {
    const bytes = new TextEncoder().encode(JSON.stringify({ ...jsonOf(`random/${model}/config.json`), ...fields }));
    const classify = await pipeline('text-classification', {
      ...fixtureFiles(`random/${model}`),
      'config.json': bytes,
    });
    const answers = (await classify('Where is the tower?', { top_k: null })) as { label: string }[];
    expect(answers.map(({ label }) => label).sort()).toEqual(labels);
    await classify.dispose();
  },
);

test('a pipeline gives its model no token types where model_input_names has none', async () => {
  const files = fixtureFiles('random/bert-rerank');
  const config = { ...jsonOf('random/bert-rerank/tokenizer_config.json') };
  const input = { text: 'Where is the tower?', text_pair: 'In the north of the town.' };
  // The logits of transformers 5.24 in float64.
  for (const [model_input_names, logit] of [
    [['input_ids', 'attention_mask'], -0.0018105084309354424],
    [['input_ids', 'token_type_ids', 'attention_mask'], 0.03214953509826049],
  ] as const) {
    const bytes = new TextEncoder().encode(JSON.stringify({ ...config, model_input_names }));
    const classify = await pipeline('text-classification', { ...files, 'tokenizer_config.json': bytes });
    const { score } = (await classify(input, { function_to_apply: 'none' }))[0]!;
    expect(Math.abs(score - logit), model_input_names.join()).toBeLessThan(TOLERANCE);
    await classify.dispose();
  }
});

describe('sentence-transformers', () => {
  const folders = readdirSync(join(fixtures, 'sentence'));

  const embedders = folders.filter(name => name.startsWith('st-') || name.startsWith('model2vec'));
  test.each(embedders)('%s: embeddings as encode() gives them', async name => {
    const { weights, texts, calls } = jsonOf(`sentence/${name}/expected.json`);
    const files = { ...(weights && fixtureFiles(`random/${weights}`)), ...fixtureFiles(`sentence/${name}`) };
    const embed = await pipeline('feature-extraction', files);
    for (const { options, embeddings } of calls) {
      const out = await embed(texts, { pooling: 'model', ...options });
      expect(out.dims).toEqual(embeddings.shape);
      const errors = embeddings.data.map((value: number, i: number) => Math.abs(value - Number(out.data[i])));
      expect(Math.max(...errors)).toBeLessThan(TOLERANCE);
    }
    // Four texts are more than a pass holds.
    expect(backends[0]!.passes.slice(0, 2)).toEqual([3, 1]);
    await embed.dispose();
  });

  test.each(folders.filter(name => name.startsWith('cross-')))('%s: scores as rank() gives them', async name => {
    const { weights, calls } = jsonOf(`sentence/${name}/expected.json`);
    const rank = await pipeline('text-ranking', {
      ...fixtureFiles(`random/${weights}`),
      ...fixtureFiles(`sentence/${name}`),
    });
    const [{ query, documents, rank: expected }] = calls;
    expectAnswer(await rank(query, documents), expected, name);
    await rank.dispose();
  });
});

test('a model that is called directly gives hidden states and attentions of every layer', async () => {
  const files = fixtureFiles('random/bert-base');
  const [model, tokenizer] = [await AutoModel.from_pretrained(files), await AutoTokenizer.from_pretrained(files)];
  expect(model.adapter).toBe('interpreter');
  const inputs = tokenizer(['Paris is the capital of France.', 'a'], { padding: true });
  const out = await model(inputs, { output_hidden_states: true, output_attentions: true });
  const { num_hidden_layers: layers, num_attention_heads: heads } = jsonOf('random/bert-base/config.json');
  const [, length] = out.last_hidden_state.dims as [number, number];
  expect(out.hidden_states).toHaveLength(layers + 1);
  expect(out.hidden_states!.at(-1)!.tolist()).toEqual(out.last_hidden_state.tolist());
  expect(out.attentions!.map(({ dims }) => dims)).toEqual(new Array(layers).fill([2, heads, length, length]));
  const rowSums = (out.attentions![0]!.tolist() as number[][][][])[0]!.flat().map(row => row.reduce((a, b) => a + b));
  for (const sum of rowSums) expect(Math.abs(sum - 1)).toBeLessThan(TOLERANCE);
  expect((await model.bytes()).weights).toBeGreaterThan(1e5);
  await model.dispose();
  await expect(model(inputs)).rejects.toThrow(DeviceError);
});

test('calls of one tick share passes; one that is aborted rejects alone', async () => {
  const embed = await pipeline('feature-extraction', fixtureFiles('random/bert-base'));
  const { passes } = backends[0]!;
  const stop = new AbortController();
  const calls = ['one', 'two'].map(text => embed(text, { pooling: 'mean' }));
  const aborted = embed('three', { pooling: 'mean', signal: stop.signal });
  stop.abort(new Error('enough'));
  await expect(aborted).rejects.toThrow('enough');
  const [one] = await Promise.all(calls);
  expect(passes).toEqual([2]);
  const alone = await embed('one', { pooling: 'mean' });
  expect(alone.tolist()).toEqual(one!.tolist());
  await embed.dispose();
});

test('a lost device is replaced by another, and a call goes on there', async () => {
  const embed = await pipeline('feature-extraction', fixtureFiles('random/bert-base'));
  const before = await embed('a text', { pooling: 'mean' });
  const events: string[] = [];
  for (const type of ['devicelost', 'restored'] as const) {
    embed.model.addEventListener(type, event => void events.push(event.type));
  }
  const call = embed('a text', { pooling: 'mean' });
  backends[0]!.lose();
  expect((await call).tolist()).toEqual(before.tolist());
  expect(backends.map(({ isDestroyed }) => isDestroyed)).toEqual([true, false]);
  expect(events).toEqual(['devicelost', 'restored']);
  await embed.dispose();
});

test('a weight that is not finite is refused by the name of its tensor in the file', async () => {
  const files = fixtureFiles('random/bert-sequence');
  const weights = files['model.safetensors']!.slice();
  const headerLength = Number(new DataView(weights.buffer).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(weights.subarray(8, 8 + headerLength)));
  const [begin] = header['classifier.bias'].data_offsets;
  new DataView(weights.buffer).setFloat32(8 + headerLength + begin, Number.NaN, true);
  const loading = pipeline('text-classification', { ...files, 'model.safetensors': weights });
  await expect(loading).rejects.toMatchObject({
    name: 'CheckpointError',
    tensor: 'classifier.bias',
    actual: 'NaN at [0]',
  });
});
