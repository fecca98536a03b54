import type { ProgressInfo } from '../../src/index.ts';
import { liveBuffers } from '../gpu-watch.ts';
import { check, expect, expectClose, expectEqual, expectSameBits, expectThrows } from '../harness.ts';
import { BERT, fetchFiles, library, once, ownDevice } from '../library.ts';
import { difference } from '../same.ts';

/** The public surface of the built module: names, shapes, sources, places it runs in, and what it gives back. */

const { AutoModel, AutoTokenizer, DeviceError, env, InputError, pipeline, Tensor } = library;

const TEXTS = ['Paris is the capital of France.', 'a'];
const extractor = once(() => pipeline('feature-extraction', BERT));
/** Browsers that keep what they compiled for a device load the second model on it in no time. */
const shared = once(ownDevice);

/** The message of the page or worker that runs e2e/site/embed.js or bare.js. */
interface Told {
  dims: number[];
  data: number[];
  evaluates: boolean;
  storage: string;
  origin: string;
  error?: string;
}
async function expectEmbedded(told: Promise<Told>): Promise<Told> {
  const answer = await told;
  expect(answer.error === undefined, String(answer.error));
  const extract = await extractor();
  const wanted = await extract(TEXTS, { pooling: 'mean' });
  expectEqual(answer.dims, wanted.dims, 'dims');
  expectSameBits(answer.data, [...(wanted.data as Float32Array)], 'embeddings');
  return answer;
}

check('a page under script-src self: <script type="module">, nothing else', async () => {
  const frame = document.createElement('iframe');
  const told = new Promise<Told>(resolve => {
    addEventListener('message', ({ source, data }) => source === frame.contentWindow && resolve(data as Told));
  });
  frame.src = '/strict';
  document.body.append(frame);
  const { evaluates } = await expectEmbedded(told);
  frame.remove();
  expectEqual(evaluates, false, 'whether the page may make code from text');
});

check('a frame of an opaque origin, which may store nothing', async () => {
  const frame = document.createElement('iframe');
  const told = new Promise<Told>(resolve => {
    addEventListener('message', ({ source, data }) => source === frame.contentWindow && resolve(data as Told));
  });
  frame.setAttribute('sandbox', 'allow-scripts');
  frame.src = '/frame';
  document.body.append(frame);
  const { storage, origin } = await expectEmbedded(told);
  frame.remove();
  expectEqual([storage, origin], ['SecurityError', 'null'], 'storage and origin');
});

check('a module worker without storage', async () => {
  const worker = new Worker('/site/bare.js', { type: 'module' });
  const told = new Promise<Told>((resolve, reject) => {
    worker.onmessage = ({ data }) => resolve(data as Told);
    worker.onerror = ({ message }) => reject(new Error(`the worker failed: ${message}`));
  });
  const { storage } = await expectEmbedded(told);
  worker.terminate();
  expectEqual(storage, 'SecurityError', 'storage');
});

check('a module worker', async () => {
  const worker = new Worker('/site/embed.js', { type: 'module' });
  const told = new Promise<Told>((resolve, reject) => {
    worker.onmessage = ({ data }) => resolve(data as Told);
    worker.onerror = ({ message }) => reject(new Error(`the worker failed: ${message}`));
  });
  await expectEmbedded(told);
  worker.terminate();
});

check('a text and a list: dims, data, tolist', async () => {
  const extract = await extractor();
  const C = Number(extract.model.config.hidden_size);
  const lengths = TEXTS.map(text => extract.tokenizer.encode(text).length);
  const L = Math.max(...lengths);
  const one = await extract(TEXTS[0]!);
  expect(one instanceof Tensor, 'the result is no Tensor');
  expectEqual([one.dims, one.type, one.data.length], [[1, lengths[0], C], 'float32', lengths[0]! * C], 'a text');
  const both = await extract(TEXTS);
  expectEqual(both.dims, [2, L, C], 'a list without pooling');
  const [, short] = both.tolist() as number[][][];
  expect(
    short!.slice(lengths[1]).every(row => row.every(v => v === 0)),
    'the padding is not zero',
  );
  expect(
    short!.slice(0, lengths[1]).every(row => row.some(v => v !== 0)),
    'a token is zero',
  );
  expectEqual((await extract(TEXTS[0]!, { pooling: 'mean' })).dims, [1, C], 'a text, pooled');
  expectEqual((await extract(TEXTS, { pooling: 'cls' })).dims, [2, C], 'a list, pooled');
});

check('poolings and normalize are what they say', async () => {
  const extract = await extractor();
  const tokens = (await extract(TEXTS)).tolist() as number[][][];
  const rows = tokens.map((list, i) => list.slice(0, extract.tokenizer.encode(TEXTS[i]!).length));
  const column = (list: number[][], c: number) => list.map(row => row[c]!);
  const by: Record<string, (list: number[][], c: number) => number> = {
    mean: (list, c) => column(list, c).reduce((a, b) => a + b) / list.length,
    cls: (list, c) => list[0]![c]!,
    first_token: (list, c) => list[0]![c]!,
    max: (list, c) => Math.max(...column(list, c)),
    last_token: (list, c) => list.at(-1)![c]!,
    eos: (list, c) => list.at(-1)![c]!,
  };
  const unit = (row: number[]) => {
    const length = Math.hypot(...row);
    return row.map(v => v / length);
  };
  for (const [pooling, pool] of Object.entries(by)) {
    const expected = rows.map(list => list[0]!.map((_, c) => pool(list, c)));
    for (const normalize of [false, true]) {
      const got = await extract(TEXTS, { pooling: pooling as 'mean', normalize });
      const wanted = (normalize ? expected.map(unit) : expected).flat();
      const label = `${pooling}, normalize ${normalize}`;
      expectClose(got.data as Float32Array, wanted, { label, absolute: 2e-6, relative: 2e-6 });
    }
  }
  const normal = (await extract(TEXTS, { normalize: true })).tolist() as number[][][];
  const wanted = rows.flat().flatMap(unit);
  const got = normal.flatMap((list, i) => list.slice(0, rows[i]!.length)).flat();
  expectClose(got, wanted, { label: 'none, normalize', absolute: 2e-6 });
  const padding = normal.flatMap((list, i) => list.slice(rows[i]!.length)).flat();
  expect(padding.length > 0 && padding.every(v => v === 0), 'the padding is not zero after normalize');
});

check('texts longer than the model takes are cut', async () => {
  const extract = await extractor();
  const words = Array(300).fill('the tower').join(' ');
  expectEqual((await extract(words)).dims, [1, 64, 48], 'dims');
});

check('AutoModel: names and dims of what it gives', async () => {
  const { model, tokenizer } = await extractor();
  const inputs = tokenizer(TEXTS, { padding: true });
  const [, L] = inputs.input_ids.dims;
  const [C, H, layers] = ['hidden_size', 'num_attention_heads', 'num_hidden_layers'].map(name =>
    Number(model.config[name]),
  ) as [number, number, number];
  const plain = await model(inputs);
  expectEqual(Object.keys(plain), ['last_hidden_state', 'pooler_output'], 'names');
  expectEqual(plain.last_hidden_state.dims, [2, L, C], 'last_hidden_state');
  expectEqual(plain.pooler_output?.dims, [2, C], 'pooler_output');
  const more = await model(inputs, { output_attentions: true, output_hidden_states: true });
  const names = ['last_hidden_state', 'pooler_output', 'hidden_states', 'attentions'];
  expectEqual(Object.keys(more).sort(), names.sort(), 'names of everything');
  expectEqual(
    more.hidden_states?.map(({ dims }) => dims),
    Array(layers + 1).fill([2, L, C]),
    'hidden_states',
  );
  expectEqual(
    more.attentions?.map(({ dims }) => dims),
    Array(layers).fill([2, H, L, L]),
    'attentions',
  );
  expectSameBits(more.last_hidden_state, plain.last_hidden_state, 'both');
  const some = await model(inputs, { output_attentions: [1], output_hidden_states: [2, 0] });
  expectSameBits(some.attentions, [more.attentions![1]!], 'attentions of one layer');
  expectSameBits(some.hidden_states, [more.hidden_states![2]!, more.hidden_states![0]!], 'some hidden_states');
  // Rows of attention are probabilities; those of padding are zero.
  const [, second] = more.attentions![0]!.tolist() as number[][][][];
  const real = tokenizer.encode(TEXTS[1]!).length;
  for (const head of second!) {
    head.forEach((row, i) => {
      const sum = row.reduce((a, b) => a + b, 0);
      expect(Math.abs(sum - (i < real ? 1 : 0)) < 1e-5, `row ${i} of attention sums up to ${sum}`);
    });
  }
  expect(typeof model.adapter === 'string' && model.adapter.length > 0, 'the adapter has no name');
});

check('lists of bigint, Tensors and lists mixed, a missing mask', async () => {
  const { model, tokenizer } = await extractor();
  const inputs = tokenizer(TEXTS[0]!);
  const wanted = (await model(inputs)).last_hidden_state;
  const ids = tokenizer.encode(TEXTS[0]!);
  const bigints = await model({ input_ids: [ids.map(BigInt)], attention_mask: null, token_type_ids: null });
  expectSameBits(bigints.last_hidden_state, wanted, 'bigint');
  const mixed = await model({ input_ids: [ids], attention_mask: inputs.attention_mask });
  expectSameBits(mixed.last_hidden_state, wanted, 'mixed');
  const placed = await model({ input_ids: [ids], position_ids: [[...ids.keys()]] });
  expectSameBits(placed.last_hidden_state, wanted, 'position_ids');
  const turned = await model({ input_ids: [ids], position_ids: [[...ids.keys()].reverse()] });
  expect(difference(turned.last_hidden_state, wanted) !== undefined, 'position_ids are ignored');
});

check('sources: base URL, URL, Files, Files of a folder, bytes, Blobs', async () => {
  const files = await fetchFiles(BERT);
  const entries = Object.entries(files);
  const wanted = [...((await (await extractor())(TEXTS, { pooling: 'mean' })).data as Float32Array)];
  const inFolder = entries.map(([name, bytes]) => {
    const file = new File([bytes], name);
    Object.defineProperty(file, 'webkitRelativePath', { value: `bert/${name}` });
    return file;
  });
  const sources = {
    'an absolute URL': BERT,
    'a URL object': new URL(BERT),
    'a path of this server': new URL(BERT).pathname,
    Files: entries.map(([name, bytes]) => new File([bytes], name)),
    'Files of a folder': inFolder,
    'names and blobs': entries.map(([name, bytes]) => ({ name, blob: new Blob([bytes]) })),
    bytes: files,
    Blobs: Object.fromEntries(entries.map(([name, bytes]) => [name, new Blob([bytes])])),
  };
  for (const [name, source] of Object.entries(sources)) {
    const tokenizer = await AutoTokenizer.from_pretrained(source);
    expectEqual(tokenizer.encode(TEXTS[0]!).length, 15, `tokens from ${name}`);
  }
  const extract = await pipeline('feature-extraction', sources.Files, { device: await shared() });
  const got = await extract(TEXTS, { pooling: 'mean' });
  expectSameBits([...(got.data as Float32Array)], wanted, 'embeddings from Files');
  await extract.dispose();
});

check('a local path, beside the page', async () => {
  env.allowLocalModels = true;
  env.localModelPath = '/fixtures/';
  env.allowRemoteModels = false;
  try {
    const tokenizer = await AutoTokenizer.from_pretrained('random/bert-base');
    expectEqual(tokenizer.encode('a').length, 3, 'tokens');
  } finally {
    env.allowLocalModels = false;
    env.allowRemoteModels = true;
  }
});

check('a device of your own outlives the model; when it is lost, calls are a DeviceError', async () => {
  const device = await ownDevice();
  let lost = false;
  void device.lost.then(() => {
    lost = true;
  });
  const model = await AutoModel.from_pretrained(BERT, { device });
  const second = await AutoModel.from_pretrained(BERT, { device });
  expect(liveBuffers(device).count > 0, 'nothing stands on the device');
  await model({ input_ids: [[2, 5, 3]] });
  await model.dispose();
  const after = await second({ input_ids: [[2, 5, 3]] });
  expectEqual(after.last_hidden_state.dims, [1, 3, 48], 'the other model on the device');
  await second.dispose();
  expectEqual(liveBuffers(device).labels, [], 'buffers left on the device');
  device.createBuffer({ size: 16, usage: GPUBufferUsage.STORAGE }).destroy();
  await device.queue.onSubmittedWorkDone();
  expect(!lost, 'the device was destroyed');

  const third = await AutoModel.from_pretrained(BERT, { device });
  device.destroy();
  await device.lost;
  const error = await expectThrows(() => third({ input_ids: [[2, 5, 3]] }), 'a call on a lost device');
  expect(error instanceof DeviceError && /lost/.test(error.message), `on a lost device: ${error}`);
  await third.dispose();
});

check('dispose frees; a second time does nothing; after it a call is a DeviceError', async () => {
  const device = await shared();
  const before = liveBuffers(device).count;
  const model = await AutoModel.from_pretrained(BERT, { device });
  expect(liveBuffers(device).count > before, 'nothing stands on the device');
  await model({ input_ids: [[2, 5, 3]] });
  await model.dispose();
  await model.dispose();
  expectEqual(liveBuffers(device).count, before, 'buffers left');
  expectEqual(await model.bytes(), { weights: 0, activations: 0 }, 'bytes');
  const error = await expectThrows(() => model({ input_ids: [[2, 5, 3]] }), 'a call after dispose');
  expect(error instanceof DeviceError && /dispos/.test(error.message), `after dispose: ${error}`);
});

check('dispose while a call is under way: that call is a DeviceError', async () => {
  const device = await shared();
  const model = await AutoModel.from_pretrained(BERT, { device });
  const calls = [1, 2, 3].map(() => model({ input_ids: Array.from({ length: 16 }, () => Array(64).fill(7)) }));
  const errors = Promise.all(calls.map(call => expectThrows(() => call, 'a call')));
  await new Promise(resolve => setTimeout(resolve));
  await model.dispose();
  for (const error of await errors) expect(error instanceof DeviceError, `dispose in a call: ${error}`);
  expectEqual(liveBuffers(device).labels, [], 'buffers left');
});

check('a signal aborts a run between its passes, and the next call works', async () => {
  const extract = await extractor();
  const texts = Array.from({ length: 200 }, () => 'Paris is the capital of France and a tower stands there.');
  const reason = new Error('enough');
  const stop = new AbortController();
  const call = extract(texts, { pooling: 'mean', signal: stop.signal });
  setTimeout(() => stop.abort(reason), 1);
  expectEqual((await expectThrows(() => call, 'an aborted call')) === reason, true, 'it rejects with the reason');
  const aborted = await expectThrows(() => extract('a', { signal: AbortSignal.abort() }), 'a signal aborted before');
  expectEqual((aborted as Error).name, 'AbortError', 'the name of the error');
  expectEqual((await extract('a', { pooling: 'mean' })).dims, [1, 48], 'the call after it');
  const { model } = extract;
  const third = await expectThrows(() => model({ input_ids: [[5]] }, { signal: AbortSignal.abort(reason) }), 'a model');
  expect(third === reason, 'a model rejects with the reason');
});

check('progress_callback: transformers.js events, in order', async () => {
  const events: ProgressInfo[] = [];
  const extract = await pipeline('feature-extraction', BERT, {
    device: await shared(),
    progress_callback: info => events.push(info),
  });
  await extract.dispose();
  const files = ['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json'];
  for (const file of files) {
    const mine = events.filter(info => 'file' in info && info.file === file && info.status !== 'upload');
    const steps = [...new Set(mine.map(({ status }) => status))];
    expectEqual(steps, ['initiate', 'download', 'progress', 'done'], `the steps of ${file}`);
    for (const info of mine) {
      if (info.status !== 'progress') continue;
      expectEqual(Object.keys(info).sort(), ['file', 'loaded', 'name', 'progress', 'status', 'total'], 'fields');
      expectEqual(info.name, BERT, 'name');
      expectClose([info.progress], [(100 * info.loaded) / info.total], { label: 'progress', absolute: 1e-9 });
    }
    const last = mine.findLast(info => info.status === 'progress');
    expect(
      last?.status === 'progress' && last.progress === 100 && last.loaded === last.total,
      `${file} ends below 100 %`,
    );
  }
  for (const status of ['compile', 'upload'] as const) {
    const mine = events.filter(info => info.status === status);
    expect(mine.length > 1, `there are ${mine.length} events of ${status}`);
    const loaded = mine.map(info => ('loaded' in info ? info.loaded : Number.NaN));
    expectEqual(
      loaded,
      [...loaded].sort((a, b) => a - b),
      `${status} goes up`,
    );
    const last = mine.at(-1)!;
    expect('total' in last && last.loaded === last.total && last.progress === 100, `${status} ends below 100 %`);
  }
  expectEqual(events.at(-1), { status: 'ready', task: 'feature-extraction', model: BERT }, 'the last event');
  expectEqual(events.filter(({ status }) => status === 'ready').length, 1, 'ready');
});

check('progress_callback of a call: texts that are done, up to all of them', async log => {
  const extract = await extractor();
  const texts = Array.from(
    { length: 150 },
    (_, i) => `The tower number ${i} stands in the old town, and a train leaves.`,
  );
  const wanted = await extract(texts, { pooling: 'mean' });
  const events: ProgressInfo[] = [];
  const progress_callback = (info: ProgressInfo) => void events.push(info);
  const got = await extract(texts, { pooling: 'mean', progress_callback });
  expectSameBits(got, wanted, 'embeddings');
  expect(events.length > 1, `${events.length} events of several passes`);
  let before = 0;
  for (const info of events) {
    expect(info.status === 'run', `an event of ${info.status}`);
    expectEqual(Object.keys(info).sort(), ['loaded', 'progress', 'status', 'task', 'total'], 'fields');
    expectEqual([info.task, info.total], ['feature-extraction', 150], 'task, total');
    expectClose([info.progress], [(100 * info.loaded) / 150], { label: 'progress', absolute: 1e-9 });
    expect(info.loaded > before, `${info.loaded} after ${before}`);
    before = info.loaded;
  }
  expectEqual(before, 150, 'texts at the end');
  log(`${events.length} events`);
  // Calls that share passes count their own texts.
  const counts = await Promise.all(
    [1, 2, 3].map(async length => {
      const own: unknown[] = [];
      await extract(texts.slice(0, length), { progress_callback: info => own.push(info) });
      return own;
    }),
  );
  const whole = (total: number) => [{ status: 'run', task: 'feature-extraction', progress: 100, loaded: total, total }];
  expectEqual(counts, [whole(1), whole(2), whole(3)], 'three calls at once');
  await extract('a', { progress_callback: null });
});

check('a progress_callback that throws rejects its call, with what it threw, and no other', async () => {
  const extract = await extractor();
  const wanted = (await extract(TEXTS, { pooling: 'mean' })).tolist();
  const thrown = new Error('from the callback');
  const progress_callback = () => {
    throw thrown;
  };
  const [first, second, third] = await Promise.all([
    extract(TEXTS, { pooling: 'mean' }),
    expectThrows(() => extract(TEXTS, { pooling: 'mean', progress_callback }), 'the call'),
    extract(TEXTS, { pooling: 'mean' }),
  ]);
  expect(second === thrown, `${second}`);
  expectSameBits([first.tolist(), third.tolist()], [wanted, wanted], 'its neighbours');
  expectSameBits((await extract(TEXTS, { pooling: 'mean' })).tolist(), wanted, 'the call after it');
});

check('of calls at once one is aborted, and one is refused: the others get what they asked for', async () => {
  const extract = await extractor();
  const wanted = (await extract(TEXTS, { pooling: 'mean' })).tolist();
  const many = Array.from({ length: 200 }, () => TEXTS[0]!);
  const stop = new AbortController();
  const reason = new Error('enough');
  const [first, aborted, refused, last] = await Promise.all([
    extract(TEXTS, { pooling: 'mean' }),
    expectThrows(() => {
      const call = extract(many, { pooling: 'mean', signal: stop.signal });
      setTimeout(() => stop.abort(reason));
      return call;
    }, 'the aborted call'),
    // Found when it is tokenised, in the midst of the pass.
    expectThrows(
      () => extract(['a', Array(99).fill('tower').join(' ')], { pooling: 'mean', overflow: 'error' }),
      'a text that is too long',
    ),
    extract(TEXTS, { pooling: 'mean' }),
  ]);
  expect(aborted === reason, `aborted: ${aborted}`);
  expect(refused instanceof InputError, `refused: ${refused}`);
  expectSameBits([first.tolist(), last.tolist()], [wanted, wanted], 'the others');
});

check(
  'a device that is lost while calls are under way: all of them, waiting ones too, are a DeviceError',
  async log => {
    const device = await ownDevice();
    const model = await AutoModel.from_pretrained(BERT, { device });
    const rows = Array.from({ length: 48 }, () => Array(64).fill(7));
    const calls = Array.from({ length: 4 }, () => model({ input_ids: rows }));
    const errors = Promise.all(calls.map(call => expectThrows(() => call, 'a call')));
    await new Promise(resolve => setTimeout(resolve));
    device.destroy();
    for (const error of await errors) {
      expect(error instanceof DeviceError && /lost/.test(error.message), `${error}`);
      log((error as Error).message);
    }
    await model.dispose();
  },
);

check('dispose rejects the calls that wait for their turn', async () => {
  const device = await shared();
  const before = liveBuffers(device).count;
  const model = await AutoModel.from_pretrained(BERT, { device });
  const calls = Array.from({ length: 6 }, () =>
    model({ input_ids: Array.from({ length: 48 }, () => Array(64).fill(7)) }),
  );
  const errors = Promise.all(calls.map(call => expectThrows(() => call, 'a call')));
  await model.dispose();
  for (const error of await errors) expect(error instanceof DeviceError && /dispos/.test(error.message), `${error}`);
  await new Promise(resolve => setTimeout(resolve, 50));
  expectEqual(liveBuffers(device).count, before, 'buffers left');
});

check('several models at the same time', async () => {
  const device = await shared();
  const load = () => AutoModel.from_pretrained(BERT, { device });
  const [one, two] = await Promise.all([load(), load()]);
  const [a, b] = await Promise.all([one({ input_ids: [[2, 5, 3]] }), two({ input_ids: [[2, 5, 3]] })]);
  expectSameBits(a.last_hidden_state, b.last_hidden_state, 'both models');
  await one.dispose();
  await two.dispose();
});
