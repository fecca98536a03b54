import { describe, expect, test } from 'vitest';
import type { ModelLocation } from '../src/checkpoint/location.ts';
import { openSource } from '../src/checkpoint/source.ts';
import { SourceError, UnsupportedError } from '../src/errors.ts';
import { readModules } from '../src/sentence.ts';
import { environment, thrown } from './source-environment.ts';

const TRANSFORMER = 'sentence_transformers.models.Transformer';
const POOLING = 'sentence_transformers.models.Pooling';
const DENSE = 'sentence_transformers.models.Dense';
const NORMALIZE = 'sentence_transformers.models.Normalize';
const MEAN = { pooling_mode: 'mean' };

const bytes = (value: unknown) => new TextEncoder().encode(JSON.stringify(value)) as Uint8Array<ArrayBuffer>;
const listed = (...types: string[]) =>
  types.map((type, idx) => ({ idx, name: `${idx}`, path: idx ? `${idx}_${type.split('.').at(-1)}` : '', type }));
const read = (files: Record<string, unknown>) =>
  readModules(
    openSource(
      Object.fromEntries(Object.entries(files).map(([name, value]) => [name, bytes(value)])) as ModelLocation,
      {},
      environment(''),
    ),
  );
const pooled = (pooling: unknown) =>
  read({ 'modules.json': listed(TRANSFORMER, POOLING), '1_Pooling/config.json': pooling });

test('none where there is no modules.json', async () => {
  expect(await read({ 'config.json': {} })).toBeUndefined();
});

test('a value of any kind in the place of a name is refused by a typed error', async () => {
  const odd = { toString: 1, valueOf: 2 };
  expect(await thrown(pooled({ pooling_mode: odd }))).toBeInstanceOf(UnsupportedError);
  const dense = (config: object) =>
    read({
      'modules.json': listed(TRANSFORMER, POOLING, DENSE),
      '1_Pooling/config.json': MEAN,
      '2_Dense/config.json': { in_features: 4, out_features: 2, ...config },
      '2_Dense/model.safetensors': 0,
    });
  expect(await thrown(dense({ module_input_name: odd }))).toBeInstanceOf(UnsupportedError);
  expect(await dense({ use_residual: false, module_input_name: null })).toMatchObject({ dense: [{ outputs: 2 }] });
});

describe('the pooling', () => {
  test.each([
    [{ embedding_dimension: 48, pooling_mode: 'mean', include_prompt: true }, 'mean'],
    [{ pooling_mode: 'cls' }, 'cls'],
    [{ pooling_mode: ['max'] }, 'max'],
    [{ pooling_mode: 'lasttoken' }, 'last'],
    [{ pooling_mode: 'cls', pooling_mode_mean_tokens: true }, 'cls'],
    [{ pooling_mode_cls_token: false, pooling_mode_mean_tokens: true }, 'mean'],
    [{ pooling_mode_cls_token: true, pooling_mode_mean_tokens: false }, 'cls'],
    [{ pooling_mode_max_tokens: true }, 'max'],
    [{ pooling_mode_lasttoken: true }, 'last'],
  ])('%o', async (config, pooling) => {
    expect(await pooled(config)).toEqual({ pooling, dense: [], files: [], normalize: false, maxLength: undefined });
  });

  test.each([
    [{ pooling_mode: 'weightedmean' }, 'weightedmean'],
    [{ pooling_mode: ['cls', 'mean'] }, 'cls and mean'],
    [{ pooling_mode: [] }, 'none'],
    [{ pooling_mode: 'constructor' }, 'constructor'],
    [{ pooling_mode_mean_tokens: true, pooling_mode_max_tokens: true }, 'mean and max'],
    [{ pooling_mode_mean_sqrt_len_tokens: true }, 'mean_sqrt_len'],
    [{ pooling_mode_mean_tokens: false }, 'none'],
  ])('%o is refused', async (config, actual) => {
    const error = await thrown(pooled(config));
    expect(error).toBeInstanceOf(UnsupportedError);
    expect(error.actual).toBe(JSON.stringify(actual));
  });
});

describe('the order of modules', () => {
  const dense = { in_features: 48, out_features: 20, activation_function: 'torch.nn.modules.linear.Identity' };
  const all = (modules: unknown, more = {}) =>
    read({
      'modules.json': modules,
      '1_Pooling/config.json': MEAN,
      '2_Dense/config.json': dense,
      '2_Dense/model.safetensors': 0,
      '3_Dense/config.json': { ...dense, in_features: 20, bias: false },
      '3_Dense/model.safetensors': 0,
      ...more,
    });

  test('a transformer, a pooling, dense layers, a normalisation', async () => {
    expect(await all(listed(TRANSFORMER, POOLING, DENSE, DENSE, NORMALIZE))).toMatchObject({
      pooling: 'mean',
      dense: [
        { outputs: 20, bias: true },
        { outputs: 20, bias: false },
      ],
      files: ['2_Dense/model.safetensors', '3_Dense/model.safetensors'],
      normalize: true,
    });
  });

  test('the module paths of 6.x', async () => {
    const modules = listed(
      'sentence_transformers.base.modules.transformer.Transformer',
      'sentence_transformers.sentence_transformer.modules.pooling.Pooling',
      'sentence_transformers.base.modules.dense.Dense',
      'sentence_transformers.base.modules.normalize.Normalize',
    );
    const named = { module_input_name: 'sentence_embedding', module_output_name: 'sentence_embedding' };
    const files = { '2_Dense/config.json': { ...dense, ...named } };
    expect(await all(modules, files)).toMatchObject({ dense: [{ outputs: 20 }], normalize: true });
  });

  test.each([
    [[], 'none'],
    [[TRANSFORMER], 'Transformer'],
    [[POOLING], 'Pooling'],
    [[TRANSFORMER, NORMALIZE, POOLING], 'Transformer, Normalize, Pooling'],
    [[TRANSFORMER, POOLING, NORMALIZE, DENSE], 'Transformer, Pooling, Normalize, Dense'],
    [[TRANSFORMER, POOLING, POOLING], 'Transformer, Pooling, Pooling'],
    [[TRANSFORMER, DENSE, POOLING], 'Transformer, Dense, Pooling'],
    [[TRANSFORMER, POOLING, 'sentence_transformers.models.LSTM'], 'Transformer, Pooling, LSTM'],
    [[TRANSFORMER, 'modeling.Pooling'], 'Transformer, modeling.Pooling'],
  ])('%j is refused', async (types, actual) => {
    const error = await thrown(all(listed(...types)));
    expect(error).toBeInstanceOf(UnsupportedError);
    expect(error.actual).toBe(actual);
  });

  test.each([{ use_residual: true }, { module_input_name: 'token_embeddings' }])(
    'a dense layer with %o',
    async more => {
      const files = { '2_Dense/config.json': { ...dense, ...more } };
      expect(await thrown(all(listed(TRANSFORMER, POOLING, DENSE), files))).toBeInstanceOf(UnsupportedError);
    },
  );
});

describe('sentence_bert_config.json', () => {
  const own = (config: unknown) =>
    read({
      'modules.json': listed(TRANSFORMER, POOLING),
      '1_Pooling/config.json': MEAN,
      'sentence_bert_config.json': config,
    });

  test('a length', async () => {
    expect(await own({ max_seq_length: 128, do_lower_case: false })).toMatchObject({ maxLength: 128 });
    expect(await own({ max_seq_length: null })).toMatchObject({ maxLength: undefined });
  });

  test('do_lower_case is refused', async () => {
    const error = await thrown(own({ max_seq_length: 128, do_lower_case: true }));
    expect(error).toBeInstanceOf(UnsupportedError);
    expect(error.message).toContain('do_lower_case');
  });
});

test.each([
  { 'modules.json': {} },
  { 'modules.json': [null] },
  { 'modules.json': [{ path: '' }] },
  { 'modules.json': listed(TRANSFORMER, POOLING) },
  { 'modules.json': listed(TRANSFORMER, POOLING), '1_Pooling/config.json': [] },
  { 'modules.json': listed(TRANSFORMER, POOLING), '1_Pooling/config.json': MEAN, 'sentence_bert_config.json': 5 },
  {
    'modules.json': listed(TRANSFORMER, POOLING, DENSE),
    '1_Pooling/config.json': MEAN,
    '2_Dense/config.json': { in_features: 48, out_features: 20 },
  },
])('missing or malformed: %j', async files => {
  expect(await thrown(read(files))).toBeInstanceOf(SourceError);
});
