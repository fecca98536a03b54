import type { ProgressInfo, Task } from '../../src/index.ts';
import { takeCounts } from '../gpu-watch.ts';
import { check, expect, expectEqual, expectSameBits, expectThrows } from '../harness.ts';
import { addressOf, BERT, fetchFiles, fetchJson, MINILM, once } from '../library.ts';

/** The entry `webgpu-bert/worker` beside `webgpu-bert`: a worker of the browser, its device, and what crosses between it and the page. */

const at = (module: string, copy = ''): Promise<unknown> => import(/* @vite-ignore */ `/dist/es/${module}.js${copy}`);
// The two entries share their modules, and so `env` and all classes.
const library = (await at('index')) as typeof import('../../src/index.ts');
const worker = (await at('worker')) as typeof import('../../src/worker.ts');
const { env, InputError, SourceError, UnsupportedError, WorkerError } = worker;
env.useBrowserCache = false;

const TEXTS = ['Paris is the capital of France.', 'a', 'The old river runs past small stone houses.'];
const here = once(() => library.pipeline('feature-extraction', MINILM));
const there = once(() => worker.pipeline('feature-extraction', MINILM));

/** Runs a case with settings of `env` that are put back afterwards. */
async function withEnv(settings: Partial<typeof env>, body: () => Promise<void>): Promise<void> {
  const { worker: usual, ...kept } = env;
  Object.assign(env, settings);
  try {
    await body();
  } finally {
    Object.assign(env, kept, { worker: usual });
  }
}

/** The properties of an answer, and of all inside of it, that are not enumerable. */
function factsOf(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return null;
  const own = Object.entries(Object.getOwnPropertyDescriptors(value)).filter(
    ([name, { enumerable }]) => !enumerable && name !== 'length',
  );
  return [own.map(([name, { value }]) => [name, value]), Object.values(value).map(factsOf)];
}

/** The same bits, and the same facts of the texts. */
function expectSame(mine: unknown, theirs: unknown, label: string): void {
  expectEqual(mine, theirs, label);
  expectEqual(factsOf(mine), factsOf(theirs), `${label}: the facts`);
}

check('MiniLM: the same bits as on the page, whose own thread asks no GPU', async () => {
  const [mine, theirs] = [await there(), await here()];
  takeCounts();
  for (const options of [
    { pooling: 'mean', normalize: true },
    { pooling: 'model', precision: 'int8' },
    { overflow: 'window', pooling: 'mean' },
    {},
  ] as const) {
    const result = await mine(TEXTS, options);
    expectEqual(takeCounts().submit, 0, "submits of the page's thread");
    const same = await theirs(TEXTS, options);
    expectSameBits(result.data, same.data, JSON.stringify(options));
    expectSame(result, same, JSON.stringify(options));
    takeCounts();
  }
  expectSame(await mine.encode_query('a'), await theirs.encode_query('a'), 'encode_query');
  expectEqual(
    [mine.space, mine.prompts, mine.model.config],
    [theirs.space, theirs.prompts, theirs.model.config],
    'facts',
  );
  expectEqual(mine.model.adapter, theirs.model.adapter, 'adapter');
  expectEqual((await mine.model.bytes()).weights, (await theirs.model.bytes()).weights, 'bytes of the weights');
});

type AnyPipeline = ((...values: unknown[]) => Promise<unknown>) & { dispose(): Promise<void> };
const { cases } = await fetchJson<{
  cases: { task: Task; model: string; args: unknown[]; options: Record<string, unknown> }[];
}>('/fixtures/random/pipelines.json');
for (const model of new Set(cases.map(each => each.model))) {
  const mine = cases.filter(each => each.model === model);
  const { task } = mine[0]!;
  check(`${model}: ${task}, the same bits as on the page`, async () => {
    const from = addressOf(`/fixtures/random/${model}/`);
    const [plain, remote] = (await Promise.all([
      library.pipeline(task, from),
      worker.pipeline(task, from),
    ])) as unknown as [AnyPipeline, AnyPipeline];
    for (const { args, options } of mine) {
      expectSame(await remote(...args, options), await plain(...args, options), JSON.stringify([args, options]));
    }
    await Promise.all([plain.dispose(), remote.dispose()]);
  });
}

check('a new model of a config: the same bits as on the page', async () => {
  const from = addressOf('/fixtures/random/bert-masked-lm/');
  const config = await worker.AutoConfig.from_pretrained(from);
  const [plain, remote] = await Promise.all([
    library.AutoModelForMaskedLM.from_config(config, { seed: 7 }),
    worker.AutoModelForMaskedLM.from_config(config, { seed: 7 }),
  ]);
  expectEqual(remote.newly_initialized, plain.newly_initialized, 'the new tensors');
  const inputs = { input_ids: [[2, 7, 9, 3]] };
  expectSameBits((await remote(inputs)).logits.data, (await plain(inputs)).logits.data, 'the logits');
  const unmasker = await worker.pipeline('fill-mask', remote, {
    tokenizer: await worker.AutoTokenizer.from_pretrained(from),
  });
  expectEqual((await unmasker('Paris is [MASK].')).length, 5, 'answers');
  await Promise.all([plain.dispose(), unmasker.dispose()]);
});

/** The files of a checkpoint of sentence-transformers whose weights are those of another fixture. */
async function vectorFiles(name: string, more: readonly string[]): Promise<Record<string, Uint8Array<ArrayBuffer>>> {
  const url = `/fixtures/sentence/${name}/`;
  const { weights } = await fetchJson<{ weights: string }>(`${url}expected.json`);
  const files = ['config.json', 'tokenizer_config.json', 'modules.json', 'config_sentence_transformers.json'];
  const own = [...files, 'sentence_bert_config.json', ...more].map(async file => {
    const response = await fetch(url + file);
    if (!response.ok) throw new Error(`${url}${file}: ${response.status}`);
    return [file, new Uint8Array(await response.arrayBuffer())] as const;
  });
  return { ...(await fetchFiles(`/fixtures/random/${weights}/`)), ...Object.fromEntries(await Promise.all(own)) };
}

check('sparse vectors: the same bits as on the page', async () => {
  const files = await vectorFiles('splade-max', ['1_SpladePooling/config.json']);
  const plain = await library.SparseEncoder.from_pretrained(files);
  const remote = await worker.SparseEncoder.from_pretrained(files);
  const [mine, theirs] = [await remote.encode_document(TEXTS), await plain.encode_document(TEXTS)];
  expectSame(mine, theirs, 'documents');
  expectSame(await remote.similarity(mine, mine), plain.similarity(theirs, theirs), 'similarity');
  expectEqual(await remote.decode(mine, 2), plain.decode(theirs, 2), 'decoded');
  await Promise.all([plain.dispose(), remote.dispose()]);
});

check('late interaction: the same bits as on the page', async () => {
  const modules = ['1_Dense/config.json', '1_Dense/model.safetensors', '2_Normalize/config.json'];
  const files = await vectorFiles('colbert', [...modules, '3_MultiVectorMask/config.json']);
  const plain = await library.MultiVectorEncoder.from_pretrained(files);
  const remote = await worker.MultiVectorEncoder.from_pretrained(files);
  const [mine, theirs] = [await remote.encode_document(TEXTS), await plain.encode_document(TEXTS)];
  expectSame(mine, theirs, 'documents');
  const [query, same] = [await remote.encode_query(TEXTS[0]!), await plain.encode_query(TEXTS[0]!)];
  expectSame(await remote.similarity(query, mine), await plain.similarity(same, theirs), 'similarity');
  expectSame(await remote.rank('a', TEXTS, { top_k: 2 }), await plain.rank('a', TEXTS, { top_k: 2 }), 'rank');
  await Promise.all([plain.dispose(), remote.dispose()]);
});

check('models and tokenizers: the same bits as on the page', async () => {
  const [model, tokenizer] = await Promise.all([
    worker.AutoModel.from_pretrained(BERT),
    worker.AutoTokenizer.from_pretrained(BERT),
  ]);
  const [plain, words] = await Promise.all([
    library.AutoModel.from_pretrained(BERT),
    library.AutoTokenizer.from_pretrained(BERT),
  ]);
  const [mine, theirs] = [await tokenizer(TEXTS, { padding: true }), words(TEXTS, { padding: true })];
  expectEqual({ ...mine }, { ...theirs }, 'tokens');
  expectEqual(mine.word_ids(2), theirs.word_ids(2), 'words');
  const options = { output_attentions: true, output_hidden_states: [0, 1] };
  expectSame(await model(mine, options), await plain(theirs, options), 'outputs');
  await Promise.all([plain.dispose(), model.dispose()]);
});

check('isSupported says of the worker what it says of the page', async () => {
  expectEqual(await worker.isSupported(), await library.isSupported(), 'support');
});

check('progress of a load and of a call is told as on the page', async () => {
  const statuses = async ({ pipeline }: Pick<typeof library, 'pipeline'>) => {
    const events: ProgressInfo[] = [];
    const progress_callback = (info: ProgressInfo) => events.push(info);
    const extractor = await pipeline('feature-extraction', BERT, { progress_callback });
    const load = new Set(events.splice(0).map(({ status }) => status));
    await extractor(TEXTS, { progress_callback });
    await extractor.dispose();
    const last = events.at(-1);
    return { load: [...load].sort(), last };
  };
  const mine = await statuses(worker as unknown as typeof library);
  expectEqual(mine, await statuses(library), 'events');
  expectEqual(mine.last, { status: 'run', task: 'feature-extraction', progress: 100, loaded: 3, total: 3 }, 'the last');
});

check('a signal ends a load and a call at once, with its reason', async () => {
  const reason = new Error('no longer wanted');
  for (const status of ['compile', 'upload', 'ready']) {
    const stop = new AbortController();
    const progress_callback = (info: ProgressInfo) => info.status === status && stop.abort(reason);
    const load = () => worker.pipeline('feature-extraction', BERT, { signal: stop.signal, progress_callback });
    expect((await expectThrows(load, status)) === reason, `it rejects with something else than the reason: ${status}`);
  }
  const extractor = await there();
  const stop = new AbortController();
  const call = expectThrows(
    () =>
      extractor(
        Array.from({ length: 500 }, () => TEXTS[0]!),
        { signal: stop.signal },
      ),
    'a call',
  );
  await new Promise(resolve => setTimeout(resolve));
  const began = performance.now();
  stop.abort(reason);
  expect((await call) === reason, 'a call rejects with something else than the reason');
  expect(performance.now() - began < 1000, 'a call does not reject at once');
  // The worker goes on.
  expectSameBits((await extractor('a')).data, (await (await here())('a')).data, 'the next call');
});

check("errors have the page's classes, and all their fields", async () => {
  const missing = addressOf('/nothing/');
  const error = await expectThrows(() => worker.AutoModel.from_pretrained(missing), 'a model that is not there');
  const same = await expectThrows(() => library.AutoModel.from_pretrained(missing), 'the same on the page');
  expect(error instanceof SourceError, `it is no SourceError: ${error}`);
  expect(error.status === 404 && error.file === 'config.json', `${error.status} ${error.file}`);
  expectEqual({ ...error }, { ...(same as object) }, 'fields');
  expectEqual(String(error), String(same), 'message');
  const unknown = await expectThrows(() => worker.pipeline('nothing' as Task), 'a task');
  expect(unknown instanceof UnsupportedError && unknown.supported.includes('fill-mask'), `${unknown}`);
  const empty = await expectThrows(async () => (await there())([]), 'no texts');
  expect(empty instanceof InputError, `it is no InputError: ${empty}`);
  const device = (await (await navigator.gpu.requestAdapter())?.requestDevice())!;
  const given = await expectThrows(() => worker.AutoModel.from_pretrained(BERT, { device } as object), 'a device');
  expect(given instanceof InputError && /a GPUDevice at 1\.device/.test(given.message), `${given}`);
  device.destroy();
});

/** A worker of the page's own. */
const ownWorker = () => new Worker('/site/own-worker.js', { type: 'module' });
const toldBy = (own: Worker) => {
  const told = new Promise<{ fetched: string[]; left: number[] }>(resolve => {
    own.addEventListener('message', ({ data }) => resolve(data));
  });
  own.postMessage('what was done?');
  return told;
};

check("results are handed over, not copied; a worker of the page's own has its own settings", async () => {
  const own = ownWorker();
  await withEnv({ worker: own }, async () => {
    const model = await worker.AutoModel.from_pretrained(BERT);
    const inputs = { input_ids: [[2, 5, 3]] };
    const outputs = await model(inputs, { output_hidden_states: true });
    expect(outputs.last_hidden_state.data.byteLength > 0, 'there is no result');
    const { fetched, left } = await toldBy(own);
    expect(left.length >= 3, `${left.length} memories were handed over`);
    expectEqual(new Set(left), new Set([0]), 'bytes left behind');
    expect(fetched.includes(`${BERT}model.safetensors`), `its own fetch was asked for ${fetched}`);
  });
  own.terminate();
});

check('a worker that ends is noticed, however it ends', async () => {
  for (const end of [(own: Worker) => own.terminate(), (own: Worker) => own.postMessage('close')]) {
    const own = ownWorker();
    await withEnv({ worker: own }, async () => {
      const extractor = await worker.pipeline('feature-extraction', BERT);
      await extractor('a');
      const call = expectThrows(() => extractor(Array.from({ length: 2000 }, () => TEXTS[0]!)), 'a call');
      end(own);
      expect((await call) instanceof WorkerError, 'a call rejects with no WorkerError');
      expect((await expectThrows(() => extractor('a'), 'a later call')) instanceof WorkerError, 'a later call');
      const load = await expectThrows(() => worker.pipeline('feature-extraction', BERT), 'a load');
      expect(load instanceof WorkerError && /unless env\.worker/.test(load.message), `${load}`);
    });
  }
  // Another worker is there as before.
  expectEqual((await (await there())('a')).dims, [1, 3, 384], 'dims');
});

check("the library's own worker, ended by the browser, is started again by the next load", async () => {
  const plain = globalThis.Worker;
  const made: Worker[] = [];
  globalThis.Worker = class extends plain {
    constructor(...values: ConstructorParameters<typeof Worker>) {
      super(...values);
      made.push(this);
    }
  };
  // A connection of its own.
  const fresh = (await at('worker', '?fresh')) as typeof worker;
  try {
    const extractor = await fresh.pipeline('feature-extraction', BERT);
    made[0]!.terminate();
    expect((await expectThrows(() => extractor('a'), 'a call')) instanceof WorkerError, 'it is no WorkerError');
    const again = await fresh.pipeline('feature-extraction', BERT);
    expectSameBits(
      (await again('a')).data,
      (await (await library.pipeline('feature-extraction', BERT))('a')).data,
      'again',
    );
    expectEqual(made.length, 2, 'workers');
  } finally {
    globalThis.Worker = plain;
    for (const each of made) each.terminate();
  }
});

check('a script that is not there, is no script, or may not run', async () => {
  for (const script of ['/nothing.js', '/fixtures/random/bert-base/config.json', 'https://other.invalid/worker.js']) {
    await withEnv({ worker: script }, async () => {
      const error = await expectThrows(() => worker.isSupported(), script);
      expect(error instanceof WorkerError && /could not be started/.test(error.message), `${script}: ${error}`);
    });
  }
});

check("settings of the page's env hold in the worker; addresses are relative to the page", async () => {
  const hub = await (await fetch('/hub')).text();
  await withEnv({ remoteHost: hub }, async () => {
    const extractor = await worker.pipeline('feature-extraction', 'random/bert-base');
    expect(extractor.space.includes('random/bert-base'), extractor.space);
    await extractor.dispose();
  });
  for (const relative of [
    './fixtures/random/bert-base/',
    'fixtures/random/bert-base/',
    '/fixtures/random/bert-base/',
  ]) {
    await (await worker.pipeline('feature-extraction', relative)).dispose();
  }
  await withEnv({ allowRemoteModels: false, allowLocalModels: true, localModelPath: 'fixtures/' }, async () => {
    await (await worker.pipeline('feature-extraction', 'random/bert-base')).dispose();
    const error = await expectThrows(
      () => worker.pipeline('feature-extraction', 'https://a.invalid/b/'),
      'not allowed',
    );
    expect(error instanceof InputError, `${error}`);
  });
  await withEnv({ fetch: (input, init) => fetch(input, init) }, async () => {
    const error = await expectThrows(() => worker.pipeline('feature-extraction', BERT), 'a fetch of the page');
    expect(error instanceof InputError && /env\.fetch/.test(error.message), `${error}`);
  });
});

check('saved files cross with their names, and load again', async () => {
  const extractor = await worker.pipeline('feature-extraction', addressOf('/fixtures/sentence/st-dense/'));
  const [files, own] = [await extractor.save_pretrained(), await extractor.tokenizer.save_pretrained()];
  expect(
    files.every(file => file instanceof File),
    'Files on the page',
  );
  const names = files.map(({ name }) => name);
  expect(names.includes('1_Pooling/config.json') && names.includes('2_Dense/model.safetensors'), names.join());
  expectEqual(own.map(({ name }) => name).sort(), ['tokenizer.json', 'tokenizer_config.json'], "the tokenizer's");
  const again = await worker.pipeline('feature-extraction', files);
  const wanted = await extractor('a', { pooling: 'model' });
  expectSameBits((await again('a', { pooling: 'model' })).data, wanted.data, 'embeddings');
  for (const pipe of [extractor, again]) await pipe.dispose();
});

check('chosen files, Blobs, bytes and URLs of a model cross', async () => {
  const files = await fetchFiles(BERT);
  const names = Object.entries(files);
  const transfer = new DataTransfer();
  for (const [name, bytes] of names) transfer.items.add(new File([bytes], name));
  const before = files['model.safetensors']!.byteLength;
  const sources = [
    files,
    transfer.files,
    names.map(([name, bytes]) => new File([bytes], name)),
    names.map(([name, bytes]) => ({ name: `folder/${name}`, blob: new Blob([bytes]) })),
    Object.fromEntries(names.map(([name, bytes]) => [name, new Blob([bytes])])),
    new URL(BERT),
  ];
  const wanted = await (await library.pipeline('feature-extraction', BERT))('a');
  for (const [i, source] of sources.entries()) {
    const extractor = await worker.pipeline('feature-extraction', source);
    expectSameBits((await extractor('a')).data, wanted.data, `source ${i}`);
    await extractor.dispose();
  }
  expectEqual(files['model.safetensors']!.byteLength, before, "bytes that are still the page's");
});
