import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { openCheckpoint } from '../src/checkpoint/file/checkpoint.ts';
import { matchTensors } from '../src/checkpoint/file/match.ts';
import { tensorFinder } from '../src/checkpoint/file/names.ts';
import { CheckpointError } from '../src/errors.ts';
import { readConfig } from '../src/model/config.ts';
import { encoderGraph } from '../src/model/encoder.ts';
import { plan } from '../src/plan/plan.ts';
import { GPU } from './caps.ts';
import { fakeSource, withHeader } from './checkpoint-bytes.ts';

interface Entry {
  dtype: string;
  shape: number[];
  data_offsets: [number, number];
}

/** A masked-LM fixture with its tensors under other names; what `rename` gives nothing for keeps its own. */
function renamed(fixture: string, rename: (name: string) => string | undefined, metadata: object = {}) {
  const folder = new URL(`fixtures/random/${fixture}/`, import.meta.url);
  const config: Record<string, unknown> = JSON.parse(readFileSync(new URL('config.json', folder), 'utf8'));
  const file = readFileSync(new URL('model.safetensors', folder));
  const length = Number(file.readBigUInt64LE(0));
  const { __metadata__: _, ...tensors } = JSON.parse(file.toString('utf8', 8, 8 + length)) as Record<string, Entry>;
  const entries = Object.entries(tensors).map(([name, entry]) => [rename(name) ?? name, entry]);
  const header = JSON.stringify({ __metadata__: { format: 'pt', ...metadata }, ...Object.fromEntries(entries) });
  return { config, bytes: withHeader(header, file.subarray(8 + length)) };
}

/** By canonical name, where in its file each tensor of the masked-LM model begins. */
async function placesOf(raw: object, bytes: Uint8Array): Promise<Map<string, number>> {
  const config = readConfig(raw);
  const checkpoint = await openCheckpoint(fakeSource({ 'model.safetensors': bytes }));
  const { weights } = plan(encoderGraph(config, { lastHiddenState: true, head: { kind: 'MaskedLM' } }), { caps: GPU });
  const wanted = weights.flatMap(({ parts }) => parts);
  const places = new Map<string, number>();
  for (const [name, served] of matchTensors(wanted, tensorFinder(checkpoint, config))) {
    for (const canonical of served.keys()) places.set(canonical, checkpoint.tensors.get(name)!.byteOffset);
  }
  expect(places.size).toBe(new Set(wanted.map(({ tensor }) => tensor)).size);
  return places;
}

/** Of every family with a masked-LM fixture: the word table, the decoder's weight that is tied to it, and the bias's two names. */
const FAMILIES: [fixture: string, table: string, decoder: string, bias: string, twin: string | undefined][] = [
  ['bert-masked-lm', 'bert', 'cls.predictions.decoder', 'cls.predictions.bias', 'cls.predictions.decoder.bias'],
  ['bert-pretraining', 'bert', 'cls.predictions.decoder', 'cls.predictions.bias', 'cls.predictions.decoder.bias'],
  ['roberta-masked-lm', 'roberta', 'lm_head.decoder', 'lm_head.bias', 'lm_head.decoder.bias'],
  ['camembert-masked-lm', 'roberta', 'lm_head.decoder', 'lm_head.bias', 'lm_head.decoder.bias'],
  ['mpnet-masked-lm', 'mpnet', 'lm_head.decoder', 'lm_head.bias', 'lm_head.decoder.bias'],
  ['albert-masked-lm', 'albert', 'predictions.decoder', 'predictions.bias', 'predictions.decoder.bias'],
  ['distilbert-masked-lm', 'distilbert', 'vocab_projector', 'vocab_projector.bias', undefined],
  ['electra-masked-lm', 'electra', 'generator_lm_head', 'generator_lm_head.bias', undefined],
];

describe.each(FAMILIES)('%s, shared tensors under one name', (fixture, top, decoder, bias, twin) => {
  const table = `${top}.embeddings.word_embeddings.weight`;
  const original = renamed(fixture, () => undefined);

  test.each([true, false])('the decoder has kept the word table (told by metadata: %s)', async told => {
    const { config, bytes } = renamed(
      fixture,
      name => (name === table ? `${decoder}.weight` : undefined),
      told ? { [table]: `${decoder}.weight` } : {},
    );
    expect(await placesOf(config, bytes)).toEqual(await placesOf(original.config, original.bytes));
  });

  test('the bias of the vocabulary under its other name, where the family has two', async () => {
    const { config, bytes } = renamed(fixture, name => (name === bias ? (twin ?? bias) : undefined));
    expect(await placesOf(config, bytes)).toEqual(await placesOf(original.config, original.bytes));
  });

  test('one level deeper, the prefix found without the word table', async () => {
    const { config, bytes } = renamed(fixture, name => `model.${name === table ? `${decoder}.weight` : name}`);
    expect(await placesOf(config, bytes)).toEqual(await placesOf(original.config, original.bytes));
  });

  test('not tied: the decoder stands for the word table only where the file says so', async () => {
    const { config, bytes } = renamed(fixture, name => (name === table ? `${decoder}.weight` : undefined));
    const untied = { ...config, tie_word_embeddings: false };
    await expect(placesOf(untied, bytes)).rejects.toThrow(CheckpointError);
    await expect(placesOf(untied, bytes)).rejects.toThrow('lacks the tensor "embeddings.word_embeddings.weight"');
    await expect(placesOf(untied, original.bytes)).rejects.toThrow('lacks the tensor "cls.predictions.decoder.weight"');
    const said = renamed(fixture, () => undefined, { [`${decoder}.weight`]: table });
    const places = await placesOf(untied, said.bytes);
    expect(places.get('cls.predictions.decoder.weight')).toBe(places.get('embeddings.word_embeddings.weight'));
  });
});

describe('names that metadata says were left out', () => {
  const query = (layer: number) => `bert.encoder.layer.${layer}.attention.self.query.weight`;

  test('any tensor may be shared', async () => {
    const original = renamed('bert-masked-lm', () => undefined);
    const { config, bytes } = renamed('bert-masked-lm', name => (name === query(1) ? 'kept.elsewhere' : undefined), {
      [query(1)]: 'kept.elsewhere',
    });
    expect(await placesOf(config, bytes)).toEqual(await placesOf(original.config, original.bytes));
  });

  test('a tensor of the file goes before what metadata says, and a name that no tensor has is no name', async () => {
    const original = renamed('bert-masked-lm', () => undefined);
    const { bytes } = renamed('bert-masked-lm', () => undefined, { [query(0)]: query(1), [query(1)]: 'none' });
    expect(await placesOf(original.config, bytes)).toEqual(await placesOf(original.config, original.bytes));
    const { leftOut } = await openCheckpoint(fakeSource({ 'model.safetensors': bytes }));
    expect([...leftOut]).toEqual([]);
  });

  test('another shape is refused', async () => {
    const table = 'bert.embeddings.word_embeddings.weight';
    const { config, bytes } = renamed('bert-masked-lm', name => (name === table ? 'other' : undefined), {
      [table]: query(0),
    });
    await expect(placesOf(config, bytes)).rejects.toThrow(/has the wrong shape/);
  });
});

test('of several encoders the one nearest to the top, also where only a deeper one has its word table', () => {
  const info = (name: string) => ({ name, dtype: 'F32', shape: [1], byteOffset: 0, byteLength: 4, file: 'f' });
  const names = [
    'teacher.model.roberta.embeddings.word_embeddings.weight',
    'teacher.model.roberta.encoder.layer.0.attention.self.query.weight',
    'lm_head.decoder.weight',
    'roberta.encoder.layer.0.attention.self.query.weight',
    'roberta.embeddings.LayerNorm.weight',
  ];
  const tensors = new Map(names.map(name => [name, info(name)]));
  const find = tensorFinder({ tensors, leftOut: new Map() }, { modelType: 'roberta', tiedDecoder: true, headSize: 4 });
  expect(find('embeddings.LayerNorm.weight')?.name).toBe('roberta.embeddings.LayerNorm.weight');
  expect(find('embeddings.word_embeddings.weight')?.name).toBe('lm_head.decoder.weight');
});
