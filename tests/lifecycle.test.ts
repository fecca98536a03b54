import { getEventListeners } from 'node:events';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Engine } from '../src/engine/engine.ts';
import { DeviceError } from '../src/errors.ts';
import { FakeDevice, FakeWorld, GPU_GLOBALS, NOTHING_LEFT, settled } from './fake-gpu.ts';
import { type CallState, call, FakeFiles, load, sequencesOf, wrongs } from './lifecycle.ts';

// The same plan is made thousands of times here, and takes longer than all the rest.
vi.mock('../src/model/encoder.ts', async original => {
  const { once } = await import('./once.ts');
  const encoder = await original<typeof import('../src/model/encoder.ts')>();
  return { ...encoder, encoderGraph: once(encoder.encoderGraph) };
});
vi.mock('../src/plan/plan.ts', async original => {
  const { once } = await import('./once.ts');
  const plans = await original<typeof import('../src/plan/plan.ts')>();
  return { ...plans, plan: once(plans.plan) };
});

let world: FakeWorld;
const begin = (seed: number) => {
  world = new FakeWorld(seed);
  vi.stubGlobal('navigator', { gpu: world.gpu, userAgent: '' });
};
beforeAll(() => {
  for (const [name, value] of Object.entries(GPU_GLOBALS)) vi.stubGlobal(name, value);
});
beforeEach(() => begin(1));
afterAll(() => vi.unstubAllGlobals());

/** The end of a promise, when it has one. */
function watch<T>(promise: Promise<T>) {
  const state: { value?: T; error?: unknown; ended: boolean } = { ended: false };
  promise.then(
    value => Object.assign(state, { value, ended: true }),
    error => Object.assign(state, { error, ended: true }),
  );
  return state;
}

async function loaded(files: FakeFiles, options: Parameters<typeof load>[1] = {}): Promise<Engine> {
  const loading = watch(load(files, options));
  await world.drain();
  if (loading.error) throw loading.error;
  return loading.value!;
}

const nothingLeft = () => {
  for (const device of world.devices) expect(device.left).toEqual(NOTHING_LEFT);
  expect(world.complaints).toEqual([]);
};
const expectRight = (state: CallState) => expect([state.ended, wrongs(state)]).toEqual(['done', undefined]);
const errorOf = ({ ended }: CallState) => (ended as { error: unknown }).error;
/** The device that is in use. */
const latest = () => world.devices.at(-1)!;
const bothKinds = ['own', "the caller's"] as const;
const deviceFor = (kind: (typeof bothKinds)[number]) => (kind === 'own' ? undefined : new FakeDevice(world));

/** Steps of a whole load in order, on a device of either kind. */
async function stepsOfLoad(device: FakeDevice | undefined): Promise<number> {
  world.inOrder = true;
  const loading = load(new FakeFiles(world), { device });
  let steps = 0;
  await settled();
  while (await world.step()) steps++;
  (await loading).dispose();
  await world.drain();
  nothingLeft();
  return steps;
}

describe.each(bothKinds)('a load on a device of %s', kind => {
  it('ends with an abort at once, at any moment, and nothing is left', async () => {
    const steps = await stepsOfLoad(deviceFor(kind));
    expect(steps).toBeGreaterThan(12);
    for (let at = 0; at <= steps; at++) {
      begin(1);
      world.inOrder = true;
      const device = deviceFor(kind);
      const files = new FakeFiles(world);
      const stop = new AbortController();
      const loading = watch(load(files, { device, signal: stop.signal }));
      await settled();
      for (let i = 0; i < at; i++) await world.step();
      if (loading.ended) {
        loading.value!.dispose();
        continue;
      }
      expect(getEventListeners(stop.signal, 'abort')).toHaveLength(1);
      const reason = new Error('enough');
      stop.abort(reason);
      // No step: whatever it waited for never comes.
      await settled();
      expect([at, loading.ended, loading.error]).toEqual([at, true, reason]);
      nothingLeft();
      expect(getEventListeners(stop.signal, 'abort')).toEqual([]);
      await world.drain();
      nothingLeft();
      expect(files.open).toBe(0);
    }
  });

  it('whose device is lost at any moment', async () => {
    const steps = await stepsOfLoad(deviceFor(kind));
    for (let at = 0; at <= steps; at++) {
      begin(at);
      world.inOrder = true;
      const device = deviceFor(kind);
      const files = new FakeFiles(world);
      const loading = watch(load(files, { device }));
      await settled();
      for (let i = 0; i < at; i++) await world.step();
      for (const each of world.devices) each.lose(at % 2 ? 'unknown' : 'destroyed');
      await world.drain();
      if (kind === 'own') {
        const answer = call(loading.value!, sequencesOf([3]));
        await world.drain();
        expectRight(answer);
      } else if (!loading.value) {
        expect(loading.error).toBeInstanceOf(DeviceError);
        expect(String(loading.error)).toContain('lost');
      }
      loading.value?.dispose();
      await world.drain();
      nothingLeft();
      expect(files.open).toBe(0);
    }
  });
});

it('a load loses two devices and goes on; the third is too much', async () => {
  for (const losses of [2, 3]) {
    begin(losses);
    const files = new FakeFiles(world);
    const loading = watch(load(files));
    let lost = 0;
    await settled();
    while (await world.step()) {
      const device = world.devices.at(-1);
      if (!device || device.isLost || lost === losses || device.buffers.size === 0) continue;
      device.lose();
      lost++;
    }
    expect(lost).toBe(losses);
    if (losses === 2) loading.value!.dispose();
    else expect(loading.error).toBeInstanceOf(DeviceError);
    await world.drain();
    nothingLeft();
    expect(files.open).toBe(0);
  }
});

it('tensors for the CPU have the shape that config.json says, or the load fails before any of them is read', async () => {
  const tensor = 'embeddings.token_type_embeddings.weight';
  const files = new FakeFiles(world);
  const error = await loaded(files, { host: () => [{ tensor, shape: [3, 4] }] }).catch((error: unknown) => error);
  expect(error).toMatchObject({ name: 'CheckpointError', actual: '[2, 4]', tensor });
  // They are asked for all together, or not at all.
  const others = () => [
    { tensor, shape: [3, 4] },
    { tensor: 'crf.transitions', shape: [1, 1] },
  ];
  const engine = await loaded(files, { host: others });
  expect(engine.host.size).toBe(0);
  engine.dispose();
  await world.drain();
  nothingLeft();
});

it('an abort while kernels compile that never will', async () => {
  const device = new FakeDevice(world);
  device.neverCompiles = true;
  const stop = new AbortController();
  const files = new FakeFiles(world);
  const loading = watch(load(files, { device: device, signal: stop.signal }));
  await world.drain();
  expect([loading.ended, device.buffers.size > 0]).toEqual([false, true]);
  stop.abort();
  await settled();
  expect((loading.error as Error).name).toBe('AbortError');
  nothingLeft();
});

describe('a lost device of our own', () => {
  it.each(['unknown', 'destroyed'])('(%s): between calls and during one, answers stay right', async reason => {
    const engine = await loaded(new FakeFiles(world));
    const told: string[] = [];
    for (const type of ['devicelost', 'restored']) {
      engine.events.addEventListener(type, event =>
        told.push(`${event.type} ${JSON.stringify((event as CustomEvent).detail)}`),
      );
    }
    for (let round = 0; round < 4; round++) {
      latest().lose(reason);
      await world.drain();
      const state = call(engine, sequencesOf([5, 6]));
      await world.drain();
      expectRight(state);
    }
    expect(told.slice(0, 2)).toEqual([
      `devicelost {"reason":"${reason}","message":"lost: ${reason}"}`,
      'restored {"adapter":"fake"}',
    ]);
    expect(told).toHaveLength(8);
    // 2,000 tokens a sequence: four in a pass.
    const long = call(engine, sequencesOf(new Array(20).fill(2000)));
    const late: CallState[] = [];
    for (let lost = 0; lost < 2; lost++) {
      const { length } = long.told;
      while (long.told.length === length) await world.step();
      latest().lose(reason);
      late.push(call(engine, sequencesOf([7])));
      await settled();
    }
    await world.drain();
    for (const each of [long, ...late]) expectRight(each);
    engine.dispose();
    await world.drain();
    nothingLeft();
  });

  it('a third time during one call is a DeviceError for that call, not for those that came later', async () => {
    const engine = await loaded(new FakeFiles(world));
    const first = call(engine, sequencesOf([3]));
    for (let lost = 0; lost < 3; lost++) {
      const { length } = world.devices;
      latest().lose();
      if (lost < 2) while (world.devices.length === length) await world.step();
    }
    const second = call(engine, sequencesOf([4]));
    await world.drain();
    expect(errorOf(first)).toBeInstanceOf(DeviceError);
    expect(String(errorOf(first))).toContain('lost');
    expectRight(second);
    engine.dispose();
    await world.drain();
    nothingLeft();
  });

  it('is not replaced for ever while nobody calls', async () => {
    const engine = await loaded(new FakeFiles(world));
    for (let lost = 0; lost < 10; lost++) {
      latest().lose();
      await world.drain();
    }
    expect(world.devices).toHaveLength(3);
    const state = call(engine, sequencesOf([4]));
    await world.drain();
    expectRight(state);
    engine.dispose();
    await world.drain();
    nothingLeft();
  });

  it('whose files are gone: the reason for those that wait, and the next call tries again', async () => {
    const files = new FakeFiles(world);
    const engine = await loaded(files);
    files.isGone = true;
    const waiting = [call(engine, sequencesOf([4])), call(engine, sequencesOf([5]))];
    latest().lose();
    await world.drain();
    for (const each of waiting) expect(String(errorOf(each))).toContain('the files are gone');
    const again = call(engine, sequencesOf([4]));
    await world.drain();
    expect(String(errorOf(again))).toContain('the files are gone');
    files.isGone = false;
    const last = call(engine, sequencesOf([4]));
    await world.drain();
    expectRight(last);
    expect(await engine.bytes()).not.toEqual({ weights: 0, activations: 0 });
    engine.dispose();
    await world.drain();
    nothingLeft();
    expect(files.open).toBe(0);
  });

  it('without another adapter: a DeviceError, and the next call tries again', async () => {
    const engine = await loaded(new FakeFiles(world));
    world.adapterFails = 10;
    const state = call(engine, sequencesOf([4]));
    latest().lose();
    await world.drain();
    expect(errorOf(state)).toBeInstanceOf(DeviceError);
    expect(String(errorOf(state))).toContain('adapter');
    world.adapterFails = 0;
    const last = call(engine, sequencesOf([4]));
    await world.drain();
    expectRight(last);
    engine.dispose();
  });

  it('may be replaced by one of another adapter: plans are made anew; tensors on the CPU stay', async () => {
    const tensor = 'embeddings.token_type_embeddings.weight';
    const engine = await loaded(new FakeFiles(world), { host: () => [{ tensor, shape: [2, 4] }] });
    const kept = engine.host.get(tensor)!;
    expect(kept.length).toBe(8);
    const adapter = world.adapter();
    world.adapter = () => ({ ...adapter, info: { vendor: 'google', architecture: 'swiftshader' } });
    const state = call(engine, sequencesOf([4]));
    latest().lose();
    await world.drain();
    expect([state.ended, engine.adapterName]).toEqual(['done', 'google swiftshader']);
    // Weights are textures there.
    expect(latest().textures.size).toBeGreaterThan(4);
    expect(engine.host.get(tensor)).toBe(kept);
    engine.dispose();
    await world.drain();
    nothingLeft();
  });

  it('takes its listener for refused operations along', async () => {
    const engine = await loaded(new FakeFiles(world));
    latest().lose();
    await world.drain();
    expect(world.devices.map(({ left }) => left.listeners)).toEqual([0, 1]);
    latest().refuse('an operation of nobody');
    // Until it is plain that no loss of the device explains it.
    await new Promise(resolve => setTimeout(resolve, 300));
    const state = call(engine, sequencesOf([4]));
    await world.drain();
    expect(String(errorOf(state))).toContain('an operation of nobody');
    engine.dispose();
    await world.drain();
    expect(latest().left).toEqual(NOTHING_LEFT);
    begin(2);
    const loading = watch(load(new FakeFiles(world)));
    await settled();
    for (let i = 0; i < 6; i++) await world.step();
    latest().refuse('an operation of nobody');
    await world.drain();
    await new Promise(resolve => setTimeout(resolve, 300));
    expect(String(loading.error)).toContain('an operation of nobody');
    expect(latest().left).toEqual(NOTHING_LEFT);
  });

  it('an abort while it is replaced rejects at once, others go on; dispose leaves nothing', async () => {
    for (let steps = 0; steps < 40; steps++) {
      begin(steps);
      const files = new FakeFiles(world);
      const engine = await loaded(files);
      const stop = new AbortController();
      const reason = new Error('enough');
      const [gone, stays] = [call(engine, sequencesOf([4]), stop.signal), call(engine, sequencesOf([5]))];
      latest().lose();
      for (let i = 0; i < steps; i++) await world.step();
      const isOver = gone.ended === 'done';
      stop.abort(reason);
      await settled();
      if (!isOver) expect(errorOf(gone)).toBe(reason);
      expect(getEventListeners(stop.signal, 'abort')).toEqual([]);
      if (steps % 2) {
        await world.drain();
        expectRight(stays);
      }
      engine.dispose();
      await settled();
      nothingLeft();
      if (stays.ended !== 'done') expect(errorOf(stays)).toBeInstanceOf(DeviceError);
      await world.drain();
      nothingLeft();
      expect(files.open).toBe(0);
    }
  });
});

it("a lost device of the caller's is a DeviceError, now and later, and an event", async () => {
  const device = new FakeDevice(world);
  const engine = await loaded(new FakeFiles(world), { device });
  let told = 0;
  engine.events.addEventListener('devicelost', () => told++);
  const state = call(engine, sequencesOf([4]));
  await world.step();
  device.lose();
  await world.drain();
  const later = call(engine, sequencesOf([4]));
  await world.drain();
  for (const each of [state, later]) {
    expect(errorOf(each)).toBeInstanceOf(DeviceError);
    expect(String(errorOf(each))).toContain('lost');
  }
  expect([told, world.requests]).toEqual([1, 0]);
  nothingLeft();
  engine.dispose();
});

describe.each(bothKinds)('dispose on a device of %s', kind => {
  it('at any moment of a call that needs a larger room: a DeviceError, and nothing is left', async () => {
    for (let at = 0; at < 30; at++) {
      begin(at);
      const engine = await loaded(new FakeFiles(world), { device: deviceFor(kind) });
      // The first is under way while the second waits for a larger room.
      const states = [call(engine, sequencesOf([300])), call(engine, sequencesOf([20]))];
      await settled();
      states.push(call(engine, sequencesOf([1500, 1700])));
      for (let i = 0; i < at; i++) await world.step();
      engine.dispose();
      await settled();
      nothingLeft();
      for (const each of states) if (each.ended !== 'done') expect(errorOf(each)).toBeInstanceOf(DeviceError);
      await world.drain();
      nothingLeft();
      await expect(engine.bytes()).resolves.toEqual({ weights: 0, activations: 0 });
    }
  });
});

/** One random life of a page. Gives what is wrong at its end. */
async function life(seed: number): Promise<void> {
  begin(seed);
  const { below } = { below: (most: number) => world.below(most) };
  const shared = below(2) ? new FakeDevice(world) : undefined;
  let losses = 0;
  const signals: AbortSignal[] = [];
  const stops: AbortController[] = [];
  const engines: { engine: Engine; files: FakeFiles; isDisposed: boolean }[] = [];
  const loads: { files: FakeFiles; stop: AbortController; losses: number; state: ReturnType<typeof watch<Engine>> }[] =
    [];
  const calls: { state: CallState; stop: AbortController; losses: number; owner: (typeof engines)[number] }[] = [];
  const newStop = () => {
    const stop = new AbortController();
    signals.push(stop.signal);
    stops.push(stop);
    return stop;
  };
  const startLoad = () => {
    const files = new FakeFiles(world);
    const stop = newStop();
    const device = shared && below(2) ? shared : undefined;
    const loading = load(files, { device, signal: stop.signal });
    loading.then(
      engine => engines.push({ engine, files, isDisposed: false }),
      () => undefined,
    );
    loads.push({ files, stop, losses, state: watch(loading) });
  };
  const one = <T>(list: readonly T[]): T | undefined => list[below(list.length)];
  startLoad();
  const actions = 6 + below(10);
  for (let i = 0; i < actions; i++) {
    const action = below(12);
    const owner = one(engines);
    if (action === 0 && loads.length < 3) startLoad();
    else if (action < 5 && owner) {
      const lengths = Array.from({ length: 1 + below(5) }, () => 1 + below(below(4) ? 40 : 700));
      const stop = newStop();
      calls.push({ state: call(owner.engine, sequencesOf(lengths), stop.signal), stop, losses, owner });
    } else if (action === 5) one(stops)?.abort();
    else if (action === 6 && owner && below(2)) {
      owner.isDisposed = true;
      owner.engine.dispose();
    } else if (action < 9 && world.devices.length) {
      const device = one(world.devices)!;
      if (!device.isLost) losses++;
      if (below(2)) device.destroy();
      else device.lose();
    }
    for (let steps = below(12); steps > 0; steps--) await world.step();
  }
  const endsAlone = below(2) === 1;
  if (endsAlone) await world.drain();
  for (const owner of engines) {
    owner.isDisposed ||= !endsAlone;
    owner.engine.dispose();
  }
  await world.drain();
  // Those whose load ended only now.
  for (const { engine } of engines) engine.dispose();
  await world.drain();
  for (const { state, stop, losses: before, files } of loads) {
    if (!state.ended) throw new Error('a load never ended');
    if (files.open) throw new Error('a file is left open');
    if (!state.error || (stop.signal.aborted && state.error === stop.signal.reason)) continue;
    if (!(state.error instanceof DeviceError)) throw state.error;
    if (!shared?.isLost && losses - before < 3) throw state.error;
  }
  for (const { state, stop, losses: before, owner } of calls) {
    if (state.ended === undefined) throw new Error('a call never ended');
    if (state.ended === 'done') {
      const wrong = wrongs(state);
      if (wrong) throw new Error(wrong);
      continue;
    }
    const { error } = state.ended;
    if (stop.signal.aborted && error === stop.signal.reason) continue;
    if (!(error instanceof DeviceError)) throw error;
    if (!owner.isDisposed && !shared?.isLost && losses - before < 3) throw error;
  }
  nothingLeft();
  for (const signal of signals) expect(getEventListeners(signal, 'abort')).toEqual([]);
}

it('whatever happens, in whatever order: right answers or the right error, and nothing is left', async () => {
  const seeds = Number(process.env.LIFECYCLE_SEEDS ?? 2000);
  for (let seed = 1; seed <= seeds; seed++) {
    try {
      await life(seed);
    } catch (error) {
      throw new Error(`seed ${seed}: ${error instanceof Error ? error.stack : String(error)}`);
    }
  }
}, 300_000);
