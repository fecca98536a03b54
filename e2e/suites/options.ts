import type { FeatureExtractionOptions, ProgressInfo, Tensor } from '../../src/index.ts';
import { safetensors } from '../../tests/checkpoint-bytes.ts';
import * as reference from '../../tests/reference.ts';
import { hidden, load, TEXTS, unit, url } from '../answers.ts';
import { edited, floats } from '../checkpoint-edit.ts';
import { random } from '../dispatch.ts';
import { type Expected, sharedDevice } from '../fixtures.ts';
import { liveBuffers, takeCounts } from '../gpu-watch.ts';
import { check, expect, expectClose, expectEqual, expectSameBits, expectThrows } from '../harness.ts';
import { fetchFiles, fetchJson, library, ownDevice } from '../library.ts';

/** Options of feature-extraction and of the models, against the plain outputs of the encoder. */

const rowsOf = (tensor: Tensor) => tensor.tolist() as number[][];

check('feature-extraction: pooling, normalize, truncate_dim, precision', async () => {
  const pipe = await load('feature-extraction', url('bert-base'));
  const tokens = await Promise.all(TEXTS.map(async text => (await hidden(pipe, text))[0]!));
  const columns = [...tokens[0]![0]!.keys()];
  const pooled = {
    mean: tokens.map(rows => columns.map(c => rows.reduce((sum, row) => sum + row[c]!, 0) / rows.length)),
    cls: tokens.map(([first]) => first!),
    max: tokens.map(rows => columns.map(c => Math.max(...rows.map(row => row[c]!)))),
    last_token: tokens.map(rows => rows.at(-1)!),
  };
  const call = (options: FeatureExtractionOptions) => pipe(TEXTS, options);
  for (const [pooling, wanted] of Object.entries(pooled) as [keyof typeof pooled, number[][]][]) {
    for (const [label, options, rows] of [
      ['plain', {}, wanted],
      ['normalize', { normalize: true }, wanted.map(unit)],
      ['truncate_dim', { truncate_dim: 17 }, wanted.map(row => row.slice(0, 17))],
      ['both', { truncate_dim: 17, normalize: true }, wanted.map(row => unit(row.slice(0, 17)))],
    ] as const) {
      const got = await call({ pooling, ...options });
      expectEqual(got.dims, [TEXTS.length, rows[0]!.length], `dims of ${pooling}, ${label}`);
      expectClose(got.data as Float32Array, rows.flat(), { label: `${pooling}, ${label}`, absolute: 1e-5 });
    }
  }
  const plain = await call({});
  const longest = Math.max(...tokens.map(({ length }) => length));
  expectEqual(plain.dims, [TEXTS.length, longest, columns.length], 'dims without a pooling');
  for (const [i, rows] of tokens.entries()) {
    const zeros = Array.from({ length: longest - rows.length }, () => columns.map(() => 0));
    const wanted = [...rows, ...zeros].flat();
    expectClose(plain.slice(i).data as Float32Array, wanted, { label: `tokens of text ${i}`, absolute: 1e-5 });
  }
  // Bits and levels of the very floats that float32 gives, as quantize_embeddings of sentence-transformers.
  const float = await call({ pooling: 'mean', normalize: true });
  const rows = rowsOf(float);
  const bits = rows.map(row =>
    Array.from({ length: row.length / 8 }, (_, byte) =>
      row.slice(8 * byte, 8 * byte + 8).reduce((sum, v) => 2 * sum + Number(v > 0), 0),
    ),
  );
  const levels = rows.map(row =>
    row.map((v, c) => {
      const column = rows.map(each => each[c]!);
      const low = Math.min(...column);
      return ((v - low) / (Math.max(...column) - low)) * 255;
    }),
  );
  for (const [precision, type, wanted, slack] of [
    ['ubinary', 'uint8', bits, 0],
    ['binary', 'int8', bits.map(row => row.map(v => v - 128)), 0],
    // Floor of a float32: a value on the edge of a step may fall to the one below.
    ['uint8', 'uint8', levels.map(row => row.map(v => v - 0.5)), 0.51],
    ['int8', 'int8', levels.map(row => row.map(v => v - 128.5)), 0.51],
  ] as const) {
    const got = await call({ pooling: 'mean', normalize: true, precision });
    expectEqual([got.type, got.dims], [type, [TEXTS.length, wanted[0]!.length]], `${precision}: type and dims`);
    const values = Array.from(got.data as Uint8Array, Number);
    expectClose(values, wanted.flat(), { label: precision, absolute: slack });
  }
  const quantized = await call({ pooling: 'mean', normalize: true, quantize: true });
  const binary = await call({ pooling: 'mean', normalize: true, precision: 'binary' });
  expectSameBits(quantized, binary, 'quantize: true');
  await pipe.dispose();
});

check('progress_callback of every task: texts whose windows are all done, and how far it is within one', async () => {
  const long = 'The old tower is in the north of the town. '.repeat(60);
  const events: { loaded: number; total: number; progress: number }[] = [];
  const counted = { progress_callback: (info: ProgressInfo) => void (info.status === 'run' && events.push(info)) };
  const expectCounts = (total: number, label: string) => {
    const seen = events.splice(0).map(info => [info.loaded, info.total, info.progress] as const);
    expectEqual(seen.at(-1), [total, total, 100], `${label}: the last`);
    seen.forEach(([loaded, , progress], i) => {
      const [loadedBefore, , progressBefore] = seen[i - 1] ?? [0, total, 0];
      const isFurther =
        loaded >= loadedBefore && progress > progressBefore && Math.floor((progress * total) / 100) >= loaded;
      expect(isFurther, `${label}: ${JSON.stringify(seen)}`);
    });
    return seen;
  };
  const features = await load('feature-extraction', url('bert-base'));
  await features([long, 'a', long], { ...counted, pooling: 'mean', overflow: 'window' });
  // Two passes and more: one of them ends in the midst of a text.
  const seen = expectCounts(3, 'feature-extraction');
  expect(
    seen.some(([loaded, , progress]) => progress > (100 * loaded) / 3 + 1),
    `nothing was said within a text: ${JSON.stringify(seen)}`,
  );
  await features.dispose();
  const text = await load('text-classification', url('bert-sequence'));
  await text([...TEXTS, long], { ...counted, overflow: 'window' });
  expectCounts(TEXTS.length + 1, 'text-classification');
  await text.dispose();
  const token = await load('token-classification', url('bert-token'));
  await token(long, { ...counted, overflow: 'window' });
  expectCounts(1, 'token-classification');
  await token.dispose();
  const config = { label2id: { contradiction: 0, neutral: 1, entailment: 2 } };
  const nli = await load('zero-shot-classification', await edited(url('bert-sequence'), { config }));
  await nli(TEXTS, ['a', 'b', 'c'], counted);
  expectCounts(TEXTS.length, 'zero-shot-classification');
  await nli.dispose();
  const rank = await load('text-ranking', url('bert-rerank'));
  await rank('a', TEXTS, counted);
  expectCounts(TEXTS.length, 'text-ranking');
  await rank.dispose();
  const mask = await load('fill-mask', url('bert-masked-lm'));
  await mask(['the [MASK]', 'a [MASK]'], counted);
  expectCounts(2, 'fill-mask');
  await mask.dispose();
  const answer = await load('question-answering', url('bert-qa'));
  await answer('Where is it?', long, counted);
  expectCounts(1, 'question-answering');
  await answer.dispose();
  const choose = await load('multiple-choice', url('bert-choice'));
  await choose('a', ['b', 'c', 'd'], counted);
  expectCounts(3, 'multiple-choice');
  await choose.dispose();
  const next = await load('next-sentence-prediction', url('bert-pretraining'));
  await next('a', 'b', counted);
  expectCounts(1, 'next-sentence-prediction');
  await next.dispose();
  const similar = await load('sentence-similarity', url('bert-base'));
  await similar({ source_sentence: 'a', sentences: TEXTS }, counted);
  expectCounts(TEXTS.length + 1, 'sentence-similarity');
  await similar.dispose();
});

check('attention maps and hidden states: from a head, and of single layers', async () => {
  const options = { device: await sharedDevice() };
  const { cases } = await fetchJson<Expected>(`${url('bert-base')}expected.json`);
  const [one] = cases.filter(({ outputs }) => 'attentions' in outputs);
  const { input_ids, token_type_ids } = one!;
  const inputs = { input_ids: [input_ids], token_type_ids: [token_type_ids!] };
  const base = await library.AutoModel.from_pretrained(url('bert-base'), options);
  const expected = one!.outputs as Record<string, { shape: number[]; data: number[] }[]>;
  for (const layers of [[1], [0], [1, 0]]) {
    const out = await base(inputs, { output_attentions: layers, output_hidden_states: layers.map(i => i + 1) });
    expectEqual([out.attentions!.length, out.hidden_states!.length], [layers.length, layers.length], 'layers');
    layers.forEach((layer, i) => {
      const [probabilities, states] = [expected.attentions![layer]!, expected.hidden_states![layer + 1]!];
      expectEqual(out.attentions![i]!.dims, probabilities.shape, 'dims of attentions');
      const label = `layer ${layer}`;
      expectClose(out.attentions![i]!.data as Float32Array, probabilities.data, { label, absolute: 1e-5 });
      expectClose(out.hidden_states![i]!.data as Float32Array, states.data, { label, absolute: 1e-4 });
    });
  }
  const error = await expectThrows(() => base(inputs, { output_attentions: [2] }), 'a layer that is not there');
  expect(error instanceof library.InputError, `${error}`);
  await base.dispose();
  // The encoder below a head is the one without it.
  const files = url('bert-token');
  const [head, bare] = await Promise.all([
    library.AutoModelForTokenClassification.from_pretrained(files, options),
    library.AutoModel.from_pretrained(files, options),
  ]);
  const all = { output_attentions: true, output_hidden_states: true };
  const [a, b] = [await head(inputs, all), await bare(inputs, all)];
  for (const name of ['attentions', 'hidden_states'] as const) {
    expectEqual(a[name]!.length, b[name]!.length, name);
    a[name]!.forEach((tensor, i) => {
      const label = `${name}[${i}] below a head`;
      expectClose(tensor.data as Float32Array, b[name]![i]!.data as Float32Array, { label, absolute: 1e-6 });
    });
  }
  a.attentions!.forEach(tensor => {
    for (const row of (tensor.tolist() as number[][][][]).flat(2)) {
      expectClose([row.reduce((x, v) => x + v, 0)], [1], { label: 'a row of probabilities', absolute: 1e-5 });
    }
  });
  await head.dispose();
  await bare.dispose();
});

check("sentence-transformers' modules: pooling, a dense layer, normalised", async () => {
  const files = await fetchFiles(url('bert-base'));
  const text = new TextEncoder();
  const make = random(3);
  const [weight, bias] = [make(20 * 48, 0.2), make(20, 0.2)];
  const module = (type: string, path: string, idx: number) => ({ idx, name: `${idx}`, path, type });
  const json = (value: unknown) => text.encode(JSON.stringify(value)) as Uint8Array<ArrayBuffer>;
  const model = await load('feature-extraction', {
    ...files,
    'modules.json': json([
      module('sentence_transformers.models.Transformer', '', 0),
      module('sentence_transformers.models.Pooling', '1_Pooling', 1),
      module('sentence_transformers.models.Dense', '2_Dense', 2),
      module('sentence_transformers.models.Normalize', '3_Normalize', 3),
    ]),
    '1_Pooling/config.json': json({
      word_embedding_dimension: 48,
      pooling_mode_cls_token: false,
      pooling_mode_mean_tokens: true,
    }),
    '2_Dense/config.json': json({
      in_features: 48,
      out_features: 20,
      bias: true,
      activation_function: 'torch.nn.modules.activation.Tanh',
    }),
    '2_Dense/model.safetensors': safetensors({
      'linear.weight': floats(weight, [20, 48]),
      'linear.bias': floats(bias, [20]),
    }),
  });
  const mean = rowsOf(await model(TEXTS, { pooling: 'mean' }));
  const wanted = mean.map(row => unit([...reference.linear(row, weight, { K: 48, N: 20, bias, activation: 'tanh' })]));
  const got = await model(TEXTS, { pooling: 'model' });
  expectEqual(got.dims, [TEXTS.length, 20], 'dims');
  expectClose(got.data as Float32Array, wanted.flat(), { label: 'embeddings', absolute: 1e-5 });
  await model.dispose();
});

check(
  'a folder of sentence-transformers; modules that are not whole matter only where they are asked for',
  async () => {
    const own = await fetchFiles(url('bert-base'));
    const file = (path: string, body: BlobPart) =>
      Object.defineProperty(new File([body], path.split('/').at(-1)!), 'webkitRelativePath', { value: `name/${path}` });
    const types = ['Transformer', 'Pooling'].map(name => `sentence_transformers.models.${name}`);
    const modules = types.map((type, idx) => ({ idx, name: `${idx}`, path: idx ? '1_Pooling' : '', type }));
    const files = [
      ...Object.entries(own).map(([name, body]) => file(name, body as BlobPart)),
      file('modules.json', JSON.stringify(modules)),
    ];
    const whole = [file('1_Pooling/config.json', '{"embedding_dimension": 48, "pooling_mode": "max"}'), ...files];
    const pipe = await load('feature-extraction', whole);
    const wanted = await pipe(TEXTS, { pooling: 'max' });
    expectSameBits(await pipe(TEXTS, { pooling: 'model' }), wanted, 'what the modules say');
    await pipe.dispose();
    const lacking = await load('feature-extraction', files);
    expectSameBits(await lacking(TEXTS, { pooling: 'max' }), wanted, 'without the file of a module');
    const error = await expectThrows(
      () => lacking(TEXTS, { pooling: 'model' }),
      'the modules of a file that is not there',
    );
    expect(error instanceof library.SourceError && error.file === '1_Pooling/config.json', `${error}`);
    await lacking.dispose();
  },
);

check('models on one device: each kernel compiled once, and none lost with the first model', async () => {
  const device = await ownDevice();
  const first = await library.pipeline('text-classification', url('bert-sequence'), { device });
  const before = await first('a');
  takeCounts();
  const second = await library.pipeline('text-classification', url('bert-multilabel'), { device });
  expectEqual(takeCounts().createComputePipelineAsync, 0, 'kernels compiled for a second model of the same shape');
  await first.dispose();
  await second(TEXTS);
  const third = await library.pipeline('text-classification', url('bert-sequence'), { device });
  expectSameBits(await third('a'), before, 'the answer after another model was disposed');
  await second.dispose();
  await third.dispose();
  expectEqual(liveBuffers(device).count, 0, 'buffers left');
  device.destroy();
});
