import { describe, expect, test } from 'vitest';
import type { ModelLocation } from '../src/checkpoint/source/location.ts';
import { openSource } from '../src/checkpoint/source/source.ts';
import { openSentence } from '../src/engine/sentence-files.ts';
import type { ModelKind } from '../src/engine/sentence-settings.ts';
import { SourceError, UnsupportedError } from '../src/errors.ts';
import { environment, thrown } from './source-environment.ts';

const TRANSFORMER = 'sentence_transformers.models.Transformer';
const POOLING = 'sentence_transformers.models.Pooling';
const DENSE = 'sentence_transformers.models.Dense';
const NORMALIZE = 'sentence_transformers.models.Normalize';
const MEAN = { pooling_mode: 'mean' };

const bytes = (value: unknown) => new TextEncoder().encode(JSON.stringify(value)) as Uint8Array<ArrayBuffer>;
const listed = (...types: string[]) =>
  types.map((type, idx) => ({ idx, name: `${idx}`, path: idx ? `${idx}_${type.split('.').at(-1)}` : '', type }));
const open = (files: Record<string, unknown>, kind?: ModelKind) =>
  openSentence(
    openSource(
      Object.fromEntries(Object.entries(files).map(([name, value]) => [name, bytes(value)])) as ModelLocation,
      {},
      environment(''),
    ),
    kind,
  );
const read = (files: Record<string, unknown>) => open(files).modules;
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
  expect(await dense({ use_residual: false, module_input_name: null })).toMatchObject({
    rowSteps: [{ outputs: 2, residual: 'none' }],
  });
});

describe('the pooling', () => {
  test.each([
    [{ embedding_dimension: 48, pooling_mode: 'mean', include_prompt: true }, ['mean']],
    [{ pooling_mode: 'cls' }, ['cls']],
    [{ pooling_mode: ['max'] }, ['max']],
    [{ pooling_mode: 'lasttoken' }, ['last']],
    [{ pooling_mode: 'weightedmean' }, ['weighted']],
    [{ pooling_mode: 'mean_sqrt_len_tokens' }, ['mean_sqrt']],
    [{ pooling_mode: ['mean', 'cls', 'weightedmean'] }, ['mean', 'cls', 'weighted']],
    [{ pooling_mode: 'cls', pooling_mode_mean_tokens: true }, ['cls']],
    [{ pooling_mode_cls_token: false, pooling_mode_mean_tokens: true }, ['mean']],
    [{ pooling_mode_cls_token: true, pooling_mode_mean_tokens: false }, ['cls']],
    [{ pooling_mode_max_tokens: true }, ['max']],
    [{ pooling_mode_lasttoken: true }, ['last']],
    [{ pooling_mode_mean_sqrt_len_tokens: true }, ['mean_sqrt']],
    [{ pooling_mode_weightedmean_tokens: true }, ['weighted']],
    // Several flags are joined in the order of sentence-transformers, not that of the file; none is the mean.
    [{ pooling_mode_mean_tokens: true, pooling_mode_max_tokens: true }, ['max', 'mean']],
    [
      { pooling_mode_lasttoken: true, pooling_mode_weightedmean_tokens: true, pooling_mode_cls_token: true },
      ['cls', 'weighted', 'last'],
    ],
    [{ pooling_mode_mean_tokens: false }, ['mean']],
    [{ word_embedding_dimension: 48 }, ['mean']],
  ])('%o', async (config, pooling) => {
    expect(await pooled(config)).toEqual({
      pooling,
      includePrompt: true,
      tokenSteps: [],
      rowSteps: [],
      files: [],
      normalize: false,
    });
  });

  test('a prompt that is left out', async () => {
    expect(await pooled({ ...MEAN, include_prompt: false })).toMatchObject({ includePrompt: false });
  });

  test.each([
    [{ pooling_mode: ['cls', 'median'] }, 'median'],
    [{ pooling_mode: [] }, 'none'],
    [{ pooling_mode: null }, 'null'],
    [{ pooling_mode: 'constructor' }, 'constructor'],
    [{ pooling_mode_mean_tokens: true, pooling_mode_median_tokens: true }, 'median'],
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
      pooling: ['mean'],
      tokenSteps: [],
      rowSteps: [
        { step: 'dense', from: 'sentence.2', outputs: 20, bias: true, residual: 'none' },
        { step: 'dense', from: 'sentence.3', outputs: 20, bias: false, residual: 'none' },
      ],
      files: [
        { from: 'sentence.2', file: '2_Dense/model.safetensors' },
        { from: 'sentence.3', file: '3_Dense/model.safetensors' },
      ],
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
    expect(await all(modules, files)).toMatchObject({ rowSteps: [{ outputs: 20 }], normalize: true });
  });

  test.each([
    [[], 'none'],
    [[TRANSFORMER], 'Transformer'],
    [[POOLING], 'Pooling'],
    [[TRANSFORMER, 'sentence_transformers.models.Dropout'], 'Transformer, Dropout'],
    [[TRANSFORMER, POOLING, TRANSFORMER], 'Transformer, Pooling, Transformer'],
    [[TRANSFORMER, POOLING, 'sentence_transformers.models.LSTM'], 'Transformer, Pooling, LSTM'],
    [[TRANSFORMER, POOLING, 'constructor'], 'Transformer, Pooling, constructor'],
    [[TRANSFORMER, 'modeling.Pooling'], 'Transformer, modeling.Pooling'],
  ])('%j is refused', async (types, actual) => {
    const error = await thrown(all(listed(...types)));
    expect(error).toBeInstanceOf(UnsupportedError);
    expect(error.actual).toBe(actual);
  });

  const LAYER_NORM = 'sentence_transformers.models.LayerNorm';
  const DROPOUT = 'sentence_transformers.models.Dropout';
  /** Every module in a folder by its number, with the files that any of them reads. */
  const chain = (...list: (string | [type: string, config: object])[]) => {
    const modules = list.map(entry => (typeof entry === 'string' ? ([entry, {}] as const) : entry));
    const files = modules.flatMap(([, config], i) => [
      [`${i + 1}/config.json`, { in_features: 48, out_features: 48, dimension: 48, pooling_mode: 'mean', ...config }],
      [`${i + 1}/model.safetensors`, 0],
    ]);
    const types = [TRANSFORMER, ...modules.map(([type]) => type)];
    const entries = types.map((type, idx) => ({ idx, name: `${idx}`, path: idx ? `${idx}` : '', type }));
    return read({ 'modules.json': entries, ...Object.fromEntries(files) });
  };
  const ON_TOKENS = { module_input_name: 'token_embeddings' };
  const BASE_NORMALIZE = 'sentence_transformers.base.modules.normalize.Normalize';

  test('any order after the pooling', async () => {
    expect(await chain(POOLING, NORMALIZE, DROPOUT, DENSE, LAYER_NORM, NORMALIZE, DROPOUT)).toMatchObject({
      rowSteps: [
        { step: 'normalize' },
        { step: 'dense', from: 'sentence.4', activation: 'tanh' },
        { step: 'layerNorm', from: 'sentence.5' },
      ],
      normalize: true,
      files: [
        { from: 'sentence.4', file: '4/model.safetensors' },
        { from: 'sentence.5', file: '5/model.safetensors' },
      ],
    });
    expect(await chain(POOLING, NORMALIZE, LAYER_NORM)).toMatchObject({ normalize: false });
  });

  test('on the tokens: before the pooling it counts, after the last one it does not', async () => {
    const onTokens = { ...ON_TOKENS, module_output_name: 'token_embeddings', out_features: 8 };
    expect(await chain([DENSE, onTokens], [BASE_NORMALIZE, ON_TOKENS], POOLING, [DENSE, ON_TOKENS])).toMatchObject({
      tokenSteps: [{ step: 'dense', from: 'sentence.1', outputs: 8 }, { step: 'normalize' }],
      rowSteps: [],
      normalize: false,
      files: [{ from: 'sentence.1' }],
    });
    // A second pooling replaces the first, and what followed that.
    expect(await chain(POOLING, DENSE, [DENSE, ON_TOKENS], [POOLING, { pooling_mode: 'cls' }])).toMatchObject({
      tokenSteps: [{ from: 'sentence.3' }],
      pooling: ['cls'],
      rowSteps: [],
      files: [{ from: 'sentence.3' }],
    });
    // Without the feature that it reads, a Normalize does nothing.
    expect(await chain(NORMALIZE, POOLING)).toMatchObject({ tokenSteps: [], rowSteps: [], normalize: false });
  });

  test('activations are classes of torch.nn that need no argument', async () => {
    const activation = (activation_function: string) => chain(POOLING, [DENSE, { activation_function }]);
    expect(await activation('torch.nn.modules.activation.LogSigmoid')).toMatchObject({
      rowSteps: [{ activation: 'logsigmoid' }],
    });
    expect(await activation('torch.nn.modules.linear.Identity')).toMatchObject({
      rowSteps: [{ activation: undefined }],
    });
    for (const name of ['PReLU', 'GLU', 'Softmax', 'constructor']) {
      const error = await thrown(activation(`torch.nn.modules.activation.${name}`));
      expect(error).toBeInstanceOf(UnsupportedError);
      expect(error.message).toContain(name);
    }
    // Python would take Tanh.
    expect(await thrown(activation('transformers.activations.GELUActivation'))).toBeInstanceOf(UnsupportedError);
  });

  test('a residual: the input itself, or projected to the number of outputs', async () => {
    const residual = { use_residual: true };
    expect(await chain(POOLING, [DENSE, residual], [DENSE, { ...residual, out_features: 8 }])).toMatchObject({
      rowSteps: [{ residual: 'identity' }, { residual: 'projected', outputs: 8 }],
    });
  });

  test('a row that is read before there is one, and features that are none', async () => {
    const wrong = [
      chain(DENSE, POOLING),
      chain(LAYER_NORM, POOLING),
      chain(POOLING, [DENSE, { module_input_name: 'all_layer_embeddings' }]),
      chain(POOLING, [DENSE, { module_output_name: 'scores' }]),
      chain([DENSE, { ...ON_TOKENS, module_output_name: 'sentence_embedding' }], POOLING),
      chain(POOLING, [BASE_NORMALIZE, { ...ON_TOKENS, module_output_name: 'sentence_embedding' }]),
    ];
    for (const error of await Promise.all(wrong.map(thrown))) expect(error).toBeInstanceOf(UnsupportedError);
  });
});

describe('the settings of the transformer', () => {
  const own = (files: Record<string, unknown>) =>
    open({ 'modules.json': listed(TRANSFORMER, POOLING), '1_Pooling/config.json': MEAN, ...files }).settings;

  test('a length, and lower case', async () => {
    const config = (json: unknown) => own({ 'sentence_bert_config.json': json });
    expect(await config({ max_seq_length: 128, do_lower_case: false })).toMatchObject({
      maxLength: 128,
      lowerCase: false,
    });
    expect(await config({ max_seq_length: null })).toMatchObject({ maxLength: undefined });
    expect(await config({ do_lower_case: true })).toMatchObject({ lowerCase: true });
    for (const name of ['tokenizer_args', 'processor_kwargs']) {
      const both = { max_seq_length: 128, [name]: { model_max_length: 64 } };
      expect(await config(both)).toMatchObject({ maxLength: 64 });
    }
    expect(await own({})).toMatchObject({ maxLength: undefined, lowerCase: false });
  });

  test.each(['roberta', 'distilbert', 'camembert', 'albert', 'xlm-roberta', 'xlnet'])(
    'sentence_%s_config.json',
    async name => {
      expect(await own({ [`sentence_${name}_config.json`]: { max_seq_length: 4 } })).toMatchObject({ maxLength: 4 });
    },
  );

  test('the first that is there and not empty', async () => {
    const all = {
      'sentence_bert_config.json': {},
      'sentence_xlnet_config.json': { max_seq_length: 5 },
      'sentence_distilbert_config.json': { max_seq_length: 4 },
    };
    expect(await own(all)).toMatchObject({ maxLength: 4 });
    expect(await own({ ...all, 'sentence_bert_config.json': { max_seq_length: 3 } })).toMatchObject({ maxLength: 3 });
  });

  test.each([5, [], { do_lower_case: 'yes' }])('malformed: %j', async config => {
    const error = await thrown(own({ 'sentence_bert_config.json': config }));
    expect(error).toBeInstanceOf(SourceError);
    expect(error.message).toContain('sentence_bert_config.json');
  });

  test('of a transformer in a folder', async () => {
    const modules = listed(TRANSFORMER, POOLING).map(module => ({ ...module, path: module.path || './0_BERT/' }));
    const files = open({
      'modules.json': modules,
      '1_Pooling/config.json': MEAN,
      'sentence_bert_config.json': { max_seq_length: 3 },
      '0_BERT/sentence_roberta_config.json': { max_seq_length: 7 },
    });
    expect(await files.folder).toBe('0_BERT');
    expect(await files.settings).toMatchObject({ maxLength: 7 });
  });

  test.each(['.', './'])('of a transformer in the folder %j, which is the model’s own', async path => {
    const modules = listed(TRANSFORMER, POOLING).map(module => ({ ...module, path: module.path || path }));
    const files = open({ 'modules.json': modules, '1_Pooling/config.json': MEAN });
    expect(await files.folder).toBe('');
  });
});

describe('config_sentence_transformers.json', () => {
  const CONFIG = 'config_sentence_transformers.json';
  const own = (config: unknown, kind?: ModelKind) =>
    open({ 'modules.json': listed(TRANSFORMER), ...(config === undefined ? {} : { [CONFIG]: config }) }, kind).settings;

  test('prompts, their default, the similarity and the columns', async () => {
    const config = {
      model_type: 'SentenceTransformer',
      prompts: { query: 'query: ', passage: 'passage: ', none: null },
      default_prompt_name: 'query',
      similarity_fn_name: 'dot',
      truncate_dim: 64,
    };
    expect(await own(config)).toMatchObject({
      prompts: { query: 'query: ', document: '', passage: 'passage: ', none: '' },
      defaultPrompt: 'query',
      similarity: 'dot',
      truncateDim: 64,
    });
  });

  test.each([
    undefined,
    {},
    { prompts: null, default_prompt_name: null, similarity_fn_name: 'maxsim', truncate_dim: null },
  ])('the usual: %o', async config => {
    const usual = { prompts: { query: '', document: '' }, similarity: 'cosine' };
    expect(await own(config)).toMatchObject({ ...usual, defaultPrompt: undefined, truncateDim: undefined });
  });

  test('of a cross-encoder', async () => {
    const config = { model_type: 'CrossEncoder', prompts: { ask: 'ask: ' }, activation_fn: 'torch.nn.Sigmoid' };
    const wanted = { prompts: { ask: 'ask: ' }, activation: 'torch.nn.Sigmoid' };
    expect(await own(config, 'CrossEncoder')).toMatchObject(wanted);
    // Of another kind of model it says nothing, as in Python.
    expect(await own(config)).toMatchObject({ prompts: { query: '', document: '' }, activation: undefined });
    expect(await own({ ...config, model_type: undefined }, 'CrossEncoder')).toMatchObject({ prompts: {} });
  });

  test.each([
    { prompts: [] },
    { prompts: { query: 5 } },
    { default_prompt_name: 'ask' },
    { default_prompt_name: 'toString' },
    { truncate_dim: 0 },
  ])('malformed: %j', async config => {
    const error = await thrown(own(config));
    expect(error).toBeInstanceOf(SourceError);
    expect(error.message).toContain(CONFIG);
  });

  test('modules that are not built do not hide the prompts', async () => {
    const files = open({ 'modules.json': listed('modeling.Own', POOLING), [CONFIG]: { prompts: { query: 'q: ' } } });
    expect(await files.settings).toMatchObject({ prompts: { query: 'q: ' } });
    expect(await thrown(files.modules)).toBeInstanceOf(UnsupportedError);
  });
});

test('of a cross-encoder any module but the transformer is refused', async () => {
  const modules = (...types: string[]) => {
    const config = { model_type: 'CrossEncoder' };
    const files = { 'modules.json': listed(...types), 'config_sentence_transformers.json': config };
    return open(files, 'CrossEncoder').modules;
  };
  expect(await modules(TRANSFORMER)).toBeUndefined();
  const error = await thrown(modules(TRANSFORMER, DENSE));
  expect(error).toBeInstanceOf(UnsupportedError);
  expect(error.actual).toBe('Transformer, Dense');
});

test('files of an embedder say nothing of a cross-encoder', async () => {
  const files = open(
    { 'modules.json': listed(TRANSFORMER, POOLING), 'sentence_bert_config.json': { max_seq_length: 4 } },
    'CrossEncoder',
  );
  expect(await files.modules).toBeUndefined();
  expect(await files.settings).toMatchObject({ maxLength: undefined, prompts: {} });
});

test('asks for no file that is not needed, and for each once', async () => {
  const asked: string[] = [];
  const files: Record<string, unknown> = {
    'modules.json': listed(TRANSFORMER, POOLING, NORMALIZE),
    '1_Pooling/config.json': MEAN,
    'sentence_bert_config.json': { max_seq_length: 4 },
  };
  const source = {
    name: 'counted',
    open: async () => undefined,
    json: async (file: string) => {
      asked.push(file);
      return files[file];
    },
  };
  const opened = openSentence(source);
  await Promise.all([opened.modules, opened.settings]);
  expect(asked.sort()).toEqual([...Object.keys(files), 'config_sentence_transformers.json'].sort());
  asked.length = 0;
  files['modules.json'] = undefined;
  const none = openSentence(source);
  expect(await Promise.all([none.modules, none.folder])).toEqual([undefined, '']);
  expect(await none.settings).toMatchObject({ prompts: { query: '', document: '' } });
  expect(asked).toEqual(['modules.json']);
});

test.each([
  { 'modules.json': {} },
  { 'modules.json': [null] },
  { 'modules.json': [{ path: '' }] },
  { 'modules.json': listed(TRANSFORMER, POOLING) },
  { 'modules.json': listed(TRANSFORMER, POOLING), '1_Pooling/config.json': [] },
  { 'modules.json': listed(TRANSFORMER, POOLING), '1_Pooling/config.json': { ...MEAN, include_prompt: 'no' } },
  {
    'modules.json': listed(TRANSFORMER, POOLING, DENSE),
    '1_Pooling/config.json': MEAN,
    '2_Dense/config.json': { in_features: 48, out_features: 20 },
  },
])('missing or malformed: %j', async files => {
  expect(await thrown(read(files))).toBeInstanceOf(SourceError);
});
