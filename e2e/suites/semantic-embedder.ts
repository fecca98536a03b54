import { check, expect, expectEqual, expectSameBits, expectThrows } from '../harness.ts';
import { library, MINILM, once } from '../library.ts';

/**
 * The entry `webgpu-bert/semantic-embedder` in a page, with its default model. The first cases ask, in words of their own, what the tests
 * of the web platform (web-platform-tests/wpt, ai/semantic_embedder, as of November 2026) ask of a browser, under the names of those
 * files, and what its helpers (ai/resources/util.js) ask of the sisters of this class. One test cannot apply: that `create` rejects with
 * a NotAllowedError without a user's gesture, for a page may load what it likes. The files themselves are not run: they
 * come with a checkout of that repository, which is no dependency here, and not by npm. They take the class from the global object and
 * drive a browser's gesture through testdriver.js, which needs the server and the runner of that project.
 */
type Entry = typeof import('../../src/adapters/semantic-embedder.ts');
const at = (module: string): Promise<unknown> => import(/* @vite-ignore */ `/dist/es/${module}.js`);
const { SemanticEmbedder } = (await at('semantic-embedder')) as Entry;

// The entry shares its modules, and so its `env`, with the main one. The default model, an id of the hub, lies beside the page.
const { env } = (await at('index')) as typeof library;
Object.assign(env, {
  useBrowserCache: false,
  allowLocalModels: true,
  localModelPath: '/models',
  allowRemoteModels: false,
});

/** With no remote model allowed, a model is named by its path. */
const MINILM_PATH = new URL(MINILM, location.href).pathname;
const VALUES = ['unavailable', 'downloadable', 'downloading', 'available'];
const embedder = once(() => SemanticEmbedder.create());

/** Rejects with an AbortError, or the reason that is given; at once, and again with the same signal. */
async function expectAborts(make: (signal: AbortSignal) => Promise<unknown>, label: string): Promise<void> {
  for (const reason of [undefined, new Error('enough')]) {
    const controller = new AbortController();
    const pending = expectThrows(() => make(controller.signal), label);
    controller.abort(reason);
    for (const error of [await pending, await expectThrows(() => make(controller.signal), label)]) {
      if (reason) expect(error === reason, `${label}: another error: ${error}`);
      else expectEqual((error as DOMException).name, 'AbortError', label);
    }
  }
}

check('semantic-embedder-availability: a valid value, without options and with empty ones', async () => {
  for (const options of [[], [{}], [null]]) {
    const availability = await SemanticEmbedder.availability(...options);
    expect(VALUES.includes(availability), availability);
    expect(availability !== 'unavailable', 'WebGPU is there');
  }
});

check('semantic-embedder-create: an object, and results of the proposal', async () => {
  const made = await embedder();
  expect(made instanceof SemanticEmbedder, 'the class');
  expectEqual(String(made), '[object SemanticEmbedder]', 'its name');
  for (const input of ['hello', ['hello'], ['hello', 'world'], []]) {
    const { embeddings } = await made.embed(input, { taskType: 'classification' });
    expect(Array.isArray(embeddings), 'a list');
    expectEqual(embeddings.length, [input].flat().length, 'its length');
    for (const { values } of embeddings) {
      expect(values instanceof Float32Array, 'Float32Array');
      expectEqual(values.length, 384, 'columns');
    }
  }
});

check('semantic-embedder-create: can be aborted, as embed can', async () => {
  await expectAborts(signal => SemanticEmbedder.create({ signal, model: MINILM_PATH }), 'create');
  const made = await embedder();
  await expectAborts(signal => made.embed('hello', { signal }), 'embed');
});

check('semantic-embedder-create-monitor: rises from 0 to 1, and says nothing afterwards', async () => {
  const events: ProgressEvent[] = [];
  let isMade = false;
  const made = await SemanticEmbedder.create({
    model: MINILM_PATH,
    monitor: target =>
      target.addEventListener('downloadprogress', event => {
        expect(!isMade, 'an event after create()');
        events.push(event as ProgressEvent);
      }),
  });
  isMade = true;
  const loaded = events.map(event => event.loaded);
  expectEqual([loaded[0], loaded.at(-1)], [0, 1], 'the ends');
  expect(loaded.length > 2, 'the download is told in between');
  for (const [i, event] of events.entries()) {
    expect(event instanceof ProgressEvent, 'ProgressEvent');
    expectEqual([event.lengthComputable, event.total], [true, 1], 'the event');
    expectEqual(event.loaded % (1 / 0x10000), 0, 'the step');
    expect(i === 0 || event.loaded > loaded[i - 1]!, 'it rises');
  }
  made.destroy();
});

check('util: an abort at the first and at the last event of progress, and a monitor that throws', async () => {
  for (const at of [0, 1]) {
    const controller = new AbortController();
    const reason = new Error('enough');
    const monitor = (target: EventTarget) =>
      target.addEventListener('downloadprogress', event => {
        if ((event as ProgressEvent).loaded === at) controller.abort(reason);
      });
    const { signal } = controller;
    const error = await expectThrows(() => SemanticEmbedder.create({ model: MINILM_PATH, monitor, signal }), 'create');
    expect(error === reason, `at ${at}: another error: ${error}`);
  }
  const thrown = new Error('no monitor');
  let events = 0;
  const monitor = (target: EventTarget) => {
    target.addEventListener('downloadprogress', () => events++);
    throw thrown;
  };
  const error = await expectThrows(() => SemanticEmbedder.create({ model: MINILM_PATH, monitor }), 'create');
  expect(error === thrown, `another error: ${error}`);
  expectEqual(events, 0, 'events after the monitor has thrown');
});

check('util: calls under way, and later ones, end with destroy and with the signal of create', async () => {
  const calls = (one: InstanceType<typeof SemanticEmbedder>) => [one.embed('hello'), one.embed(['hello', 'world'])];
  const reasonsOf = async (promises: Promise<unknown>[]) =>
    (await Promise.allSettled(promises)).map(one => (one.status === 'rejected' ? one.reason : 'an answer'));
  const destroyed = await SemanticEmbedder.create();
  const early = calls(destroyed);
  destroyed.destroy();
  for (const error of await reasonsOf([...early, ...calls(destroyed)]))
    expectEqual(error.name, 'AbortError', 'destroy');

  const controller = new AbortController();
  const reason = new Error('enough');
  const followed = await SemanticEmbedder.create({ signal: controller.signal });
  const pending = calls(followed);
  controller.abort(reason);
  for (const error of await reasonsOf([...pending, ...calls(followed)])) expect(error === reason, `signal: ${error}`);
});

check('the values of the pipeline, and a way to choose the model', async () => {
  const extractor = await library.pipeline('feature-extraction', MINILM);
  const texts = ['Where is the station?', 'The train leaves at eight.'];
  const expected = await extractor(texts, { pooling: 'model' });
  const made = await SemanticEmbedder.create({ model: MINILM_PATH });
  for (const one of [made, await embedder()]) {
    const { embeddings, metadata } = await one.embed(texts, { taskType: 'retrieval-query' });
    const rows = embeddings.flatMap(({ values }) => [...values]);
    expectSameBits(rows, [...(expected.data as Float32Array)], 'values');
    expectEqual(
      embeddings.map(({ statistics }) => statistics),
      texts.map((_, i) => ({ tokenCount: expected.tokens[i], truncated: false })),
      'statistics',
    );
    expectEqual(metadata.maxInputTokens, 256, 'max_seq_length of the checkpoint');
  }
  made.destroy();
  const error = (await expectThrows(() => made.embed('a'), 'destroyed')) as DOMException;
  expect(error instanceof DOMException, 'a DOMException');
  expectEqual(error.name, 'AbortError', 'destroyed');
  await extractor.dispose();
});

check('a model that is not there is a NetworkError', async () => {
  const error = await expectThrows(() => SemanticEmbedder.create({ model: '/models/nothing/' }), 'create');
  expect(error instanceof DOMException, String(error));
  expectEqual((error as DOMException).name, 'NetworkError', 'its name');
  expectEqual((error as Error & { cause: Error }).cause.name, 'SourceError', 'its cause');
});
