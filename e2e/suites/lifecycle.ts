import type { FeatureExtractionPipeline, PreTrainedModel, PretrainedOptions } from '../../src/index.ts';
import { random } from '../../tests/checkpoint-bytes.ts';
import { liveBuffers } from '../gpu-watch.ts';
import { check, expect, expectEqual, expectThrows } from '../harness.ts';
import { BERT, fetchFiles, library, ownDevice } from '../library.ts';
import { fewOf } from '../slow-compiler.ts';

/** Devices that are lost, calls that are given up, models that are disposed of, at any moment: right answers, and nothing left. */

const { AutoModel, DeviceError, env, isSupported, pipeline } = library;

/** Devices that the library has opened, the last of them last. */
const opened: GPUDevice[] = [];
const { requestDevice } = GPUAdapter.prototype;
GPUAdapter.prototype.requestDevice = async function (this: GPUAdapter, ...values: Parameters<typeof requestDevice>) {
  const device = await requestDevice.apply(this, values);
  if (values[0]?.label === 'webgpu-bert') {
    opened.push(device);
    onOpen(device);
  }
  return device;
};
let onOpen: (device: GPUDevice) => void = () => undefined;

/** What happens at each submit of something, before it. */
let onSubmit: (queue: GPUQueue) => void = () => undefined;
const { submit } = GPUQueue.prototype;
GPUQueue.prototype.submit = function (this: GPUQueue, commands) {
  if ([...commands].length) onSubmit(this);
  return submit.call(this, commands);
};

const settle = (ms = 50) => new Promise<void>(resolve => setTimeout(resolve, ms));
const TEXTS = ['Paris is the capital of France.', 'a', 'The quick brown fox jumps over the lazy dog.', ''];
const MANY = Array.from({ length: 600 }, (_, i) => `${TEXTS[i % 3]} ${i} `.repeat(4));
const POOLED = { pooling: 'mean', normalize: true } as const;
const bitsOf = async (extract: FeatureExtractionPipeline, texts: string[], signal?: AbortSignal) =>
  (await extract(texts, { ...POOLED, ...(signal && { signal }) })).data as Float32Array;

/** The answers of a model that nothing happened to. */
const wanted = (async () => {
  const extract = await pipeline('feature-extraction', BERT);
  const bits = { few: await bitsOf(extract, TEXTS), many: await bitsOf(extract, MANY) };
  await extract.dispose();
  expect(bits.many.every(Number.isFinite) && bits.many.some(value => value !== 0), 'the answers are no numbers');
  return bits;
})();

function expectSame(actual: Float32Array, expected: Float32Array, label: string): void {
  expectEqual(actual.length, expected.length, `${label}: the length`);
  const at = actual.findIndex((value, i) => !Object.is(value, expected[i]));
  expect(at < 0, `${label}: number ${at} is ${actual[at]}, not ${expected[at]}`);
}

/** A case after which nothing is left on any device that is there, and nothing is hooked. */
function checked(name: string, body: (held: number) => Promise<void>): void {
  check(name, async () => {
    await wanted;
    await settle();
    const held = liveBuffers().count;
    const kept = { ...env };
    try {
      await body(held);
      await settle();
      expectEqual(liveBuffers().labels.slice(held), [], 'buffers left');
    } finally {
      Object.assign(env, kept);
      onOpen = () => undefined;
      onSubmit = () => undefined;
    }
  });
}

const lostError = (error: unknown) =>
  expect(error instanceof DeviceError && error.message.includes('lost'), `no DeviceError of a lost device: ${error}`);

/** Loads from everywhere that a model may come from. */
const places: [string, () => Promise<{ extract: FeatureExtractionPipeline; end?: () => Promise<unknown> }>][] = [
  ['the web', async () => ({ extract: await pipeline('feature-extraction', BERT) })],
  [
    'the hub and its cache',
    async () => {
      const cacheKey = 'webgpu-bert-e2e-lifecycle';
      await caches.delete(cacheKey);
      Object.assign(env, { remoteHost: await (await fetch('/hub')).text(), useBrowserCache: true, cacheKey });
      const extract = await pipeline('feature-extraction', 'random/bert-base');
      // What comes after is out of the cache.
      env.fetch = () => Promise.reject(new TypeError('offline'));
      return { extract, end: () => caches.delete(cacheKey) };
    },
  ],
  ['memory', async () => ({ extract: await pipeline('feature-extraction', await fetchFiles(BERT)) })],
  [
    'blobs',
    async () => {
      const files = Object.entries(await fetchFiles(BERT)).map(([name, bytes]) => ({ name, blob: new Blob([bytes]) }));
      return { extract: await pipeline('feature-extraction', files) };
    },
  ],
];
for (const [place, load] of fewOf(places, 2)) {
  checked(`a device destroyed between calls, four times: files from ${place}`, async () => {
    const { few } = await wanted;
    const { extract, end } = await load();
    const told: string[] = [];
    extract.model.addEventListener('devicelost', ({ type, detail }) => told.push(`${type} ${detail.reason}`));
    extract.model.addEventListener('restored', ({ type, detail }) => told.push(`${type} ${detail.adapter}`));
    for (let i = 0; i < 4; i++) {
      const { length } = opened;
      opened.at(-1)!.destroy();
      if (i % 2) await settle(300);
      expectSame(await bitsOf(extract, TEXTS), few, `after ${i + 1}`);
      expectEqual(opened.length, length + 1, 'devices');
    }
    expectEqual(
      told,
      [0, 1, 2, 3].flatMap(() => ['devicelost destroyed', `restored ${extract.model.adapter}`]),
      'events',
    );
    await extract.dispose();
    await end?.();
  });
}

for (const times of fewOf([2, 1, 3])) {
  checked(`a device destroyed during a call, ${times} times`, async () => {
    const { many } = await wanted;
    const extract = await pipeline('feature-extraction', BERT);
    let left = times;
    let submits = 0;
    onSubmit = () => {
      const device = opened.at(-1)!;
      // Once for each device, with a pass under way.
      if (left > 0 && liveBuffers(device).labels.some(label => label.includes('readback')) && ++submits % 3 === 0) {
        left--;
        queueMicrotask(() => device.destroy());
      }
    };
    const progress: number[] = [];
    const call = extract(MANY, {
      ...POOLED,
      progress_callback: info => {
        if (info.status === 'run') progress.push(info.loaded);
      },
    });
    if (times < 3) {
      expectSame((await call).data as Float32Array, many, 'the call');
      expectEqual(
        [...new Set(progress)].sort((a, b) => a - b),
        progress,
        'progress',
      );
      expectEqual(progress.at(-1), MANY.length, 'the last progress');
      expectEqual(left, 0, 'losses that did not come about');
    } else {
      lostError(await expectThrows(() => call, 'a third loss'));
      onSubmit = () => undefined;
      expectSame(await bitsOf(extract, TEXTS), (await wanted).few, 'a later call');
    }
    await extract.dispose();
  });
}

for (const [when, status] of [
  ['as soon as it is there', undefined],
  ['while kernels compile', 'compile'],
  ['while weights arrive', 'upload'],
] as const) {
  checked(`a device destroyed during a load, ${when}`, async () => {
    const { length } = opened;
    let left = 2;
    const lose = () => {
      if (left-- > 0) opened.at(-1)!.destroy();
    };
    if (!status) onOpen = lose;
    const extract = await pipeline('feature-extraction', BERT, {
      progress_callback: info => {
        if (info.status === status && opened.length - length === 3 - left) lose();
      },
    });
    expectSame(await bitsOf(extract, TEXTS), (await wanted).few, 'the call');
    await extract.dispose();
    onOpen = device => device.destroy();
    lostError(await expectThrows(() => pipeline('feature-extraction', BERT), 'a device lost each time'));
  });
}

checked('several models heal themselves each', async () => {
  const { few } = await wanted;
  const all = await Promise.all([0, 1, 2].map(() => pipeline('feature-extraction', BERT)));
  for (const device of opened.slice(-3)) device.destroy();
  for (const bits of await Promise.all(all.map(extract => bitsOf(extract, TEXTS)))) expectSame(bits, few, 'a call');
  await Promise.all(all.map(extract => extract.dispose()));
});

checked('files that are gone when the device is lost: the reason, and the next call tries again', async () => {
  const extract = await pipeline('feature-extraction', BERT);
  env.fetch = () => Promise.reject(new TypeError('offline'));
  opened.at(-1)!.destroy();
  const error = await expectThrows(() => bitsOf(extract, TEXTS), 'no files');
  expect(error instanceof library.SourceError, `not the reason: ${error}`);
  env.fetch = (input, init) => fetch(input, init);
  expectSame(await bitsOf(extract, TEXTS), (await wanted).few, 'the next call');
  await extract.dispose();
});

checked('an abort and a dispose while a device is replaced', async held => {
  const extract = await pipeline('feature-extraction', BERT);
  env.fetch = () => new Promise(() => undefined);
  const stop = new AbortController();
  const reason = new Error('enough');
  opened.at(-1)!.destroy();
  await settle(100);
  const [given, waits] = [bitsOf(extract, TEXTS, stop.signal), bitsOf(extract, TEXTS)];
  const thrown = expectThrows(() => given, 'an aborted call');
  const disposed = expectThrows(() => waits, 'a call of a disposed model');
  const began = performance.now();
  stop.abort(reason);
  expect((await thrown) === reason, 'it rejects with something else');
  await extract.dispose();
  const error = await disposed;
  expect(error instanceof DeviceError && error.message.includes('disposed'), `dispose: ${error}`);
  expect(performance.now() - began < 1000, 'it took its time');
  expectEqual(liveBuffers().count, held, 'buffers');
});

/** Whether no error scope is open on a device: with none, to pop one is refused. */
const scopesOf = async (device: GPUDevice) => {
  for (let open = 0; ; open++) {
    const isNone = await device.popErrorScope().then(
      () => false,
      () => true,
    );
    if (isNone || open > 99) return open;
  }
};

checked("a lost device of the caller's: an event, and a DeviceError", async () => {
  const device = await ownDevice();
  const model = await AutoModel.from_pretrained(BERT, { device });
  let told = 0;
  model.addEventListener('devicelost', () => told++);
  const call = model({ input_ids: [[1, 2, 3]] });
  device.destroy();
  lostError(await expectThrows(() => call, 'a call under way'));
  lostError(await expectThrows(() => model({ input_ids: [[1, 2, 3]] }), 'a later call'));
  expectEqual(told, 1, 'events');
  await model.dispose();
});

checked("dispose while a call waits for room, on a device of the caller's", async () => {
  const device = await ownDevice();
  const refused: string[] = [];
  device.addEventListener('uncapturederror', ({ error }) => refused.push(error.message));
  for (const ms of [0, 0, 1, 2, 5, 10, 20, 40]) {
    const model = await AutoModel.from_pretrained(BERT, { device });
    const rows = (count: number, length: number) => Array.from({ length: count }, () => new Array(length).fill(5));
    const calls = [rows(4, 60), rows(2, 10), rows(300, 64)].map(input_ids => model({ input_ids }));
    const ends = Promise.allSettled(calls);
    if (ms) await settle(ms);
    await model.dispose();
    for (const end of await ends) {
      if (end.status === 'rejected') expect(end.reason instanceof DeviceError, `${end.reason}`);
    }
    expectEqual(liveBuffers(device).labels, [], `buffers after ${ms} ms`);
    expectEqual(await scopesOf(device), 0, `scopes after ${ms} ms`);
  }
  expectEqual(refused, [], 'errors on the device');
  device.destroy();
});

for (const kind of ['own', "the caller's"]) {
  checked(`random lives of a model on a device of ${kind}`, async held => {
    const { few } = await wanted;
    for (let seed = 1; seed <= 6; seed++) {
      const next = random(seed);
      const below = (most: number) => Math.floor(next() * most);
      const device = kind === 'own' ? undefined : await ownDevice();
      const options: PretrainedOptions = device ? { device } : {};
      let isLost = false;
      let isDisposed = false;
      const stop = new AbortController();
      const loading = pipeline('feature-extraction', BERT, { ...options, signal: stop.signal });
      const isAborted = below(4) === 0;
      if (isAborted) setTimeout(() => stop.abort(), below(400));
      const extract = await loading.catch((error: Error) => {
        expect(isAborted && error.name === 'AbortError', `seed ${seed}: a load fails: ${error}`);
        return undefined;
      });
      const calls: Promise<unknown>[] = [];
      for (let i = 0; extract && i < 6; i++) {
        const action = below(8);
        if (action < 4) {
          const own = new AbortController();
          if (below(4) === 0) setTimeout(() => own.abort(), below(60));
          calls.push(
            bitsOf(extract, TEXTS, own.signal).then(
              bits => expectSame(bits, few, `seed ${seed}`),
              (error: Error) => {
                if (own.signal.aborted && error === own.signal.reason) return;
                const isRight = error instanceof DeviceError && (isDisposed || (device && isLost));
                expect(isRight, `seed ${seed}: ${error}`);
              },
            ),
          );
        } else if (action === 4 && !isLost) {
          isLost = true;
          (device ?? opened.at(-1)!).destroy();
        } else if (action === 5 && i > 3) {
          isDisposed = true;
          void extract.dispose();
        } else await settle(below(80));
      }
      await Promise.all(calls);
      await extract?.dispose();
      await settle(20);
      expectEqual(liveBuffers().labels.slice(held), [], `seed ${seed}: buffers`);
      if (device && !isLost) expectEqual(await scopesOf(device), 0, `seed ${seed}: scopes`);
      device?.destroy();
    }
  });
}

checked('isSupported: here it is, and keeps no device', async () => {
  const { length } = opened;
  const support = await isSupported();
  expectEqual([support.ok, support.software, typeof support.adapter], [true, true, 'string'], 'support');
  expectEqual([support.reason, support.next], [undefined, undefined], 'reasons');
  expectEqual(opened.length, length + 1, 'devices');
  const { reason } = await opened.at(-1)!.lost;
  expectEqual(reason, 'destroyed', 'its device');
  const model: PreTrainedModel = await AutoModel.from_pretrained(BERT);
  expectEqual(model.adapter, support.adapter, 'the adapter');
  await model.dispose();
});
