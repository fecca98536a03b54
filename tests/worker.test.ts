import { getEventListeners } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import * as library from '../src/index.ts';
import { type ProgressInfo, SourceError, type Task, Tensor } from '../src/index.ts';
import { Trainer } from '../src/train.ts';
import * as worker from '../src/worker.ts';
import { CheckpointError, DeviceError, InputError, UnsupportedError, WorkerError } from '../src/worker.ts';
import type { CPUBackend } from './cpu-backend.ts';
import { fixtureFiles, fixtures } from './fixture-files.ts';
import { checkpointFiles } from './vector-fixtures.ts';
import { type WorkerDouble, workerDoubles } from './worker-double.ts';

/** The entry `webgpu-bert/worker` beside `webgpu-bert`: whole checkpoints, in a worker that runs on this thread, without a GPU. */

const { backends } = vi.hoisted(() => ({ backends: [] as CPUBackend[] }));
vi.mock('../src/engine/webgpu-backend.ts', async original =>
  (await import('./on-the-cpu.ts')).onTheCPU(original, backends),
);

const start = await workerDoubles();
let doubles: WorkerDouble[] = [];
const { env } = worker;
const usual = { ...env };
/** Starts a worker of this test. */
const started = () => {
  const double = start();
  doubles.push(double);
  return double as unknown as Worker;
};

beforeEach(() => {
  // A function of its own for each test: a worker of the one before is not used again.
  env.worker = () => started();
});
afterEach(() => {
  for (const double of doubles) double.terminate();
  doubles = [];
  delete env.worker;
  Object.assign(env, usual);
  backends.splice(0);
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

const BERT = fixtureFiles('random/bert-base');
const thrown = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    value => expect.unreachable(`nothing was thrown, but ${value} given`),
    error => error,
  );

/** The properties that are not enumerable, of an answer and of all inside of it. */
function facts(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return undefined;
  const own = Object.entries(Object.getOwnPropertyDescriptors(value)).filter(
    ([name, { enumerable }]) => !enumerable && name !== 'length',
  );
  return [own.map(([name, { value }]) => [name, value]), Object.values(value).map(facts)];
}

/** The same values, types and facts: all of it, to the bit. */
function expectSame(there: unknown, here: unknown): void {
  expect(there).toStrictEqual(here);
  expect(facts(there)).toEqual(facts(here));
}

type AnyPipeline = ((...values: unknown[]) => Promise<unknown>) & { dispose(): Promise<void> };
const { cases } = JSON.parse(readFileSync(join(fixtures, 'random/pipelines.json'), 'utf8')) as {
  cases: { task: Task; model: string; args: unknown[]; options: Record<string, unknown> }[];
};

describe('the same answers, to the bit, with all that is said of the texts', () => {
  test.each([...new Set(cases.map(({ model }) => model))])('%s', async model => {
    const calls = cases.filter(golden => golden.model === model);
    const { task } = calls[0]!;
    const files = fixtureFiles(`random/${model}`);
    const here = (await library.pipeline(task, files)) as unknown as AnyPipeline;
    const there = (await worker.pipeline(task, files)) as unknown as AnyPipeline;
    for (const { args, options } of calls) expectSame(await there(...args, options), await here(...args, options));
    await Promise.all([here.dispose(), there.dispose()]);
    expect(backends.every(({ isDestroyed }) => isDestroyed)).toBe(true);
  });

  test('embeddings, queries and documents, prompts and spaces', async () => {
    const files = checkpointFiles('st-prompts');
    const here = await library.pipeline('feature-extraction', files);
    const there = await worker.pipeline('feature-extraction', files);
    const texts = ['one', 'two words', 'three'];
    for (const options of [
      {},
      { pooling: 'mean', normalize: true },
      { pooling: 'model', precision: 'int8' },
    ] as const) {
      expectSame(await there(texts, options), await here(texts, options));
    }
    expectSame(
      await there.encode_query('one', { truncate_dim: 8 }),
      await here.encode_query('one', { truncate_dim: 8 }),
    );
    expectSame(await there.encode_document(texts), await here.encode_document(texts));
    expect([there.prompts, there.space, there.task]).toEqual([here.prompts, here.space, here.task]);
  });

  test('a pipeline of a model and a tokenizer that the worker has', async () => {
    const files = fixtureFiles('random/bert-sequence');
    const model = await worker.AutoModelForSequenceClassification.from_pretrained(files);
    const tokenizer = await worker.AutoTokenizer.from_pretrained(files);
    const there = await worker.pipeline('text-classification', model, { tokenizer });
    expect(backends).toHaveLength(1);
    const here = await library.pipeline('text-classification', files);
    expectSame(await there('one'), await here('one'));
    await there.dispose();
    expect(backends[0]!.isDestroyed).toBe(true);
    const task = 'text-classification';
    const pageModel = await library.AutoModelForSequenceClassification.from_pretrained(files);
    expect(await thrown(worker.pipeline(task, pageModel as never))).toBeInstanceOf(InputError);
    // Of another worker it is not.
    env.worker = () => started();
    const error = await thrown(worker.pipeline(task, model));
    expect(error).toBeInstanceOf(InputError);
    expect((error as Error).message).toContain('an object of another worker');
  });

  test('new models: of a config, and with a head that the checkpoint lacks', async () => {
    const config = await worker.AutoConfig.from_pretrained(fixtureFiles('random/bert-masked-lm'));
    const inputs = { input_ids: new Tensor('int64', [2n, 5n, 3n], [1, 3]) };
    const there = await worker.AutoModelForMaskedLM.from_config(config, { seed: 7 });
    const here = await library.AutoModelForMaskedLM.from_config(config, { seed: 7 });
    expectSame(await there(inputs), await here(inputs));
    expect(there.newly_initialized).toEqual(here.newly_initialized);
    expect(there.config).toEqual(here.config);
    const tokenizer = await worker.AutoTokenizer.from_pretrained(fixtureFiles('random/bert-masked-lm'));
    const unmasker = await worker.pipeline('fill-mask', there, { tokenizer });
    expect(await unmasker('Paris is [MASK].')).toHaveLength(5);
    vi.spyOn(console, 'warn').mockImplementation(() => undefined);
    const labels = { id2label: ['complaint', 'praise'], seed: 3 };
    const headed = await worker.AutoModelForSequenceClassification.from_pretrained(BERT, labels);
    expectSame(
      await headed(inputs),
      await (await library.AutoModelForSequenceClassification.from_pretrained(BERT, labels))(inputs),
    );
    expect(await thrown(worker.AutoModel.from_config({ ...config, model_type: 'gpt2' }))).toBeInstanceOf(
      UnsupportedError,
    );
    expect(String(await thrown(worker.AutoModel.from_config(config, { num_labels: 3 } as object)))).toMatch(
      /from_config has no option "num_labels"/,
    );
    const device = new (class GPUDevice {
      createComputePipelineAsync(): void {}
    })();
    const error = (await thrown(worker.AutoModel.from_config(config, { device } as object))) as InputError;
    expect(error).toBeInstanceOf(InputError);
    expect(error.message).toContain('Leave `device` out');
  });

  test('a Trainer refuses a model of the worker, and says where it can be trained', async () => {
    const model = await worker.AutoModelForSequenceClassification.from_pretrained(fixtureFiles('random/bert-sequence'));
    const make = () => new Trainer({ model: model as never });
    expect(make).toThrow(InputError);
    expect(make).toThrow("train it in a worker script of yours, which imports 'webgpu-bert/train'");
  });

  test('sparse vectors', async () => {
    const files = checkpointFiles('splade-max');
    const here = await library.SparseEncoder.from_pretrained(files);
    const there = await worker.SparseEncoder.from_pretrained(files);
    const texts = ['one', 'two words'];
    const [mine, theirs] = [await there.encode_document(texts), await here.encode_document(texts)];
    expectSame(mine, theirs);
    const query = await there.encode_query('one');
    expectSame(await there.similarity(query, mine), here.similarity(query, theirs));
    expectSame(await there.decode(query, 3), here.decode(query, 3));
    expect(await there.get_embedding_dimension()).toBe(here.get_embedding_dimension());
    expect(there.similarity_fn_name).toBe(here.similarity_fn_name);
  });

  test('late interaction', async () => {
    const files = checkpointFiles('colbert');
    const here = await library.MultiVectorEncoder.from_pretrained(files);
    const there = await worker.MultiVectorEncoder.from_pretrained(files);
    const texts = ['one', 'two words'];
    const [mine, theirs] = [await there.encode_document(texts), await here.encode_document(texts)];
    expectSame(mine, theirs);
    const query = await there.encode_query('one');
    expectSame(await there.similarity(query, mine), await here.similarity(query, theirs));
    expectSame(await there.rank('one', texts, { top_k: 1 }), await here.rank('one', texts, { top_k: 1 }));
    // What was handed over as an argument is still there.
    expect(query.data.length).toBeGreaterThan(0);
  });

  test('models and tokenizers', async () => {
    const [tokenizer, model] = await Promise.all([
      worker.AutoTokenizer.from_pretrained(BERT),
      worker.AutoModel.from_pretrained(BERT),
    ]);
    const here = await library.AutoTokenizer.from_pretrained(BERT);
    const inputs = await tokenizer(['one', 'two words'], { padding: true });
    const options = { output_hidden_states: true, output_attentions: [1] };
    const plain = await library.AutoModel.from_pretrained(BERT);
    expectSame(await model(inputs, options), await plain(inputs, options));
    expect(inputs).toStrictEqual(here(['one', 'two words'], { padding: true }));
    expect(await tokenizer.encode('one')).toEqual(here.encode('one'));
    expect(await tokenizer.decode(inputs.input_ids[0]!)).toBe(here.decode(inputs.input_ids[0]!));
    expect(await tokenizer.convert_tokens_to_ids(['[CLS]', 'none such'])).toEqual(
      here.convert_tokens_to_ids(['[CLS]', 'none such']),
    );
    expect(await tokenizer.get_vocab()).toEqual(here.get_vocab());
    expect(model.config).toStrictEqual(plain.config);
    expect(model.config).toBeInstanceOf(library.PretrainedConfig);
    expect(await model.bytes()).toEqual(await plain.bytes());
    expect(model.adapter).toBe('interpreter');
    // A setting of a tokenizer is one of the original.
    tokenizer.padding_side = here.padding_side = 'left';
    expect(tokenizer.padding_side).toBe('left');
    expectSame(
      (await tokenizer(['one', 'two words'], { padding: true })).input_ids,
      here(['one', 'two words'], { padding: true }).input_ids,
    );
  });
});

/** The names of all that an object and its classes have. */
function members(object: object): string[] {
  const names = new Set(Object.keys(object));
  const ends: (object | null)[] = [null, Object.prototype, Function.prototype];
  for (let at: object | null = object; !ends.includes(at); at = Object.getPrototypeOf(at)) {
    for (const name of Object.getOwnPropertyNames(at)) names.add(name);
  }
  for (const name of ['constructor', 'length', 'name']) names.delete(name);
  return [...names].sort();
}

/** What of the objects of the library is not there on the page: the tokenizer below the tokenizer, and what is internal. */
const STAYS = ['engine', 'readSentence', 'sentence', 'text'];

describe('all that the library has is there', () => {
  test('its exports, but the two classes that are not made by hand; other names stand for the same classes', async () => {
    const { PreTrainedModel, PreTrainedTokenizer, ...exports } = library;
    expect(Object.keys(exports).filter(name => !(name in worker))).toEqual([]);
    const [here, there] = [library, worker] as unknown as [Record<string, unknown>, Record<string, unknown>];
    const nameIn = (entry: Record<string, unknown>, name: string) =>
      Object.keys(entry).find(each => /^Auto/.test(each) && entry[each] === entry[name]);
    for (const name of Object.keys(await import('../src/class-names.ts'))) {
      expect([name, nameIn(there, name)]).toEqual([name, nameIn(here, name)]);
    }
    expect(Object.keys(worker).filter(name => !(name in exports))).toEqual(['WorkerError']);
    expect(worker.Tensor).toBe(library.Tensor);
    expect(worker.InputError).toBe(library.InputError);
    expect(worker.env).toBe(library.env);
  });

  const TASKS = new Map(cases.map(({ task, model }) => [task, model]));
  test.each([...TASKS, ['feature-extraction', 'bert-base'], ['sentence-similarity', 'bert-base']] as [Task, string][])(
    'every member of the pipeline %s',
    async (task, model) => {
      const files = fixtureFiles(`random/${model}`);
      const [here, there] = await Promise.all([library.pipeline(task, files), worker.pipeline(task, files)]);
      for (const part of [(each: object) => each, (each: object) => Reflect.get(each, 'model') as object]) {
        expect(members(part(there))).toEqual(members(part(here)).filter(name => !STAYS.includes(name)));
      }
      expect(members(there.tokenizer)).toEqual(members(here.tokenizer).filter(name => !STAYS.includes(name)));
    },
  );

  test.each([
    ['SparseEncoder', library.SparseEncoder, worker.SparseEncoder, 'splade-max'],
    ['MultiVectorEncoder', library.MultiVectorEncoder, worker.MultiVectorEncoder, 'colbert'],
  ] as const)('every member of a %s', async (_, here, there, checkpoint) => {
    const files = checkpointFiles(checkpoint);
    expect(members(await there.from_pretrained(files))).toEqual(members(await here.from_pretrained(files)));
  });
});

test('a property that throws on the page throws the same here', async () => {
  const modules = new TextEncoder().encode('[{ "type": "sentence_transformers.models.CNN", "path": "" }]');
  const files = { ...BERT, 'modules.json': modules as Uint8Array<ArrayBuffer> };
  const here = await library.pipeline('feature-extraction', files);
  const there = await worker.pipeline('feature-extraction', files);
  expect(() => here.space).toThrow(UnsupportedError);
  expect(() => there.space).toThrow(UnsupportedError);
  expect(there.prompts).toEqual(here.prompts);
});

describe('errors', () => {
  test.each<[string, () => Promise<unknown>, () => Promise<unknown>, abstract new (...values: never[]) => Error]>([
    [
      'an unknown task',
      () => library.pipeline('nothing' as Task, BERT),
      () => worker.pipeline('nothing' as Task, BERT),
      UnsupportedError,
    ],
    [
      'a file that is not there',
      () => library.AutoModel.from_pretrained({}),
      () => worker.AutoModel.from_pretrained({}),
      SourceError,
    ],
    [
      'damaged weights',
      () => library.AutoModel.from_pretrained({ ...BERT, 'model.safetensors': new Uint8Array(9) }),
      () => worker.AutoModel.from_pretrained({ ...BERT, 'model.safetensors': new Uint8Array(9) }),
      CheckpointError,
    ],
  ])('%s: of the same class, with the same fields', async (_, here, there, type) => {
    const [mine, theirs] = (await Promise.all([thrown(there()), thrown(here())])) as [Error, Error];
    expect(mine).toBeInstanceOf(type);
    expect(mine.message).toBe(theirs.message);
    expect({ ...mine }).toEqual({ ...theirs });
  });

  test('of a call, and of one after the model is gone', async () => {
    const there = await worker.pipeline('feature-extraction', BERT);
    const error = (await thrown(there(['a'], { pooling: 'nothing' as 'mean' }))) as UnsupportedError;
    expect(error).toBeInstanceOf(UnsupportedError);
    expect(error.supported).toContain('mean');
    expect(await thrown(there([]))).toBeInstanceOf(InputError);
    await there.dispose();
    expect(await thrown(there(['a']))).toBeInstanceOf(DeviceError);
    // Its tokenizer goes on, as on the page.
    expect(await there.tokenizer.encode('a')).toHaveLength(3);
  });

  test('an argument that cannot leave the page is refused by name', async () => {
    const device = new (class GPUDevice {
      createComputePipelineAsync() {}
    })();
    const error = (await thrown(worker.pipeline('feature-extraction', BERT, { device } as object))) as InputError;
    expect(error).toBeInstanceOf(InputError);
    expect(error.message).toMatch(/an instance of GPUDevice at 2\.device.*the worker opens one/);
  });
});

describe('signals', () => {
  const reason = new Error('no longer wanted');

  test('an aborted load rejects at once with the reason, and leaves nothing', async () => {
    const stop = new AbortController();
    const loading = worker.pipeline('feature-extraction', BERT, {
      signal: stop.signal,
      progress_callback: ({ status }) => status === 'upload' && stop.abort(reason),
    });
    expect(await thrown(loading)).toBe(reason);
    await vi.waitFor(() => expect(backends.map(({ isDestroyed }) => isDestroyed)).toEqual([true]));
    expect(getEventListeners(stop.signal, 'abort')).toEqual([]);
    expect(await thrown(worker.pipeline('feature-extraction', BERT, { signal: stop.signal }))).toBe(reason);
    expect(backends).toHaveLength(1);
  });

  test('a model that comes after its load was given up is given back', async () => {
    const stop = new AbortController();
    const loading = worker.pipeline('feature-extraction', BERT, {
      signal: stop.signal,
      // The load is done, and its result is on the way.
      progress_callback: ({ status }) => status === 'ready' && stop.abort(reason),
    });
    expect(await thrown(loading)).toBe(reason);
    await vi.waitFor(() => expect(backends.map(({ isDestroyed }) => isDestroyed)).toEqual([true]));
  });

  test('an aborted call rejects at once with the reason; the model goes on; nobody listens any more', async () => {
    const there = await worker.pipeline('feature-extraction', BERT);
    const stop = new AbortController();
    const texts = Array.from({ length: 40 }, () => 'a');
    let done = 0;
    const call = there(texts, {
      signal: stop.signal,
      progress_callback: info => {
        done = info.status === 'run' ? info.loaded : done;
        stop.abort(reason);
      },
    });
    expect(await thrown(call)).toBe(reason);
    expect(done).toBeLessThan(40);
    const other = new AbortController();
    await there('a', { signal: other.signal });
    expect([stop, other].flatMap(({ signal }) => getEventListeners(signal, 'abort'))).toEqual([]);
  });
});

describe('callbacks', () => {
  test('tell of loads and calls what they tell on the page', async () => {
    const told = async ({ pipeline }: Pick<typeof library | typeof worker, 'pipeline'>) => {
      const events: ProgressInfo[] = [];
      const progress_callback = (info: ProgressInfo) => events.push(info);
      const extractor = await pipeline('feature-extraction', BERT, { progress_callback });
      const before = events.length;
      await extractor(['a', 'b', 'c', 'd'], { progress_callback });
      return { load: events.slice(0, before).map(({ status }) => status), run: events.slice(before) };
    };
    const there = await told(worker as unknown as typeof library);
    expect(there).toEqual(await told(library));
    expect(there.run.at(-1)).toMatchObject({ status: 'run', progress: 100, loaded: 4, total: 4 });
  });

  test.each(['load', 'run'])('one that throws ends the %s with what it threw', async where => {
    const reason = new Error('thrown');
    const progress_callback = () => {
      throw reason;
    };
    if (where === 'load') {
      expect(await thrown(worker.pipeline('feature-extraction', BERT, { progress_callback }))).toBe(reason);
      await vi.waitFor(() => expect(backends.every(({ isDestroyed }) => isDestroyed)).toBe(true));
      return;
    }
    const there = await worker.pipeline('feature-extraction', BERT);
    expect(await thrown(there(['a', 'b', 'c', 'd'], { progress_callback }))).toBe(reason);
    expect((await there('a')).dims).toEqual([1, 3, 48]);
  });
});

test("a result's memory is handed over, not copied", async () => {
  const there = await worker.pipeline('feature-extraction', BERT);
  const said = vi.spyOn(MessagePort.prototype, 'postMessage');
  const { data } = await there(['a', 'b'], { pooling: 'mean' });
  const [, transferred] = said.mock.calls.find(([message]) => (message as { type: string }).type === 'result')!;
  const [buffer] = transferred as unknown as ArrayBuffer[];
  // What a channel has transferred is empty where it came from.
  expect([buffer!.byteLength, data.byteLength]).toEqual([0, 2 * 48 * 4]);
});

test('events of a model come to its listeners, with its properties as they are behind them', async () => {
  const { model } = await worker.pipeline('feature-extraction', BERT);
  const heard: unknown[] = [];
  const listener = ({ type, detail }: CustomEvent<object>) => heard.push([type, detail, model.adapter]);
  model.addEventListener('devicelost', listener);
  model.addEventListener('restored', listener, { once: true });
  backends[0]!.lose();
  await vi.waitFor(() => expect(heard).toHaveLength(2));
  expect(heard).toEqual([
    ['devicelost', { reason: 'unknown', message: 'for a test' }, 'interpreter'],
    ['restored', { adapter: 'interpreter' }, 'interpreter'],
  ]);
  model.removeEventListener('devicelost', listener);
  backends[1]!.lose();
  await vi.waitFor(() => expect(backends).toHaveLength(3));
  expect(heard).toHaveLength(2);
});

describe('the worker', () => {
  test('is started by the first call, once for all models', async () => {
    const loads = [worker.pipeline('feature-extraction', BERT), worker.AutoTokenizer.from_pretrained(BERT)];
    await Promise.all(loads);
    await worker.isSupported();
    expect(doubles).toHaveLength(1);
  });

  test('that does not start rejects every call with the reason; the next call tries again', async () => {
    env.worker = () => {
      const double = started();
      // Nothing is said to a script that is not there.
      double.postMessage = () => undefined;
      return double;
    };
    const loads = [worker.pipeline('feature-extraction', BERT), worker.isSupported()].map(thrown);
    await vi.waitFor(() => expect(doubles).toHaveLength(1));
    doubles[0]!.fail();
    for (const error of (await Promise.all(loads)) as WorkerError[]) {
      expect(error).toBeInstanceOf(WorkerError);
      expect(error.message).toMatch(/could not be started.*no reason from the browser.*optimizeDeps.*env\.worker/s);
    }
    expect(doubles[0]!.terminated).toBe(1);
    const again = thrown(worker.isSupported());
    await vi.waitFor(() => expect(doubles).toHaveLength(2));
    doubles[1]!.fail('SyntaxError: for a test');
    expect(String(await again)).toMatch('SyntaxError: for a test');
  });

  test('that the browser refuses to start', async () => {
    const cause = new DOMException('refused by a policy', 'SecurityError');
    env.worker = () => {
      throw cause;
    };
    const error = (await thrown(worker.isSupported())) as WorkerError;
    expect(error).toBeInstanceOf(WorkerError);
    expect([error.actual, error.cause]).toEqual(['refused by a policy', cause]);
  });

  test('that fails in the middle rejects all calls; its models are lost; another is started', async () => {
    const there = await worker.pipeline('feature-extraction', BERT);
    const calls = [there('a'), there.tokenizer.encode('a')].map(thrown);
    doubles[0]!.fail('out of memory');
    for (const error of await Promise.all([...calls, thrown(there('b'))])) {
      expect(error).toBeInstanceOf(WorkerError);
      expect(String(error)).toMatch(/the worker has ended: got out of memory/);
    }
    there.tokenizer.padding_side = 'left';
    const again = await worker.pipeline('feature-extraction', BERT);
    expect(doubles).toHaveLength(2);
    expect((await again('a')).dims).toEqual([1, 3, 48]);
  });

  test('that ends without a word is noticed by the lock that it held', async () => {
    /** Locks as of the Web Locks API: one holder for a name, the others wait. */
    const waiting: (() => void)[] = [];
    let give: () => void = () => undefined;
    const request = vi.fn(async (_: string, ...more: unknown[]) => {
      const granted = more.at(-1) as () => Promise<unknown>;
      if (request.mock.calls.length === 1) {
        give = () => {
          for (const next of waiting.splice(0)) next();
        };
        return granted();
      }
      await new Promise<void>(resolve => waiting.push(resolve));
      return granted();
    });
    vi.stubGlobal('navigator', { locks: { request } });
    const there = await worker.pipeline('feature-extraction', BERT);
    await vi.waitFor(() => expect(waiting).toHaveLength(1));
    expect(new Set(request.mock.calls.map(([name]) => name)).size).toBe(1);
    doubles[0]!.terminate();
    const call = thrown(there('a'));
    give();
    expect(await call).toBeInstanceOf(WorkerError);
  });

  test('where there are none', async () => {
    env.worker = null;
    const error = (await thrown(worker.isSupported())) as WorkerError;
    expect(error).toBeInstanceOf(WorkerError);
    expect(error.message).toMatch(/no module workers\. Import from 'webgpu-bert'/);
  });

  test('of the library is a module beside the entry; a URL of the caller is one, too', async () => {
    const made: unknown[][] = [];
    vi.stubGlobal('Worker', function (this: unknown, ...values: unknown[]) {
      made.push(values);
      return started();
    });
    env.worker = null;
    await worker.isSupported();
    env.worker = '/own.js';
    await worker.isSupported();
    expect(made).toEqual([
      [new URL('../src/worker-script.js', import.meta.url), { type: 'module' }],
      ['/own.js', { type: 'module' }],
    ]);
    // Bundlers look for this text.
    expect(readFileSync(new URL('../src/worker.ts', import.meta.url), 'utf8')).toContain(
      "new Worker(new URL('./worker-script.js', import.meta.url), { type: 'module' })",
    );
  });

  test("of the caller's own is never ended, nor by an error of its own; one that has ended is named", async () => {
    const own = started();
    env.worker = own;
    const there = await worker.pipeline('feature-extraction', BERT);
    doubles[0]!.fail('an error of the page');
    expect((await there('a')).dims).toEqual([1, 3, 48]);
    own.dispatchEvent(new Event('messageerror'));
    for (const call of [there('a'), worker.isSupported()]) {
      expect(String(await thrown(call))).toMatch(/WorkerError/);
    }
    expect(doubles).toHaveLength(1);
    expect(doubles[0]!.terminated).toBe(0);
    env.worker = started();
    expect(await worker.isSupported()).toMatchObject({ ok: false });
  });

  test('leaves messages of others alone', () => {
    const own = started();
    for (const message of [
      undefined,
      null,
      'webgpu-bert/connect',
      { type: 'other' },
      { type: 'webgpu-bert/connect' },
    ]) {
      own.postMessage(message);
    }
    expect(doubles[0]!.ports).toEqual([]);
  });

  test('lets go of what the page has lost, and ends when that is all', async () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const released: number[] = [];
    let kept: { encode(text: string): Promise<number[]> } | undefined;
    await (async () => {
      const { tokenizer } = await worker.pipeline('feature-extraction', BERT);
      kept = tokenizer;
      doubles[0]!.ports[0]!.addEventListener('message', ({ data }) => {
        if (data.type === 'release') released.push(data.of);
      });
    })();
    const until = (condition: () => void) =>
      vi.waitFor(
        () => {
          collect();
          condition();
        },
        { timeout: 20_000 },
      );
    await until(() => expect(released).toHaveLength(2));
    expect(await kept!.encode('a')).toHaveLength(3);
    expect(doubles[0]!.terminated).toBe(0);
    kept = undefined;
    await until(() => expect(doubles[0]!.terminated).toBe(1));
    await worker.isSupported();
    expect(doubles).toHaveLength(2);
  });
});

describe('the settings of the page', () => {
  const settingsOf = async (call: () => Promise<unknown>) => {
    const said = vi.spyOn(MessagePort.prototype, 'postMessage');
    await call();
    const [message] = said.mock.calls.find(([message]) => (message as { type: string }).type === 'call')!;
    said.mockRestore();
    return (message as { settings: object }).settings;
  };

  test('are told where they are not the usual ones, before the call, and once', async () => {
    env.remoteHost = 'https://hub.test/';
    env.useBrowserCache = !usual.useBrowserCache;
    const load = () => thrown(worker.pipeline('nothing' as Task, BERT));
    expect(await settingsOf(load)).toEqual({
      remoteHost: 'https://hub.test/',
      useBrowserCache: !usual.useBrowserCache,
    });
    env.remoteHost = usual.remoteHost;
    expect(await settingsOf(load)).toEqual({ remoteHost: usual.remoteHost });
    expect(await settingsOf(load)).toEqual({});
  });

  test('come with the address of the page, against which the worker reads relative ones', async () => {
    vi.stubGlobal('document', { baseURI: 'https://page.test/app/' });
    const load = () => thrown(worker.pipeline('nothing' as Task, BERT));
    expect(await settingsOf(load)).toEqual({ baseURL: 'https://page.test/app/' });
  });

  test.each([
    ['fetch', () => globalThis.fetch],
    ['customCache', () => ({ match: async () => undefined, put: async () => undefined })],
  ] as const)('%s, which is a function, is refused, and says what to do', async (name, value) => {
    Object.assign(env, { [name]: value() });
    const error = (await thrown(worker.pipeline('feature-extraction', BERT))) as InputError;
    expect(error).toBeInstanceOf(InputError);
    expect(error.message).toMatch(new RegExp(`env\\.${name} cannot.*webgpu-bert/worker-script.*env\\.worker`));
    Object.assign(env, usual);
    expect(await worker.AutoTokenizer.from_pretrained(BERT)).toBeTypeOf('function');
  });
});

test('a tensor that was made here is an argument as any other', async () => {
  const model = await worker.AutoModel.from_pretrained(BERT);
  const input_ids = new Tensor('int64', [2n, 5n, 3n], [1, 3]);
  const { last_hidden_state } = await model({ input_ids });
  expect(last_hidden_state).toBeInstanceOf(Tensor);
  expect(input_ids.data).toEqual(BigInt64Array.of(2n, 5n, 3n));
});
