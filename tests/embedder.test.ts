import { expect, test, vi } from 'vitest';
import { InputError } from '../src/errors.ts';
import { pipeline } from '../src/index.ts';
import { entailmentIds } from '../src/tasks/zero-shot-classification.ts';
import { type Files, fixtureFiles } from './fixture-files.ts';
import { thrown } from './source-environment.ts';

/** What a result says beside its numbers, and prompts by name, on the float64 interpreter. */

vi.mock('../src/engine/webgpu-backend.ts', async original => (await import('./on-the-cpu.ts')).onTheCPU(original));

const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value)) as Uint8Array<ArrayBuffer>;
const PROMPTS = { query: 'query: ', document: 'passage: ', cluster: 'cluster: ' };
const embedder = (more: Files = {}, options = {}) => {
  const config = json({ prompts: PROMPTS, default_prompt_name: 'cluster' });
  const files = { ...fixtureFiles('random/bert-base'), ...fixtureFiles('sentence/st-prompts') };
  return pipeline('feature-extraction', { ...files, 'config_sentence_transformers.json': config, ...more }, options);
};

test('encode_query and encode_document take their prompts, unless another is asked for', async () => {
  const embed = await embedder();
  expect(embed.prompts).toEqual(PROMPTS);
  const rows = async (options: object) => (await embed('a', { pooling: 'model', ...options })).tolist();
  expect((await embed.encode_query('a')).tolist()).toEqual(await rows({ prompt_name: 'query' }));
  expect((await embed.encode_document(['a'])).tolist()).toEqual(await rows({ prompt_name: 'document' }));
  expect((await embed.encode_document('a', { prompt_name: 'cluster' })).tolist()).toEqual(await rows({}));
  expect((await embed.encode_query('a', { prompt: '' })).tolist()).toEqual(await rows({ prompt: '' }));
  expect((await embed.encode_query('a', { truncate_dim: 8 })).dims).toEqual([1, 8]);
  expect(await thrown(embed.encode_query('a', { pooling: 'mean' } as object))).toBeInstanceOf(InputError);
  const error = await thrown(embed.encode_query('a', { prompt_name: 'passage' }));
  expect(error.message).toContain('query, document, cluster');
  await embed.dispose();
});

test('how many tokens were run for each text', async () => {
  const embed = await embedder();
  const texts = ['a', 'Paris is the capital of France.'];
  const lengths = (prompt: string) => texts.map(text => embed.tokenizer.text.encode(prompt + text).ids.length);
  const out = await embed(texts, { pooling: 'mean' });
  expect(out.tokens).toEqual(lengths(''));
  expect(Object.keys(out)).not.toContain('tokens');
  expect((await embed.encode_query(texts)).tokens).toEqual(lengths('query: '));
  const long = 'Paris is the capital of France. '.repeat(40);
  const limit = embed.tokenizer.model_max_length;
  expect((await embed(long, { pooling: 'mean' })).tokens).toEqual([limit]);
  const windows = embed.tokenizer.text.encodeWindows(long, { maxLength: limit });
  const sum = windows.reduce((total, { ids }) => total + ids.length, 0);
  expect((await embed(long, { pooling: 'mean', overflow: 'window' })).tokens).toEqual([sum]);
  await embed.dispose();
});

test('spaces are equal exactly where embeddings may be compared', async () => {
  const embed = await embedder();
  const spaceOf = async (options: object) => (await embed(['a', 'b'], { pooling: 'model', ...options })).space;
  const { space } = embed;
  expect((await embed.encode_query('a')).space).toBe(space);
  expect((await embed.encode_document('b')).space).toBe(space);
  expect(await spaceOf({ prompt: 'query: ' })).toBe(space);
  expect(await spaceOf({ prompt_name: 'document', overflow: 'window' })).toBe(space);
  const ranges = (most: number) => ({ lowest: new Array(48).fill(-1), highest: new Array(48).fill(most) });
  const others = [
    {},
    { prompt: '' },
    { prompt_name: 'query', truncate_dim: 8 },
    { prompt_name: 'query', normalize: false },
    { prompt_name: 'query', pooling: 'max' },
    { prompt_name: 'query', pooling: 'none' },
    { prompt_name: 'query', precision: 'binary' },
    { prompt_name: 'query', precision: 'int8', ranges: ranges(1) },
    { prompt_name: 'query', precision: 'int8', ranges: ranges(2) },
  ];
  const spaces = [space];
  for (const options of others) spaces.push(await spaceOf(options));
  expect(new Set(spaces).size).toBe(others.length + 1);
  expect(JSON.parse(space)).toMatchObject({ dtype: 'fp32', pooling: 'mean', dims: 48, normalize: true });
  await embed.dispose();

  const same = await embedder();
  expect(same.space).toBe(space);
  await same.dispose();
  // Another number in the weights, another token, another dtype.
  const weights = fixtureFiles('random/bert-base')['model.safetensors']!;
  for (let at = weights.length - 4000; at < weights.length - 3000; at += 4) weights[at]! ^= 1;
  const tokenizer = new TextDecoder().decode(fixtureFiles('random/bert-base')['tokenizer.json']);
  for (const [more, options] of [
    [{ 'model.safetensors': weights }, {}],
    [{ 'tokenizer.json': new TextEncoder().encode(tokenizer.replace('"##s"', '"##é"')) }, {}],
    [{}, { dtype: 'fp16' }],
  ] as const) {
    const other = await embedder(more as Files, options);
    expect(other.space).not.toBe(space);
    await other.dispose();
  }
});

test('the entailment by its name, where labels have none', () => {
  const labels = ['LABEL_0', 'LABEL_1', 'LABEL_2'];
  expect(() => entailmentIds(undefined, labels)).toThrow('entailment_label');
  expect(entailmentIds(undefined, labels, 'LABEL_2')).toEqual({ entailment: 2, contradiction: 0 });
  expect(entailmentIds({ LABEL_0: 0, LABEL_1: 1, LABEL_2: 2 }, labels, 'LABEL_0')).toEqual({
    entailment: 0,
    contradiction: 2,
  });
  // It goes before a label that is called so.
  expect(entailmentIds(undefined, ['entailment', 'yes'], 'yes')).toEqual({ entailment: 1, contradiction: 0 });
  expect(() => entailmentIds(undefined, labels, 'LABEL_3')).toThrow(InputError);
  expect(() => entailmentIds(undefined, labels, 'LABEL_3')).toThrow('LABEL_0, LABEL_1, LABEL_2');
  expect(() => entailmentIds(undefined, labels, 5 as never)).toThrow(InputError);
});
