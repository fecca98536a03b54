import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { CheckpointError } from '../src/errors.ts';
import { AutoModel, UnsupportedError } from '../src/index.ts';
import { readConfig } from '../src/model/config.ts';
import { distanceRows } from '../src/model/disentangled.ts';
import { preparationsOf, preparedNumbers } from '../src/model/preparation.ts';
import type { CPUBackend } from './cpu-backend.ts';
import { leftOpen } from './on-the-cpu.ts';

const { backends } = vi.hoisted(() => ({ backends: [] as CPUBackend[] }));
vi.mock('../src/engine/webgpu-backend.ts', async original =>
  (await import('./on-the-cpu.ts')).onTheCPU(original, backends),
);
afterEach(() => {
  expect(leftOpen(backends)).toEqual([]);
});

const fixture = (path: string) => fileURLToPath(new URL(`fixtures/${path}`, import.meta.url));
const V2 = JSON.parse(readFileSync(fixture('interpreter/deberta-v2-Model/config.json'), 'utf8')) as object;
const V1 = JSON.parse(readFileSync(fixture('interpreter/deberta-Model/config.json'), 'utf8')) as object;
const filesOf = (folder: string): Record<string, Uint8Array<ArrayBuffer>> =>
  Object.fromEntries(readdirSync(folder).map(file => [file, new Uint8Array(readFileSync(`${folder}/${file}`))]));

describe('the row of a distance', () => {
  interface Table {
    readonly buckets: number;
    readonly max_distance: number;
    readonly runs: readonly (readonly [row: number, length: number])[];
  }
  const tables = JSON.parse(readFileSync(fixture('deberta-distances.json'), 'utf8')) as readonly Table[];
  it.each(tables.map(table => [`${table.buckets} buckets to ${table.max_distance}`, table] as const))(
    'is that of Python, float32 logarithms and all: %s',
    (_, { buckets, max_distance: maxDistance, runs }) => {
      const expected = runs.flatMap(([row, length]) => new Array<number>(length).fill(row));
      const count = 2 * (buckets > 0 ? buckets : maxDistance);
      // Python counts query - key.
      const rows = [...distanceRows({ buckets: Math.max(0, buckets), maxDistance, count })].reverse();
      expect(rows).toEqual(expected);
      // What is farther has the row at the end.
      expect([rows[0], rows[1]]).toEqual([expected[0], expected[0]]);
    },
  );
});

describe('a config.json', () => {
  const refused = (fields: object, error: unknown) => expect(() => readConfig(fields)).toThrow(error as Error);

  it('is refused by the name of what would be computed wrong', () => {
    refused({ ...V1, talking_head: true }, UnsupportedError);
    refused({ ...V2, conv_groups: 3 }, /conv_groups/);
    refused({ ...V2, conv_kernel_size: 2 }, /conv_kernel_size/);
    refused({ ...V2, attention_head_size: 7 }, /attention_head_size/);
    refused({ ...V2, pooler_hidden_size: 16 }, /pooler_hidden_size/);
    refused({ ...V2, pooler_hidden_act: 'quick_gelu' }, /pooler_hidden_act/);
    refused({ ...V2, pos_att_type: 3 }, /pos_att_type/);
    refused({ ...V2, position_buckets: 1 }, /position_buckets/);
    refused({ ...V2, position_buckets: 22, max_relative_positions: 12 }, /position_buckets/);
    refused({ ...V2, max_relative_positions: 2 ** 18 }, /max_relative_positions/);
    refused({ ...V2, max_relative_positions: -1, max_position_embeddings: 2 ** 18 }, /max_position_embeddings/);
  });

  it('may name the terms as a text or a list', () => {
    const terms = (pos_att_type: unknown) => readConfig({ ...V2, pos_att_type }).disentangled;
    expect(terms(' C2P | p2c')).toMatchObject({ hasKeys: true, hasQueries: true, count: 16, maxDistance: 12 });
    expect(terms(['p2c'])).toMatchObject({ hasKeys: false, hasQueries: true });
    expect(terms([])).toBeUndefined();
    expect(readConfig({ ...V2, relative_attention: false }).disentangled).toBeUndefined();
  });

  it('scales by the number of products, in v1 by that of all names', () => {
    const scale = (fields: object) => readConfig(fields).attentionScale ** -2 / 5;
    expect(scale({ ...V2, pos_att_type: ['c2p', 'p2c', 'p2p'] })).toBeCloseTo(3);
    expect(scale({ ...V1, pos_att_type: ['c2p', 'p2c', 'p2p'] })).toBeCloseTo(4);
    expect(scale({ ...V2, pos_att_type: null })).toBeCloseTo(1);
  });

  it('without a table of positions allows any length', () => {
    expect(readConfig(V2).maxPositions).toBeGreaterThan(1e6);
    expect(readConfig({ ...V2, position_biased_input: true }).maxPositions).toBe(30);
  });
});

describe('keys and queries of distances', () => {
  it('stand in groups of four columns, each with all rows side by side, also from slices of an output', () => {
    const slice = (first: number, columns: number) => ({
      name: 'qkv',
      layer: undefined,
      first,
      columns,
      data: Float32Array.from({ length: 2 * columns }, (_, i) => 100 * Math.floor(i / columns) + first + (i % columns)),
    });
    const prepared = { tensor: 'x', shape: [2, 8] as const, output: 'qkv', first: 4 };
    const expected = [4, 5, 6, 7, 104, 105, 106, 107, 8, 9, 10, 11, 108, 109, 110, 111];
    expect([...preparedNumbers(prepared, [slice(0, 16)])]).toEqual(expected);
    expect([...preparedNumbers(prepared, [slice(0, 6), slice(6, 10)])]).toEqual(expected);
  });

  it('are computed once for each layer that has weights of its own', () => {
    expect(preparationsOf(readConfig(V2)).map(({ tensors }) => tensors.map(({ tensor }) => tensor))).toEqual([
      ['encoder.layer.0.attention.self.distance_queries', 'encoder.layer.0.attention.self.distance_keys'],
      ['encoder.layer.1.attention.self.distance_queries', 'encoder.layer.1.attention.self.distance_keys'],
    ]);
    expect(preparationsOf(readConfig({ ...V2, relative_attention: false }))).toEqual([]);
  });

  const inputs = { input_ids: [[5, 9, 13, 21]] };
  const bytesOf = (folder: string) => {
    const config = readConfig(JSON.parse(readFileSync(`${folder}/config.json`, 'utf8')));
    const tensors = preparationsOf(config).flatMap(made => made.tensors);
    return tensors.reduce((sum, { shape: [rows, columns] }) => sum + 4 * rows * columns, 0);
  };

  it.each(['deberta-v2-Model', 'deberta-Model'])('are weights of the model as long as it lives: %s', async name => {
    const folder = fixture(`interpreter/${name}`);
    const model = await AutoModel.from_pretrained(filesOf(folder));
    const [backend] = backends;
    // One pass for each of two layers; no call needs another.
    expect(backend!.passes).toEqual([1, 1]);
    const names = backend!.weights.names();
    expect(names.filter(tensor => tensor.includes('.distance_'))).toHaveLength(4);
    // What only they are made of stays: a training changes it.
    const sources = names.filter(tensor => /rel_embeddings|pos_(key|query)_proj|encoder\.LayerNorm/.test(tensor));
    expect(sources.length).toBeGreaterThan(0);
    const { weights } = await model.bytes();
    expect(weights).toBeGreaterThan(bytesOf(folder));
    const first = (await model(inputs)).last_hidden_state!.data;
    await model(inputs);
    expect(backend!.passes).toEqual([1, 1, 1, 1]);
    backend!.lose();
    expect([...(await model(inputs)).last_hidden_state!.data]).toEqual([...first]);
    expect(backends).toHaveLength(2);
    expect((await model.bytes()).weights).toBe(weights);
    await model.dispose();
    expect((await model.bytes()).weights).toBe(0);
  });

  it('that overflow float32 are refused with their name', async () => {
    const files = filesOf(fixture('interpreter/deberta-v2-Model'));
    const config = JSON.parse(new TextDecoder().decode(files['config.json'])) as object;
    // Without its norm the table may be as large as it likes.
    const changed = { ...config, norm_rel_ebd: 'none' };
    files['config.json'] = new TextEncoder().encode(JSON.stringify(changed));
    const file = files['model.safetensors']!;
    const view = new DataView(file.buffer);
    const headerBytes = Number(view.getBigUint64(0, true));
    const header = JSON.parse(new TextDecoder().decode(file.subarray(8, 8 + headerBytes))) as Record<
      string,
      { data_offsets: [number, number] }
    >;
    const table = Object.keys(header).find(name => name.endsWith('rel_embeddings.weight'))!;
    const [begin, end] = header[table]!.data_offsets;
    for (let at = begin; at < end; at += 4) view.setFloat32(8 + headerBytes + at, 3e38, true);
    await expect(AutoModel.from_pretrained(files)).rejects.toThrow(CheckpointError);
    await expect(AutoModel.from_pretrained(files)).rejects.toThrow(/layer\.0\.attention\.self\.distance_/);
  });
});
