import { type Activations, activationFiles, ROW_TEXTS } from '../../tests/activation-files.ts';
import { safetensors } from '../../tests/checkpoint-bytes.ts';
import * as reference from '../../tests/reference.ts';
import { load } from '../answers.ts';
import { floats } from '../checkpoint-edit.ts';
import { random } from '../dispatch.ts';
import { takeCounts } from '../gpu-watch.ts';
import { check, expect, expectClose, expectEqual, expectThrows } from '../harness.ts';
import { addressOf, fetchFiles, fetchJson, library } from '../library.ts';

/**
 * Checkpoints that sentence-transformers saved, against what its own encode() and rank() give in float64: see
 * tests/fixtures/sentence/README.md.
 */
interface Numbers {
  shape: number[];
  data: number[];
}
interface Expected {
  /** The fixture of tests/fixtures/random whose weights and tokenizer these are; none where the folder has its own. */
  weights?: string;
  texts: string[];
  calls: {
    options: { prompt_name?: string; prompt?: string };
    embeddings?: Numbers;
    query?: string;
    documents?: string[];
    rank?: { corpus_id: number; score: number }[];
  }[];
}

/** Beside the files of every checkpoint. */
const FILES: Record<string, string[]> = {
  'st-cls': ['1_Pooling/config.json'],
  'st-max': ['1_Pooling/config.json'],
  'st-weightedmean': ['1_Pooling/config.json'],
  'st-mean_sqrt_len_tokens': ['1_Pooling/config.json'],
  'st-several-poolings': ['1_Pooling/config.json'],
  'st-last-token': ['1_Pooling/config.json', '2_Normalize/config.json'],
  'st-prompts': ['1_Pooling/config.json', '2_Normalize/config.json'],
  'st-prompt-left-out': ['1_Pooling/config.json'],
  'st-dense': ['1_Pooling/config.json', '4_Normalize/config.json', ...['2_Dense', '3_Dense'].flatMap(inDense)],
  'st-layers': [...inDense('1_WeightedLayerPooling'), '2_Pooling/config.json'],
  'st-no-layers': [...inDense('1_WeightedLayerPooling'), '2_Pooling/config.json'],
  'st-residual': [
    '1_Pooling/config.json',
    ...['2_Dense', '3_LayerNorm', '4_Dense'].flatMap(inDense),
    '5_Normalize/config.json',
  ],
  'st-tokens': [...inDense('1_Dense'), '2_Pooling/config.json', ...inDense('3_LayerNorm')],
  'cross-sigmoid': [],
  'cross-identity': [],
};
/** All files of those that have no transformer. */
const STATIC_FILES: Record<string, string[]> = {
  'st-static': ['modules.json', 'config_sentence_transformers.json', '1_Normalize/config.json'],
  model2vec: ['config.json', 'modules.json'],
  'model2vec-mapped': ['config.json', 'modules.json'],
};
function inDense(folder: string) {
  return [`${folder}/config.json`, `${folder}/model.safetensors`];
}

type Files = Record<string, Uint8Array<ArrayBuffer>>;
const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value)) as Uint8Array<ArrayBuffer>;
const url = (name: string) => addressOf(`/fixtures/sentence/${name}/`);
const TOLERANCE = 1e-5;

async function bytesOf(address: string): Promise<Uint8Array<ArrayBuffer>> {
  const response = await fetch(address);
  if (!response.ok) throw new Error(`${address}: ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

/** The files of a checkpoint, those that another fixture has too from there. */
async function filesOf(name: string): Promise<{ files: Files; expected: Expected }> {
  const expected = await fetchJson<Expected>(`${url(name)}expected.json`);
  const read = async (file: string) => [file, await bytesOf(url(name) + file)] as const;
  const whole = STATIC_FILES[name];
  if (whole) {
    const files = await Promise.all(['model.safetensors', 'tokenizer.json', ...whole].map(read));
    return { files: Object.fromEntries(files), expected };
  }
  const shared = await fetchFiles(expected.weights === undefined ? url(name) : `/fixtures/random/${expected.weights}/`);
  const own = [
    'config.json',
    'tokenizer_config.json',
    'modules.json',
    'config_sentence_transformers.json',
    'sentence_bert_config.json',
    ...FILES[name]!,
  ].map(read);
  return { files: { ...shared, ...Object.fromEntries(await Promise.all(own)) }, expected };
}

for (const name of [...Object.keys(FILES).filter(each => each.startsWith('st-')), ...Object.keys(STATIC_FILES)]) {
  check(name, async log => {
    const { files, expected } = await filesOf(name);
    const pipe = await load('feature-extraction', files);
    let worst = 0;
    for (const { options, embeddings } of expected.calls) {
      const out = await pipe(expected.texts, { pooling: 'model', ...options });
      expectEqual(out.dims, embeddings!.shape, 'dims');
      const label = JSON.stringify(options);
      const difference = expectClose(out.data as Float32Array, embeddings!.data, { label, absolute: TOLERANCE });
      worst = Math.max(worst, difference);
      for (const [i, text] of expected.texts.entries()) {
        const alone = await pipe(text, { pooling: 'model', ...options });
        expectEqual(alone.tolist()[0], out.tolist()[i], `the same bits alone: ${label}, ${JSON.stringify(text)}`);
      }
    }
    log(`${expected.calls.length} calls, largest difference ${worst.toExponential(1)}`);
    await pipe.dispose();
  });
}

check('a Dense with every activation of torch that needs no argument', async log => {
  const activations = await fetchJson<Activations>('/fixtures/sentence/activations.json');
  let worst = 0;
  for (const [name, expected] of Object.entries(activations.results)) {
    const pipe = await load('feature-extraction', activationFiles(name, activations));
    const { data } = await pipe(ROW_TEXTS, { pooling: 'model' });
    const tolerance = { label: name, absolute: TOLERANCE, relative: TOLERANCE };
    worst = Math.max(worst, expectClose(data as Float32Array, expected, tolerance));
    await pipe.dispose();
  }
  log(`${Object.keys(activations.results).length} activations, largest difference ${worst.toExponential(1)}`);
});

for (const [dtype, least] of [
  ['fp16', 0.99999],
  ['q8', 0.999],
] as const) {
  check(`st-layers in ${dtype}`, async log => {
    const { files, expected } = await filesOf('st-layers');
    const pipe = await load('feature-extraction', files, { dtype });
    const out = await pipe(expected.texts, { pooling: 'model' });
    const { shape, data } = expected.calls[0]!.embeddings!;
    const columns = shape[1]!;
    const cosines = expected.texts.map((_, i) => {
      const [a, b] = [out.data, data].map(rows => Array.from(rows as number[]).slice(i * columns, (i + 1) * columns));
      const dot = (x: number[], y: number[]) => x.reduce((sum, v, c) => sum + v * y[c]!, 0);
      return dot(a!, b!) / Math.sqrt(dot(a!, a!) * dot(b!, b!));
    });
    expect(Math.min(...cosines) > least, `cosine ${Math.min(...cosines)}`);
    log(`lowest cosine ${Math.min(...cosines)}`);
    await pipe.dispose();
  });
}

for (const name of Object.keys(STATIC_FILES)) {
  for (const [dtype, least] of [
    ['fp16', 0.999999],
    ['q8', 0.9999],
  ] as const) {
    check(`${name} in ${dtype}`, async log => {
      const { files, expected } = await filesOf(name);
      const pipe = await load('feature-extraction', files, { dtype });
      const out = await pipe(expected.texts, { pooling: 'model' });
      const { shape, data } = expected.calls[0]!.embeddings!;
      const columns = shape[1]!;
      const cosines = expected.texts.flatMap((text, i) => {
        const [a, b] = [out.data, data].map(rows => Array.from(rows as number[]).slice(i * columns, (i + 1) * columns));
        const dot = (x: number[], y: number[]) => x.reduce((sum, v, c) => sum + v * y[c]!, 0);
        // The row of an empty text is zero.
        if (text === '') return expect(!a!.some(Boolean), 'not zero') ?? [];
        return dot(a!, b!) / Math.sqrt(dot(a!, a!) * dot(b!, b!));
      });
      const lowest = Math.min(...cosines);
      expect(lowest > least, `cosine ${lowest}`);
      log(`lowest cosine ${lowest}`);
      await pipe.dispose();
    });
  }
}

for (const name of ['cross-sigmoid', 'cross-identity']) {
  check(name, async () => {
    const { files, expected } = await filesOf(name);
    const pipe = await load('text-ranking', files);
    const [{ query, documents, rank }] = expected.calls as [Expected['calls'][number]];
    const got = await pipe(query!, documents!);
    expectEqual(
      got.map(({ corpus_id }) => corpus_id),
      rank!.map(({ corpus_id }) => corpus_id),
      'the order',
    );
    const scores = (ranked: readonly { score: number }[]) => ranked.map(({ score }) => score);
    expectClose(scores(got), scores(rank!), { label: 'scores', absolute: TOLERANCE });
    await pipe.dispose();
  });
}

for (const [label, name, subfolder] of [
  ['sentence_roberta_config.json', 'config-of-roberta', ''],
  ['a transformer in a folder, below a subfolder', 'in-folder', 'model'],
] as const) {
  check(label, async () => {
    const { texts, embeddings } = await fetchJson<{ texts: string[]; embeddings: number[][] }>(
      `${url(name)}expected.json`,
    );
    const pipe = await load('feature-extraction', url(name), { subfolder });
    const out = await pipe(texts, { pooling: 'model' });
    expectClose(out.data as Float32Array, embeddings.flat(), { label: 'embeddings', absolute: TOLERANCE });
    expectEqual(out.truncated, [true], 'truncated');
    await pipe.dispose();
  });
}

check('calls with several prompts share a pass; a warm one creates nothing', async () => {
  const { files, expected } = await filesOf('st-prompt-left-out');
  const { texts } = expected;
  const modules = { pooling_mode: ['weightedmean', 'max', 'cls'], include_prompt: false };
  const pipe = await load('feature-extraction', { ...files, '1_Pooling/config.json': json(modules) });
  const calls = ['query', 'document', 'long'].map(prompt_name => ({ pooling: 'model', prompt_name }) as const);
  const alone: unknown[] = [];
  for (const options of calls) alone.push((await pipe(texts, options)).tolist());
  const all = () => Promise.all(calls.map(options => pipe(texts, options)));
  await all();
  takeCounts();
  const together = await all();
  const { submit, createBuffer, createBindGroup, createShaderModule } = takeCounts();
  expectEqual([submit, createBuffer, createBindGroup, createShaderModule], [1, 0, 0, 0], 'submits, and what was made');
  expectEqual(
    together.map(out => out.tolist()),
    alone,
    'the same bits',
  );
  await pipe.dispose();
});

check('prompts: of a call with any pooling, the default with pooling "model" alone; names that are none', async () => {
  const { files, expected } = await filesOf('st-prompt-left-out');
  const { texts } = expected;
  const pipe = await load('feature-extraction', files);
  const prefixed = (prompt: string) => texts.map(text => prompt + text);
  for (const pooling of ['none', 'mean'] as const) {
    const plain = (await pipe(texts, { pooling })).tolist();
    expectEqual((await pipe(texts, { pooling, prompt: '' })).tolist(), plain, `${pooling}: no default prompt`);
    const wanted = (await pipe(prefixed('passage: '), { pooling })).tolist();
    expectEqual((await pipe(texts, { pooling, prompt_name: 'document' })).tolist(), wanted, `${pooling}: a name`);
    expectEqual((await pipe(texts, { pooling, prompt: 'passage: ' })).tolist(), wanted, `${pooling}: a prompt`);
    const both = { pooling, prompt: 'passage: ', prompt_name: 'query' };
    expectEqual((await pipe(texts, both)).tolist(), wanted, `${pooling}: a prompt goes before a name`);
  }
  const mean = (await pipe(texts, { pooling: 'mean' })).tolist();
  expectEqual((await pipe(texts, { pooling: 'model', prompt: '' })).tolist(), mean, 'the empty prompt is none');
  for (const pooling of ['model', 'mean'] as const) {
    const error = await expectThrows(() => pipe(texts, { pooling, prompt_name: 'toString' }), 'an unknown name');
    const isTold = error instanceof library.InputError && /query, document, long/.test(error.message);
    expect(isTold, `${error}`);
  }
  await expectThrows(() => pipe(texts, { prompt: 5 as never }), 'a prompt that is no string');
  await pipe.dispose();
});

check('a prompt that is left out, in windows: its tokens are in none of them', async () => {
  const { files } = await filesOf('st-prompt-left-out');
  const pipe = await load('feature-extraction', files);
  const text = 'Paris is the capital of France. '.repeat(20);
  for (const [prompt, stride] of [
    ['query: ', 0],
    ['query: ', 9],
    ['You may copy, modify and distribute this work; keep the notice. '.repeat(5), 7],
  ] as const) {
    const options = { maxLength: 64, stride };
    const windows = pipe.tokenizer.text.encodeWindows(prompt + text, options);
    const taken = pipe.tokenizer.text.encode(prompt, { maxLength: 64 }).ids.length - 1;
    const rows: number[][] = [];
    let seen = 0;
    for (const [w, { ids }] of windows.entries()) {
      const { last_hidden_state } = await pipe.model({ input_ids: [ids] });
      const own = (last_hidden_state.tolist() as number[][][])[0]!;
      // Windows begin 62 - stride tokens of the text after one another; the prompt's are the first `taken - 1` of them.
      const left = w === 0 || taken - 1 > seen ? taken - seen : 0;
      rows.push(...own.slice(Math.max(0, left)));
      seen += ids.length - 2 - stride;
    }
    const wanted = rows[0]!.map((_, c) => rows.reduce((sum, row) => sum + row[c]!, 0) / rows.length);
    const out = await pipe(text, { pooling: 'model', prompt, overflow: 'window', stride });
    expectClose(out.data as Float32Array, wanted, { label: `${prompt.length}, ${stride}`, absolute: TOLERANCE });
  }
  await pipe.dispose();
});

check('a transformer in a folder of its own: as files, as a folder, and behind a decoy', async () => {
  const { files, expected } = await filesOf('st-max');
  const encoder = ['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json'];
  const moved = Object.fromEntries(
    Object.entries(files).map(([name, bytes]) => [
      encoder.includes(name) || name.startsWith('sentence_') ? `0_Transformer/${name}` : name,
      bytes,
    ]),
  ) as Files;
  const modules = JSON.parse(new TextDecoder().decode(files['modules.json'])) as object[];
  modules[0] = { ...modules[0], path: '0_Transformer' };
  moved['modules.json'] = json(modules);
  const wanted = expected.calls[0]!.embeddings!.data;
  const decoy = { 'config.json': json({ __version__: '0.3.0' }), 'tokenizer.json': json({}) };
  const list = Object.entries(moved).map(([name, body]) => ({ name: `my model/${name}`, blob: new Blob([body]) }));
  for (const [label, from] of Object.entries({ files: moved, folder: list, decoy: { ...moved, ...decoy } })) {
    const pipe = await load('feature-extraction', from);
    const out = await pipe(expected.texts, { pooling: 'model' });
    expectClose(out.data as Float32Array, wanted, { label, absolute: TOLERANCE });
    await pipe.dispose();
  }
});

check('do_lower_case, max_seq_length and truncate_dim', async () => {
  const { files } = await filesOf('st-prompts');
  const config = JSON.parse(new TextDecoder().decode(files['config_sentence_transformers.json'])) as object;
  // The tokenizer itself keeps the case.
  const tokenizer = JSON.parse(new TextDecoder().decode(files['tokenizer.json'])) as { normalizer: object };
  tokenizer.normalizer = { ...tokenizer.normalizer, lowercase: false, strip_accents: false };
  const cased = { ...files, 'tokenizer.json': json(tokenizer) };
  const plain = await load('feature-extraction', cased);
  const pipe = await load('feature-extraction', {
    ...cased,
    'sentence_bert_config.json': json({ max_seq_length: 20, do_lower_case: true }),
    'config_sentence_transformers.json': json({ ...config, truncate_dim: 10 }),
  });
  const text = 'PARIS is [MASK] of France';
  const lower = 'paris is [MASK] of france';
  const normalize = { pooling: 'mean', normalize: true } as const;
  const cut = async (from: typeof pipe, words: string) =>
    (await from(words, normalize)).tolist().map(row => (row as number[]).slice(0, 10));
  expectEqual((await pipe(text, { pooling: 'model' })).tolist(), await cut(plain, lower), 'lower case, ten columns');
  expectEqual(
    (await pipe(text, normalize)).tolist(),
    (await plain(text, normalize)).tolist(),
    'not with another pooling',
  );
  const long = 'paris is the capital of france. '.repeat(3);
  const out = await pipe(long, { pooling: 'model' });
  expectEqual([out.truncated, out.dims], [[true], [1, 10]], 'a text of more than twenty tokens');
  const three = (await pipe(text, { pooling: 'model', truncate_dim: 3 })).tolist()[0] as number[];
  expectClose([Math.hypot(...three)], [1], { label: 'truncate_dim of a call, then normalised', absolute: 1e-6 });
  await plain.dispose();
  await pipe.dispose();
});

check('sentence-similarity: the modules, the default prompt, and how the checkpoint compares', async () => {
  const { files, expected } = await filesOf('st-prompts');
  const { texts, calls } = expected;
  const { embeddings } = calls.find(({ options }) => options.prompt_name === 'query')!;
  const [columns, kept] = [embeddings!.shape[1]!, 20];
  const rows = texts.map((_, i) => embeddings!.data.slice(i * columns, i * columns + kept));
  const [own, ...others] = rows as [number[], ...number[][]];
  const dot = (a: number[], b: number[]) => a.reduce((sum, v, c) => sum + v * b[c]!, 0);
  const gap = (a: number[], b: number[], power: number) =>
    a.reduce((sum, v, c) => sum + Math.abs(v - b[c]!) ** power, 0);
  const scores: Record<string, (other: number[]) => number> = {
    cosine: other => dot(own, other) / (Math.hypot(...own) * Math.hypot(...other)),
    dot: other => dot(own, other),
    euclidean: other => -Math.sqrt(gap(own, other, 2)),
    manhattan: other => -gap(own, other, 1),
  };
  const config = JSON.parse(new TextDecoder().decode(files['config_sentence_transformers.json'])) as object;
  const inputs = { source_sentence: texts[0]!, sentences: texts.slice(1) };
  for (const [similarity_fn_name, score] of Object.entries(scores)) {
    const more = { ...config, similarity_fn_name, truncate_dim: kept, default_prompt_name: 'query' };
    const pipe = await load('sentence-similarity', { ...files, 'config_sentence_transformers.json': json(more) });
    const label = similarity_fn_name;
    expectClose(await pipe(inputs), others.map(score), { label, absolute: TOLERANCE });
    const same = await pipe(inputs, { prompt_name: 'query' });
    expectClose(same, await pipe(inputs), { label: `${label}, by name` });
    await pipe.dispose();
  }
});

check('a cross-encoder: prompts before the query, and modules that are not built', async () => {
  const { files, expected } = await filesOf('cross-identity');
  const [{ query, documents }] = expected.calls as [Expected['calls'][number]];
  const config = JSON.parse(new TextDecoder().decode(files['config_sentence_transformers.json'])) as object;
  const more = { ...config, prompts: { ask: 'ask: ', none: '' }, default_prompt_name: 'ask' };
  const pipe = await load('text-ranking', { ...files, 'config_sentence_transformers.json': json(more) });
  const plain = await load('text-ranking', files);
  const wanted = await plain(`ask: ${query}`, documents!);
  expectEqual(await pipe(query!, documents!), wanted, 'the default prompt');
  expectEqual(await plain(query!, documents!, { prompt: 'ask: ' }), wanted, 'a prompt');
  const bare = await plain(query!, documents!);
  expectEqual(await pipe(query!, documents!, { prompt_name: 'none' }), bare, 'a name');
  const error = await expectThrows(() => plain(query!, documents!, { prompt_name: 'query' }), 'a name that is none');
  expect(error instanceof library.InputError && error.message.includes('has no prompts'), `${error}`);
  await pipe.dispose();
  await plain.dispose();
  const modules = JSON.parse(new TextDecoder().decode(files['modules.json'])) as object[];
  const type = 'sentence_transformers.cross_encoder.modules.logit_score.LogitScore';
  const module = { idx: 1, name: '1', path: '1', type };
  const refused = await expectThrows(
    () => load('text-ranking', { ...files, 'modules.json': json([...modules, module]) }),
    'another module',
  );
  expect(refused instanceof library.UnsupportedError && refused.message.includes('LogitScore'), `${refused}`);
});

check('several poolings under a dense layer; in windows', async () => {
  const { files, expected } = await filesOf('st-several-poolings');
  const make = random(5);
  const [weight, bias] = [make(6 * 144, 0.2), make(6, 0.2)];
  const modules = JSON.parse(new TextDecoder().decode(files['modules.json'])) as object[];
  const module = { idx: 2, name: '2', path: '2_Dense', type: 'sentence_transformers.models.Dense' };
  const pipe = await load('feature-extraction', {
    ...files,
    'modules.json': json([...modules, module]),
    '2_Dense/config.json': json({ in_features: 144, out_features: 6, activation_function: 'torch.nn.Tanh' }),
    '2_Dense/model.safetensors': safetensors({
      'linear.weight': floats(weight, [6, 144]),
      'linear.bias': floats(bias, [6]),
    }),
  });
  const dense = { K: 144, N: 6, bias, activation: 'tanh' };
  const wanted = reference.linear(expected.calls[0]!.embeddings!.data, weight, dense);
  const out = await pipe(expected.texts, { pooling: 'model' });
  expectEqual(out.dims, [expected.texts.length, 6], 'dims');
  expectClose(out.data as Float32Array, wanted, { label: 'embeddings', absolute: TOLERANCE });

  const text = 'Paris is the capital of France. '.repeat(20);
  const rows: Float64Array[] = [];
  const lengths: number[] = [];
  for (const { ids } of pipe.tokenizer.text.encodeWindows(text, { maxLength: 64 })) {
    const { last_hidden_state } = await pipe.model({ input_ids: [ids] });
    const pooling = ['cls', 'mean', 'max'];
    const row = reference.pool(last_hidden_state.data as Float32Array, [ids.length], {
      C: 48,
      pooling,
      normalize: false,
    });
    rows.push(reference.linear(row, weight, dense));
    lengths.push(ids.length);
  }
  const all = lengths.reduce((a, b) => a + b);
  const mean = rows[0]!.map((_, c) => rows.reduce((sum, row, w) => sum + row[c]! * lengths[w]!, 0) / all);
  const whole = await pipe(text, { pooling: 'model', overflow: 'window' });
  expectClose(whole.data as Float32Array, mean, { label: 'of windows', absolute: TOLERANCE });
  await pipe.dispose();
});
