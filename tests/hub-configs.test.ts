import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { UnsupportedError } from '../src/errors.ts';
import { MODEL_TYPES, readConfig } from '../src/model/config.ts';
import { modelTypeOf } from '../src/model/model-type.ts';

/** config.json of well-known checkpoints of the hub, as copies in public repositories have them (`origin` says which). */
interface HubConfig {
  checkpoint: string;
  /** The row of the table in docs/models.md; null: it is refused. */
  family: string | null;
  origin: string;
  note?: string;
  config: Record<string, unknown>;
}

const read = <T>(path: string): T => JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8'));
const CONFIGS = read<HubConfig[]>('fixtures/hub-configs.json');
const ROWS = Object.entries(read<Record<string, string[]>>('../docs/checkpoints.json'));

test.each(CONFIGS.filter(({ family }) => family === null))(
  '$checkpoint is refused with an encoder to take',
  ({ config }) => {
    expect(() => readConfig(config)).toThrow(UnsupportedError);
    expect(() => readConfig(config)).toThrow(/Take|take/);
  },
);

const SUPPORTED = CONFIGS.filter(({ family }) => family !== null);
describe.each(SUPPORTED)('$checkpoint', ({ checkpoint, family, config }) => {
  test(`is read as ${family}`, () => {
    expect(modelTypeOf(config, MODEL_TYPES)).toBe(family);
    const { hiddenSize, vocabSize, attentions, raw } = readConfig(config);
    expect(hiddenSize).toBe(config.hidden_size ?? config.dim ?? config.n_embd);
    expect(attentions).toHaveLength((config.num_hidden_layers ?? config.n_layers ?? config.n_layer) as number);
    expect([vocabSize, raw]).toEqual([config.vocab_size, config]);
  });

  test('stands in no other row of the table', () => {
    const rows = ROWS.filter(([, checkpoints]) => checkpoints.includes(checkpoint)).map(([row]) => row);
    expect(rows.filter(row => row !== family)).toEqual([]);
  });
});

test('what their values mean', () => {
  const configOf = (checkpoint: string) => readConfig(CONFIGS.find(entry => entry.checkpoint === checkpoint)!.config);
  // Positions begin behind the padding.
  expect(configOf('FacebookAI/roberta-base').maxPositions).toBe(512);
  expect(configOf('BAAI/bge-m3').maxPositions).toBe(8192);
  // Python sees 257 / 2 tokens to each side.
  expect(configOf('google/embeddinggemma-300m').attentions[0]!.window).toBe(128);
  expect(configOf('google/embeddinggemma-300m').attentions[5]!.window).toBeUndefined();
  expect(configOf('microsoft/deberta-v3-base').disentangled).toBeDefined();
  expect(configOf('google/mobilebert-uncased').hasTrigrams).toBe(true);
  expect(configOf('dslim/bert-base-NER').labels[1]).toBe('B-MISC');
  expect(configOf('facebook/esm2_t6_8M_UR50D').tokenDropout).toBeDefined();
  const modern = configOf('answerdotai/ModernBERT-base').attentions;
  expect(modern.map(({ window }) => window).slice(0, 4)).toEqual([undefined, 64, 64, undefined]);
  expect(configOf('jinaai/jina-embeddings-v2-base-en').hasPositionTable).toBe(false);
});
