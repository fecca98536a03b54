import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { CheckpointError, SourceError } from '../src/errors.ts';
import { pipeline } from '../src/index.ts';
import { type Activations, activationFiles, ROW_TEXTS } from './activation-files.ts';
import { type Files, fixtureFiles, fixtures } from './fixture-files.ts';

/** Modules of sentence-transformers on the float64 interpreter, against its own encode(): fixtures/tools/sentence_modules.py. */

vi.mock('../src/engine/webgpu-backend.ts', async original => (await import('./on-the-cpu.ts')).onTheCPU(original));

interface Expected {
  weights: string;
  texts: string[];
  calls: [{ embeddings: { shape: number[]; data: number[] } }];
}
const expectedOf = (name: string): Expected =>
  JSON.parse(readFileSync(join(fixtures, 'sentence', name, 'expected.json'), 'utf8'));
const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value)) as Uint8Array<ArrayBuffer>;
const repository = (name: string, changed: Files = {}): Files => ({
  ...fixtureFiles(`random/${expectedOf(name).weights}`),
  ...fixtureFiles(`sentence/${name}`),
  ...changed,
});

async function embeddings(files: Files, texts: string[]): Promise<{ dims: readonly number[]; data: Float32Array }> {
  const pipe = await pipeline('feature-extraction', files);
  try {
    const { dims, data } = await pipe(texts, { pooling: 'model' });
    return { dims, data: data as Float32Array };
  } finally {
    await pipe.dispose();
  }
}

/** Both sides round to float32 once, and Python's weights of the layers are summed in another order. */
function expectClose(actual: Float32Array, expected: readonly number[]): void {
  expect(actual.length).toBe(expected.length);
  const worst = Math.max(...expected.map((x, i) => Math.abs(actual[i]! - x) / (1 + Math.abs(x))));
  expect(worst).toBeLessThan(1e-5);
}

test.each(['st-layers', 'st-no-layers', 'st-residual', 'st-tokens'])('%s', async name => {
  const { texts, calls } = expectedOf(name);
  const { dims, data } = await embeddings(repository(name), texts);
  expect(dims).toEqual(calls[0].embeddings.shape);
  expectClose(data, calls[0].embeddings.data);
});

const activations: Activations = JSON.parse(readFileSync(join(fixtures, 'sentence/activations.json'), 'utf8'));
test.each(Object.keys(activations.results))('a Dense with %s', async name => {
  const { dims, data } = await embeddings(activationFiles(name, activations), ROW_TEXTS);
  expect(dims).toEqual([ROW_TEXTS.length, 3]);
  expectClose(data, activations.results[name]!);
});

test('the arguments of the config in sentence_bert_config.json come before config.json', async () => {
  const { texts, calls } = expectedOf('st-no-layers');
  for (const key of ['config_kwargs', 'config_args']) {
    const settings = json({ max_seq_length: 64, [key]: { output_hidden_states: false } });
    const config = JSON.parse(new TextDecoder().decode(fixtureFiles('sentence/st-no-layers')['config.json']));
    const changed = {
      'sentence_bert_config.json': settings,
      'config.json': json({ ...config, output_hidden_states: true }),
    };
    const { data } = await embeddings(repository('st-no-layers', changed), texts);
    expectClose(data, calls[0].embeddings.data);
  }
});

const LAYERS = '1_WeightedLayerPooling/config.json';
test.each([
  [
    'another number of layers',
    { num_hidden_layers: 2, layer_start: 0 },
    CheckpointError,
    /layer_weights" has the wrong shape/,
  ],
  [
    'layers that are not there',
    { num_hidden_layers: 12, layer_start: 4 },
    CheckpointError,
    /layers that its encoder does not have/,
  ],
  ['a start that is none', { num_hidden_layers: 2, layer_start: -1 }, SourceError, /layer_start/],
])('%s', async (_, config, type, message) => {
  const files = repository('st-layers', { [LAYERS]: json({ embedding_dimension: 48, ...config }) });
  const error = await embeddings(files, ['a']).then(
    () => undefined,
    (error: Error) => error,
  );
  expect(error).toBeInstanceOf(type);
  expect(error?.message).toMatch(message);
});
