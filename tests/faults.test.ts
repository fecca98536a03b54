import { readFile } from 'node:fs/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { randomBert } from '../e2e/random-bert.ts';
import { env } from '../src/api/env.ts';
import { DeviceError } from '../src/errors.ts';
import { capacityFor } from '../src/gpu/capacity.ts';
import { inErrorScopes } from '../src/gpu/errors.ts';
import { Executable } from '../src/gpu/executable.ts';
import { explainError, LostDeviceError, onLoss } from '../src/gpu/loss.ts';
import { MeasuredPace } from '../src/gpu/measured-pace.ts';
import { type PassContext, PassResources } from '../src/gpu/pass-resources.ts';
import { PipelineCache } from '../src/gpu/pipelines.ts';
import { WeightStore } from '../src/gpu/weights.ts';
import { AutoModel, isSupported, type PretrainedOptions, pipeline } from '../src/index.ts';
import { readConfig } from '../src/model/config.ts';
import { encoderGraph } from '../src/model/encoder.ts';
import { packBatch } from '../src/plan/batch.ts';
import { plan } from '../src/plan/plan.ts';
import type { Sizes } from '../src/plan/sizes.ts';
import { GPU } from './caps.ts';
import { FakeDevice, FakeWorld, GPU_GLOBALS, NOTHING_LEFT, settled } from './fake-gpu.ts';
import { FakeFiles, load } from './lifecycle.ts';

let world: FakeWorld;
let fake: FakeDevice;
let device: GPUDevice;
beforeAll(() => {
  for (const [name, value] of Object.entries(GPU_GLOBALS)) vi.stubGlobal(name, value);
});
beforeEach(() => {
  world = new FakeWorld(1);
  world.inOrder = true;
  fake = new FakeDevice(world);
  device = fake as unknown as GPUDevice;
  vi.stubGlobal('navigator', { gpu: world.gpu, userAgent: '' });
});
afterAll(() => vi.unstubAllGlobals());

const TINY = {
  vocab_size: 40,
  hidden_size: 4,
  num_hidden_layers: 1,
  num_attention_heads: 1,
  intermediate_size: 4,
  max_position_embeddings: 2048,
};
const tiny = readConfig({ model_type: 'bert', ...TINY });

describe('error scopes', () => {
  it('are closed when the work in them throws', async () => {
    const broken = new Error('broken');
    const work = () => {
      throw broken;
    };
    expect(() => inErrorScopes(device, ['validation', 'out-of-memory'], work)).toThrow(broken);
    expect(fake.scopes).toEqual([]);
    fake.lose();
    expect(() => inErrorScopes(device, ['validation'], work)).toThrow(broken);
    await world.drain();
    expect(fake.left).toEqual(NOTHING_LEFT);
  });
});

describe('the resources of passes', () => {
  const limit = (most: number) =>
    ({
      device: { limits: { maxStorageBufferBindingSize: most, maxBufferSize: most } },
      plan: plan(encoderGraph(tiny, { lastHiddenState: true }), { caps: GPU }),
    }) as unknown as PassContext;
  const sizes = (tokens: number, sequences: number, pairs = 0): Sizes => ({
    tokens,
    sequences,
    tiles: sequences,
    pairs,
    masked: 0,
    distances: 0,
  });

  it('grows by doubling, and in no size shrinks, also where the device cannot have it doubled', () => {
    expect(capacityFor(limit(1 << 27), sizes(100, 3), undefined)).toEqual({
      ...sizes(128, 16, 16),
      masked: 16,
      distances: 16,
    });
    expect(capacityFor(limit(1 << 27), sizes(20, 40), sizes(128, 16))).toMatchObject({ tokens: 128, sequences: 64 });
    // Rows of q, k and v have twelve floats: 1,100 tokens are 52,800 bytes, twice as many as 1,024 are too much.
    const tight = limit(60_000);
    expect(capacityFor(tight, sizes(1100, 3), sizes(64, 32))).toMatchObject({ tokens: 1100, sequences: 32, tiles: 32 });
    for (let round = 0; round < 200; round++) {
      const random = (most: number) => 1 + world.below(most);
      const before = sizes(random(1200), random(40));
      const wanted = sizes(random(1200), random(40));
      const after = capacityFor(tight, wanted, before);
      for (const key of ['tokens', 'sequences', 'tiles'] as const) {
        expect(after[key]).toBeGreaterThanOrEqual(Math.max(wanted[key], before[key]));
      }
    }
  });

  it('that cannot be made whole is given back', async () => {
    const context = {
      device,
      plan: limit(0).plan,
      weights: new WeightStore(device, new PipelineCache(device)),
      kernels: limit(0).plan.steps.map(() => ({ layout: {} })),
      blocks: limit(0).plan.steps.map(() => 0),
      uniforms: { binding: () => ({}) },
    } as unknown as PassContext;
    // None of its weights is there.
    expect(() => new PassResources(context, sizes(20, 2))).toThrow(/was not allocated/);
    expect(fake.left).toEqual(NOTHING_LEFT);
  });
});

it('an executable whose kernels are ready after its end makes nothing', async () => {
  const stop = new AbortController();
  const pipelines = new PipelineCache(device);
  const made = plan(encoderGraph(tiny, { lastHiddenState: true }), { caps: GPU });
  const store = new WeightStore(device, pipelines);
  const making = Executable.create({
    device,
    plan: made,
    weights: store,
    pipelines,
    signal: stop.signal,
    pacer: new MeasuredPace(GPU),
  });
  const reason = new Error('over');
  const thrown = expect(making).rejects.toBe(reason);
  stop.abort(reason);
  await world.drain();
  await thrown;
  expect(fake.left).toEqual(NOTHING_LEFT);
});

it.each([
  ['of one submit each', 2 ** 30, 12],
  ['of many', 2 ** 12, 40],
])(
  'an executable that is given back writes and submits no more, whatever waits in it: passes %s',
  async (_, budget, most) => {
    const pacer = { budget: () => budget, begin: () => () => undefined };
    for (let steps = 0; steps < most; steps++) {
      fake = new FakeDevice(world);
      device = fake as unknown as GPUDevice;
      const pipelines = new PipelineCache(device);
      const made = plan(encoderGraph(tiny, { lastHiddenState: true }), { caps: GPU });
      const store = new WeightStore(device, pipelines);
      const allocating = store.allocate(made.weights);
      await world.drain();
      await allocating;
      const making = Executable.create({
        device,
        plan: made,
        weights: store,
        pipelines,
        signal: new AbortController().signal,
        pacer,
      });
      await world.drain();
      const executable = await making;
      // The third waits for the readback of the first, the last for all.
      const outputs = [5, 5, 5, 900].map(length => {
        const all = new Array<number>(length).fill(1);
        const run = executable.run(packBatch([{ ids: all, positions: all, types: all }], made.queryTile));
        // Fails of the same.
        run.submitted.catch(() => undefined);
        return run.outputs;
      });
      const ends = Promise.allSettled(outputs);
      for (let i = 0; i < steps; i++) await world.step();
      executable.destroy();
      store.destroy();
      await world.drain();
      for (const end of await ends) {
        if (end.status === 'rejected') expect(end.reason).toBeInstanceOf(DeviceError);
      }
      expect([steps, fake.left, world.complaints]).toEqual([steps, NOTHING_LEFT, []]);
    }
  },
);

it('a pass of many submits: each waits for the one before, one map, and what is refused of any of them fails it', async () => {
  const pipelines = new PipelineCache(device);
  const made = plan(encoderGraph(tiny, { lastHiddenState: true }), { caps: GPU });
  const store = new WeightStore(device, pipelines);
  const allocating = store.allocate(made.weights);
  await world.drain();
  await allocating;
  world.inOrder = true;
  const begun: number[] = [];
  let [open, mostOpen] = [0, 0];
  const pacer = {
    budget: () => 2 ** 14,
    begin: (work: number | undefined) => {
      begun.push(work ?? Number.NaN);
      mostOpen = Math.max(mostOpen, ++open);
      return () => void open--;
    },
  };
  const making = Executable.create({
    device,
    plan: made,
    weights: store,
    pipelines,
    signal: new AbortController().signal,
    pacer,
  });
  await world.drain();
  const executable = await making;
  const all = new Array<number>(100).fill(1);
  const run = () => {
    const both = executable.run(packBatch([{ ids: all, positions: all, types: all }], made.queryTile));
    both.submitted.catch(() => undefined);
    return both;
  };
  const [first, second] = [run(), run()];
  await world.drain();
  await Promise.all([first.outputs, second.outputs]);
  expect(begun.length).toBeGreaterThan(4);
  expect(begun.slice(0, begun.length / 2)).toEqual(begun.slice(begun.length / 2));
  // The last of one pass, and the first of the next.
  expect([open, mostOpen]).toEqual([0, 2]);
  const third = run();
  const thrown = expect(third.outputs).rejects.toThrow(/refused a pass.*of this test/);
  await world.step();
  const { submit } = fake.queue;
  // The next one is refused, and no other.
  fake.queue.submit = commands => {
    fake.queue.submit = submit;
    fake.refuse('of this test');
    submit(commands);
  };
  await world.drain();
  await thrown;
  executable.destroy();
  store.destroy();
  expect([fake.left, world.complaints]).toEqual([NOTHING_LEFT, []]);
});

it('passes of many submits, one behind the other: every dispatch has the params of its own pass and part', async () => {
  const pipelines = new PipelineCache(device);
  const larger = readConfig({
    model_type: 'bert',
    ...TINY,
    hidden_size: 64,
    intermediate_size: 256,
    num_hidden_layers: 3,
  });
  const made = plan(encoderGraph(larger, { lastHiddenState: true, pooler: true }), { caps: GPU });
  const store = new WeightStore(device, pipelines);
  const allocating = store.allocate(made.weights);
  await world.drain();
  await allocating;
  // Which step a bind group is of: the resources make one for each, in their order.
  const stepOf = new Map<unknown, number>();
  const createBindGroup = fake.createBindGroup.bind(fake);
  fake.createBindGroup = descriptor => {
    const bound = createBindGroup(descriptor);
    stepOf.set(bound, stepOf.size % made.steps.length);
    return bound;
  };
  const submits: { step: number; groups: number[]; values: Record<string, number> }[][] = [];
  let dispatches: { bound: { buffer: { bytes: Uint8Array }; offset: number }[]; groups: number[] }[] = [];
  const createCommandEncoder = fake.createCommandEncoder.bind(fake);
  fake.createCommandEncoder = () => {
    const encoder = createCommandEncoder();
    const beginComputePass = encoder.beginComputePass;
    dispatches = [];
    encoder.beginComputePass = () => {
      const pass = beginComputePass();
      let bound: (typeof dispatches)[number]['bound'];
      return {
        ...pass,
        setBindGroup: (at, group) => {
          bound = group as unknown as typeof bound;
          return pass.setBindGroup(at, group);
        },
        dispatchWorkgroups: (...groups: number[]) => void dispatches.push({ bound, groups }),
      };
    };
    return encoder;
  };
  const submit = fake.queue.submit;
  fake.queue.submit = commands => {
    submit(commands);
    submits.push(
      dispatches.map(({ bound, groups }) => {
        const { buffer, offset } = bound[0]!;
        const step = stepOf.get(bound)!;
        const view = new DataView(buffer.bytes.buffer, offset);
        const read = ({ type }: { type: string }, i: number) =>
          type === 'u32' ? view.getUint32(4 * i, true) : view.getFloat32(4 * i, true);
        const { params } = made.steps[step]!.kernel;
        return { step, groups, values: Object.fromEntries(params.map((param, i) => [param.name, read(param, i)])) };
      }),
    );
  };
  const work = () => undefined;
  const pacer = { budget: () => 2 ** 17, begin: () => work };
  const making = Executable.create({
    device,
    plan: made,
    weights: store,
    pipelines,
    signal: new AbortController().signal,
    pacer,
  });
  await world.drain();
  const executable = await making;
  const lengths = [300, 70, 299, 131];
  const batches = lengths.map(length => {
    const all = new Array<number>(length).fill(1);
    return packBatch([{ ids: all, positions: all, types: all }], made.queryTile);
  });
  const outputs = batches.map(batch => executable.run(batch).outputs);
  await world.drain();
  await Promise.all(outputs);
  expect(submits.length).toBeGreaterThan(20);
  let left = submits.flat();
  for (const { sizes } of batches) {
    made.steps.forEach(({ kernel, params, label }, step) => {
      const own: Record<string, number> = Object.fromEntries(
        Object.entries(params).map(([name, v]) => [name, Math.fround(typeof v === 'number' ? v : sizes[v])]),
      );
      const [x, y] = kernel.workgroups(own);
      const seen = new Uint8Array(x * y);
      const count = left.findIndex(each => each.step !== step);
      for (const { groups, values } of left.splice(0, count < 0 ? left.length : count)) {
        const { first_x = 0, first_y = 0 } = values;
        const whole = { ...values, ...(own.first_x === undefined ? {} : { first_x: 0, first_y: 0 }) };
        expect([label, whole]).toEqual([label, own]);
        for (let j = 0; j < groups[1]!; j++) {
          for (let i = 0; i < groups[0]!; i++) seen[(first_y + j) * x + first_x + i]!++;
        }
      }
      expect([label, seen.every(times => times === 1)]).toEqual([label, true]);
    });
  }
  expect(left).toEqual([]);
  left = submits.flat();
  // Some were cut, and others that share their params with those were not.
  expect(left.some(({ values }) => values.first_x! + values.first_y! > 0)).toBe(true);
  executable.destroy();
  store.destroy();
  expect([fake.left, world.complaints]).toEqual([NOTHING_LEFT, []]);
});

it('weights that are given back take no more', async () => {
  const store = new WeightStore(device, new PipelineCache(device));
  const { weights } = plan(encoderGraph(tiny, { lastHiddenState: true }), { caps: GPU });
  const allocating = store.allocate(weights);
  await world.drain();
  await allocating;
  const tensor = weights[0]!.parts[0]!.tensor;
  // As two-byte numbers it waits for a kernel.
  const writing = store.write({ tensor, stored: 'F16', begin: 0, bytes: new Uint8Array(8) });
  const thrown = expect(writing).rejects.toThrow('disposed');
  store.destroy();
  await world.drain();
  await thrown;
  await expect(store.write({ tensor, stored: 'F32', begin: 0, bytes: new Uint8Array(8) })).rejects.toThrow('disposed');
  await expect(store.allocate(weights)).rejects.toThrow('disposed');
  expect([fake.left, world.complaints]).toEqual([NOTHING_LEFT, []]);
});

describe('the loss of a device', () => {
  it('is told to whoever listens, and to whoever comes too late', async () => {
    const told: string[] = [];
    onLoss(device, () => told.push('first'));
    onLoss(device, () => told.push('gone'))();
    fake.lose();
    await world.drain();
    onLoss(device, ({ message }) => told.push(message));
    onLoss(device, () => told.push('gone'))();
    await settled();
    expect(told).toEqual(['first', expect.stringContaining('lost: unknown')]);
  });

  it('explains errors that come before it, and only those that it may be the cause of', async () => {
    const { signal } = new AbortController();
    const other = new TypeError('a mistake');
    expect(await explainError(device, other, signal)).toBe(other);
    const error = new DOMException('cannot be mapped', 'AbortError');
    expect(await explainError(device, error, signal)).toBe(error);
    const why = explainError(device, error, signal);
    fake.lose();
    await world.drain();
    expect(await why).toBeInstanceOf(LostDeviceError);
  });
});

it('nothing of a model lives on in the device of the caller', async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const held = await (async () => {
    const progress = () => undefined;
    const stop = new AbortController();
    const loading = load(new FakeFiles(world), { device: fake, progress, signal: stop.signal });
    await world.drain();
    const engine = await loading;
    engine.dispose();
    await world.drain();
    return [engine, progress, stop.signal].map(each => new WeakRef<object>(each));
  })();
  for (let i = 0; i < 5 && held.some(each => each.deref()); i++) {
    await new Promise(resolve => setTimeout(resolve, 10));
    collect();
  }
  expect(held.map(each => each.deref())).toEqual([undefined, undefined, undefined]);
  expect(fake.isLost).toBe(false);
});

it('a model that lives on holds neither the progress callback nor the signal of its load', async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const { files } = randomBert({ ...TINY, hidden_act: 'gelu', type_vocab_size: 2 }, { seed: 3, as: 'F32' });
  const vocabulary = Array.from({ length: 40 }, (_, i) =>
    i < 5 ? `[${['PAD', 'UNK', 'CLS', 'SEP', 'MASK'][i]}]` : `w${i}`,
  );
  const whole = { ...files, 'vocab.txt': new TextEncoder().encode(vocabulary.join('\n')) } as Record<
    string,
    Uint8Array<ArrayBuffer>
  >;
  for (const make of [
    (options: PretrainedOptions) => AutoModel.from_pretrained(whole, options),
    (options: PretrainedOptions) => pipeline('feature-extraction', whole, options),
  ]) {
    const { made, held } = await (async () => {
      const progress_callback = () => undefined;
      const stop = new AbortController();
      const making = make({ progress_callback, signal: stop.signal });
      let isDone = false;
      making.then(
        () => (isDone = true),
        () => (isDone = true),
      );
      while (!isDone) {
        await world.drain();
        await new Promise(resolve => setTimeout(resolve, 1));
      }
      const made = await making;
      return { made, held: [progress_callback, stop.signal].map(each => new WeakRef<object>(each)) };
    })();
    for (let i = 0; i < 5 && held.some(each => each.deref()); i++) {
      await new Promise(resolve => setTimeout(resolve, 10));
      collect();
    }
    expect(held.map(each => each.deref())).toEqual([undefined, undefined]);
    await made.dispose();
    await world.drain();
  }
});

describe('a pipeline that is given up', () => {
  const folder = new URL('./fixtures/random/bert-base/', import.meta.url);
  const names = ['config.json', 'tokenizer.json', 'tokenizer_config.json', 'modules.json', 'model.safetensors'];
  it.each(names)('while %s does not come, whatever fetch makes of the signal', async file => {
    const { fetch } = env;
    let asked = 0;
    env.fetch = async input => {
      const name = input.split('/').at(-1)!;
      if (name === file) asked++;
      if (name === file) return new Promise(() => undefined);
      const bytes = await readFile(new URL(name, folder)).catch(() => undefined);
      return bytes ? new Response(new Uint8Array(bytes)) : new Response(null, { status: 404 });
    };
    try {
      const stop = new AbortController();
      const reason = new Error('enough');
      let ended: unknown;
      pipeline('feature-extraction', 'https://models.invalid/x/', {
        signal: stop.signal,
        device,
      }).catch(error => {
        ended = error;
      });
      for (let i = 0; i < 20; i++) {
        await new Promise(resolve => setTimeout(resolve, 5));
        await world.drain();
      }
      expect([asked, ended]).toEqual([1, undefined]);
      // All that can be done without the file has been.
      if (file.startsWith('tokenizer')) expect(fake.left.buffers).toContain('executable.readback0');
      stop.abort(reason);
      await settled();
      expect(ended).toBe(reason);
      expect([fake.left, world.complaints]).toEqual([NOTHING_LEFT, []]);
    } finally {
      env.fetch = fetch;
    }
  });
});

describe('isSupported', () => {
  const supported = async () => {
    const asking = isSupported();
    await world.drain();
    return asking;
  };
  const no = (reason: RegExp, next: RegExp) => ({
    ok: false,
    reason: expect.stringMatching(reason),
    next: expect.stringMatching(next),
  });
  const info = (change: object, limits: object = {}) => {
    const adapter = world.adapter();
    world.adapter = () => ({
      ...adapter,
      info: { ...adapter.info, ...change },
      limits: { ...adapter.limits, ...limits },
    });
  };

  it('is true where there is a device, which it gives back', async () => {
    const support = await supported();
    expect(support).toEqual({ ok: true, adapter: 'fake', software: false, reason: undefined, next: undefined });
    expect(world.devices.slice(1).map(({ isLost }) => isLost)).toEqual([true]);
  });

  it('tells a CPU that plays a GPU', async () => {
    info({ description: 'Microsoft Basic Render Driver' });
    expect(await supported()).toMatchObject({
      ok: true,
      adapter: 'fake Microsoft Basic Render Driver',
      software: true,
    });
    world = new FakeWorld(1);
    vi.stubGlobal('navigator', { gpu: world.gpu });
    info({ vendor: '', isFallbackAdapter: true });
    expect(await supported()).toMatchObject({ ok: true, adapter: 'unnamed adapter', software: true });
  });

  it('names what is missing, and never throws', async () => {
    vi.stubGlobal('location', new URL('https://example.org/'));
    vi.stubGlobal('navigator', undefined);
    expect(await supported()).toMatchObject(no(/navigator\.gpu/, /browser/));
    vi.stubGlobal('navigator', {});
    expect(await supported()).toMatchObject(no(/navigator\.gpu/, /browser/));
    vi.stubGlobal('isSecureContext', false);
    expect(await supported()).toMatchObject(no(/secure/, /https/));
    vi.stubGlobal('isSecureContext', true);
    vi.stubGlobal('navigator', { gpu: world.gpu });
    world.adapterFails = 10;
    expect(await supported()).toMatchObject({ ...no(/no usable graphics adapter/, /hardware/), adapter: undefined });
    world.adapterFails = 0;
    info({}, { maxStorageBuffersPerShaderStage: 4 });
    expect(await supported()).toMatchObject({ ...no(/maxStorageBuffersPerShaderStage is 4/, /./), adapter: 'fake' });
    info({}, { maxStorageBuffersPerShaderStage: 8 });
    // Kernels adapt to 128 invocations, and to no fewer.
    info({}, { maxComputeInvocationsPerWorkgroup: 64 });
    expect(await supported()).toMatchObject(no(/maxComputeInvocationsPerWorkgroup is 64/, /./));
    info({}, { maxComputeInvocationsPerWorkgroup: 128, maxComputeWorkgroupSizeX: 128 });
    expect(await supported()).toMatchObject({ ok: true });
    const adapter = world.adapter();
    world.adapter = () => ({ ...adapter, requestDevice: () => Promise.reject(new Error('out of devices')) });
    expect(await supported()).toMatchObject({
      ...no(/^The graphics adapter gave no device \(Error: out of devices\)\.$/, /./),
      adapter: 'fake',
    });
    vi.stubGlobal('navigator', { gpu: { requestAdapter: () => Promise.reject(new Error('no')) } });
    expect(await supported()).toMatchObject({ ok: false });
    vi.stubGlobal('navigator', {
      get gpu() {
        throw new Error('denied');
      },
    });
    expect(await supported()).toMatchObject({ ok: false });
    vi.stubGlobal('navigator', { gpu: world.gpu });
    vi.stubGlobal('structuredClone', undefined);
    expect(await supported()).toMatchObject(no(/structuredClone/, /browser/));
    vi.unstubAllGlobals();
  });

  describe.each([
    ['a page', { location: new URL('https://example.org/') }, /browser/, /hardware acceleration/],
    ['a page that is not secure', { location: new URL('http://10.0.0.1/'), isSecureContext: false }, /https/, /./],
    ['Node', {}, /package webgpu/, /Vulkan/],
    ['Deno', { Deno: {} }, /Deno/, /Vulkan/],
  ])('in %s', (_, globals, withoutWebGPU, withoutAdapter) => {
    const isIn = (gpu: object) => {
      for (const [name, value] of Object.entries({ ...globals, navigator: gpu })) vi.stubGlobal(name, value);
    };
    afterEach(() => vi.unstubAllGlobals());
    /** What a load says, which is what isSupported says. */
    const agreed = async () => {
      const { reason, next } = await isSupported();
      const { files } = randomBert({ ...TINY, hidden_act: 'gelu', type_vocab_size: 2 }, { seed: 3, as: 'F32' });
      const error = await AutoModel.from_pretrained(files as Record<string, Uint8Array<ArrayBuffer>>).catch(
        error => error,
      );
      expect(error).toBeInstanceOf(DeviceError);
      expect(reason!.toLowerCase()).toBe(`${error.what}.`.toLowerCase());
      expect(next).toBe(error.next);
      return next;
    };

    it('says what helps there, where there is no WebGPU', async () => {
      isIn({});
      expect(await agreed()).toMatch(withoutWebGPU);
    });

    it('says what helps there, where there is no adapter', async () => {
      isIn({ gpu: { requestAdapter: async () => null } });
      expect(await agreed()).toMatch(withoutAdapter);
    });
  });
});
