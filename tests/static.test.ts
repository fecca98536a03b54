import { expect, test, vi } from 'vitest';
import { CheckpointError, UnsupportedError } from '../src/errors.ts';
import { AutoModel, pipeline } from '../src/index.ts';
import { safetensors } from './checkpoint-bytes.ts';
import { type Files, fixtureFiles } from './fixture-files.ts';
import { thrown } from './source-environment.ts';

/** Models without layers, on the float64 interpreter: model2vec and StaticEmbedding. */

vi.mock('../src/engine/webgpu-backend.ts', async original => (await import('./on-the-cpu.ts')).onTheCPU(original));

const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value)) as Uint8Array<ArrayBuffer>;
const parsed = (bytes: Uint8Array) => JSON.parse(new TextDecoder().decode(bytes));

const bytes = (values: Float32Array | BigInt64Array) => new Uint8Array(values.slice().buffer as ArrayBuffer);
/** A table of three rows for five tokens, of which the first is unknown. */
const tiny = (mapping = [0, 1, 2, 1, 0]): Files => ({
  'config.json': json({ model_type: 'model2vec', normalize: false, max_length: 3 }),
  'tokenizer.json': json({
    model: {
      type: 'WordPiece',
      unk_token: '[UNK]',
      continuing_subword_prefix: '##',
      max_input_chars_per_word: 100,
      vocab: { '[UNK]': 0, a: 1, b: 2, c: 3, dd: 4 },
    },
    pre_tokenizer: { type: 'Whitespace' },
    normalizer: null,
    post_processor: null,
    decoder: null,
    added_tokens: [],
  }),
  'model.safetensors': safetensors({
    embeddings: { dtype: 'F32', shape: [3, 2], bytes: bytes(Float32Array.of(1, 10, 2, 20, 3, 30)) },
    mapping: { dtype: 'I64', shape: [5], bytes: bytes(BigInt64Array.from(mapping, BigInt)) },
    weights: { dtype: 'F32', shape: [5], bytes: bytes(Float32Array.of(1, 1, 2, 3, 4)) },
  }),
});

test('rows by the mapping, times the weights of the tokens; unknown tokens do not count', async () => {
  const config = json({ model_type: 'model2vec' });
  const embed = await pipeline('feature-extraction', { ...tiny(), 'config.json': config });
  const rows = async (texts: string | string[], options = {}) => (await embed(texts, options)).tolist();
  // a: 1 row 1, b: 2 row 2, c: 3 row 1, dd: 4 row 0
  expect(await rows(['a', 'b', 'c', 'dd'], { pooling: 'mean' })).toEqual([
    [2, 20],
    [6, 60],
    [6, 60],
    [4, 40],
  ]);
  expect(await rows('a zzz b', { pooling: 'mean' })).toEqual([[4, 40]]);
  expect(await rows('a zzz b')).toEqual([
    [
      [2, 20],
      [6, 60],
    ],
  ]);
  await embed.dispose();
});

test('a text without tokens is a row of zeros, whatever the pooling, and no row without one', async () => {
  const embed = await pipeline('feature-extraction', tiny());
  for (const pooling of ['mean', 'cls', 'max', 'last_token', 'model'] as const) {
    for (const overflow of ['truncate', 'window'] as const) {
      const out = await embed(['', 'zzz', 'a'], { pooling, overflow });
      expect(out.tolist(), pooling).toEqual([
        [0, 0],
        [0, 0],
        [2, 20],
      ]);
    }
  }
  expect((await embed(['', 'a'])).tolist()).toEqual([[[0, 0]], [[2, 20]]]);
  expect((await embed('')).dims).toEqual([1, 0, 2]);
  await embed.dispose();
});

test('max_length counts tokens, unknown ones too, and characters by the median length of a token', async () => {
  const embed = await pipeline('feature-extraction', tiny());
  const out = await embed(['a a a', 'zzz b b b', `${'a'.repeat(3)} b`], { pooling: 'mean' });
  // The lengths are 5, 1, 1, 1, 2: of the second text "zzz" is left, of the third its first three characters.
  expect(out.tolist()[1]).toEqual([0, 0]);
  expect(out.truncated).toEqual([true, true, true]);
  const windows = await embed(['a b c dd', 'zzz b'], { pooling: 'mean', overflow: 'window' });
  expect(windows.tolist()).toEqual([
    [4.5, 45],
    [6, 60],
  ]);
  expect(windows.truncated).toEqual([false, false]);
  await embed.dispose();
  const config = json({ model_type: 'model2vec', max_length: null });
  const unlimited = await pipeline('feature-extraction', { ...tiny(), 'config.json': config });
  expect((await unlimited('a b c dd '.repeat(50), { pooling: 'model' })).tolist()).toEqual([[4.5, 45]]);
  await unlimited.dispose();
});

test('config.json says whether rows are scaled where there is no modules.json', async () => {
  const config = json({ model_type: 'model2vec', normalize: true });
  const embed = await pipeline('feature-extraction', { ...tiny(), 'config.json': config });
  const [row] = (await embed('a', { pooling: 'model' })).tolist() as number[][];
  expect(Math.hypot(...row!)).toBeCloseTo(1, 6);
  expect((await embed('a', { pooling: 'mean' })).tolist()).toEqual([[2, 20]]);
  await embed.dispose();
});

test('a mapping to rows that are not there, other types and shapes are refused', async () => {
  for (const mapping of [
    [0, 1, 3, 1, 0],
    [0, 1, -1, 1, 0],
  ]) {
    const error = await thrown(pipeline('feature-extraction', tiny(mapping)));
    expect(error).toBeInstanceOf(CheckpointError);
    expect(error.message).toContain('mapping');
  }
  const table = (dtype: string, shape: number[], size: number) => ({
    ...tiny(),
    'model.safetensors': safetensors({ embeddings: { dtype, shape, bytes: new Uint8Array(size) } }),
  });
  for (const files of [table('I8', [5, 2], 10), table('F32', [5], 20), table('F32', [5, 1, 2], 40)]) {
    expect(await thrown(pipeline('feature-extraction', files))).toBeInstanceOf(CheckpointError);
  }
});

test('a StaticEmbedding keeps unknown tokens, and cuts where tokenizer.json says', async () => {
  const embed = await pipeline('feature-extraction', fixtureFiles('sentence/st-static'));
  const long = 'Paris is the capital of France. '.repeat(200);
  expect((await embed(long, { pooling: 'model' })).truncated).toEqual([false]);
  const unknown = (await embed('☃', { pooling: 'model' })).tolist() as number[][];
  expect(unknown[0]!.some(Boolean)).toBe(true);
  await embed.dispose();
  const again = fixtureFiles('sentence/st-static');
  const tokenizer = parsed(again['tokenizer.json']!);
  tokenizer.truncation = { max_length: 3, strategy: 'LongestFirst', stride: 0, direction: 'Right' };
  const cut = await pipeline('feature-extraction', { ...again, 'tokenizer.json': json(tokenizer) });
  const out = await cut(long);
  expect([out.dims, out.truncated]).toEqual([[1, 3, 24], [true]]);
  await cut.dispose();
});

test('the class that tokenizer_config.json names does not count', async () => {
  const config = json({ tokenizer_class: 'BertTokenizer', do_lower_case: true, model_max_length: 2 });
  const embed = await pipeline('feature-extraction', { ...tiny(), 'tokenizer_config.json': config });
  // In lower case they would be known.
  expect((await embed('A B', { pooling: 'mean' })).tolist()).toEqual([[0, 0]]);
  await embed.dispose();
});

test('other tasks and AutoModel refuse a static model', async () => {
  expect(await thrown(AutoModel.from_pretrained(tiny()))).toBeInstanceOf(UnsupportedError);
  expect(await thrown(pipeline('text-classification', tiny()))).toBeInstanceOf(UnsupportedError);
});
