import type { Format } from '../shaders/matrix.ts';
import type { Gpu } from './gpu/device.ts';
import { type CompiledKernel, PipelineCache } from './gpu/pipelines.ts';
import { linearKernel, tilingsFor } from './plan/choose.ts';

/** What is timed: a linear of a small encoder, rows x how often. A short sentence's pass counts as often as makes it weigh as much. */
const LINEAR = { inner: 384, outputs: 1536, bias: false, residual: false };
const PASSES = [
  [256, 1],
  [16, 4],
] as const;
/** The most that is spent on submits; the one that runs when it is spent is the last. */
const BUDGET_MS = 150;
/** The work of a submit is repeated until it takes this long: clocks of browsers may tell no less than a millisecond. */
const LEAST_MS = 4;
const MOST_REPEATS = 64;
/** Each candidate's turns: the first warms up, the last is for those that are not hopeless. */
const TURNS = 3;
/** The default is left for what takes so much of its time; a candidate is given up at so much of the best one's. */
const [GAIN, HOPELESS] = [0.9, 1.5];
/** A browser that hears no sooner of the end of an empty submit polls: nothing can be timed there within the budget. */
const POLLING_MS = 20;

/**
 * The name of the fastest, by the least of its times. `time` gives the milliseconds of so many repetitions; whatever it throws
 * for is out. The first name is the default, which stays unless another is a tenth faster. Undefined where none ran.
 */
export async function fastest(
  names: readonly string[],
  time: (name: string, repeats: number) => Promise<number>,
): Promise<string | undefined> {
  const least = new Map<string, number>();
  const best = () => Math.min(...least.values());
  let [left, repeats, spent] = [names, 1, 0];
  for (let turn = 0; turn < TURNS; turn++) {
    for (const name of left) {
      if (spent >= BUDGET_MS) break;
      try {
        let ms = await time(name, repeats);
        for (; !least.size && ms < LEAST_MS && repeats < MOST_REPEATS; ms = await time(name, repeats)) repeats *= 2;
        spent += ms;
        least.set(name, Math.min(ms, least.get(name) ?? ms));
      } catch {
        least.delete(name);
      }
    }
    const most = best() * (turn ? HOPELESS : Number.POSITIVE_INFINITY);
    left = left.filter(name => least.get(name)! <= most);
  }
  if (best() > GAIN * least.get(names[0]!)!) return names[0];
  return names.find(name => least.get(name) === best());
}

/** Here is remembered what no storage will take. */
const kept = new Map<string, string>();
/** In workers there is the Cache API only; it wants a URL. */
const address = (key: string) => `https://webgpu-bert.invalid/${encodeURIComponent(key)}`;

async function recall(key: string): Promise<string | null | undefined> {
  try {
    if (kept.has(key)) return kept.get(key);
    return 'localStorage' in globalThis ? localStorage.getItem(key) : await (await caches.match(address(key)))?.text();
  } catch {
    return undefined;
  }
}

async function remember(key: string, value: string): Promise<void> {
  try {
    if ('localStorage' in globalThis) localStorage.setItem(key, value);
    else await (await caches.open('webgpu-bert-tuning')).put(address(key), new Response(value));
  } catch {
    kept.set(key, value);
  }
}

/**
 * What was measured under this key, if it is one of the names and everything that it depends on, `state`, is as it was;
 * else what `measure` gives, which is remembered. Undefined where that fails.
 */
export async function remembered(
  key: string,
  state: string,
  names: readonly string[],
  measure: () => Promise<string | undefined>,
): Promise<string | undefined> {
  let hash = 0;
  for (let i = 0; i < state.length; i++) hash = (Math.imul(hash, 31) + state.charCodeAt(i)) | 0;
  const known = await recall(key);
  const still = names.find(name => known === `${name} ${hash}`);
  if (still) return still;
  const name = await measure().catch(() => undefined);
  if (name) await remember(key, `${name} ${hash}`);
  return name;
}

/** Of what `work` does before its first await, nobody else hears errors. */
async function alone<T>(device: GPUDevice, work: () => Promise<T>): Promise<T> {
  device.pushErrorScope('validation');
  const [result, error] = await Promise.all([work(), device.popErrorScope()]);
  if (error) throw error;
  return result;
}

/** Loads on one page measure one after the other. */
let turn: Promise<unknown> = Promise.resolve();

/**
 * The same device with the tiling that suits it best. On an adapter that no table knows, candidates are compiled and timed the
 * first time; the result is remembered per adapter and format, as long as the browser and the kernels are the same. Never rejects.
 */
export async function tuned(gpu: Gpu, format: Format = 'f32'): Promise<Gpu> {
  const { device, caps, adapterName } = gpu;
  const names = tilingsFor(caps);
  if (names.length < 2) return gpu;
  const kernels = new Map(names.map(tiling => [tiling, linearKernel({ ...LINEAR, format }, { ...caps, tiling })]));
  const measure = async () => {
    const compiled = new Map<string, CompiledKernel>();
    const pipelines = new PipelineCache(device);
    const compile = async (name: string) => {
      compiled.set(name, await alone(device, () => pipelines.get(kernels.get(name)!)));
    };
    await Promise.allSettled(names.map(compile));
    const buffer = (size: number, usage: number) =>
      device.createBuffer({ label: 'tune', size, usage: usage | GPUBufferUsage.COPY_DST });
    // Zeros take as long as other numbers; x is read from the rows of the weight.
    const weight = buffer(LINEAR.inner * LINEAR.outputs * 4, GPUBufferUsage.STORAGE);
    const y = buffer(PASSES[0][0] * LINEAR.outputs * 4, GPUBufferUsage.STORAGE);
    const params = PASSES.map(([rows]) => {
      const block = buffer(256, GPUBufferUsage.UNIFORM);
      device.queue.writeBuffer(block, 0, Uint32Array.of(rows));
      return block;
    });
    const submit = (encode: (pass: GPUComputePassEncoder) => void) =>
      alone(device, async () => {
        const encoder = device.createCommandEncoder({ label: 'tune' });
        const pass = encoder.beginComputePass();
        encode(pass);
        pass.end();
        const commands = encoder.finish();
        const began = performance.now();
        device.queue.submit([commands]);
        await device.queue.onSubmittedWorkDone();
        return performance.now() - began;
      });
    const time = (name: string, repeats: number) =>
      submit(pass => {
        const { pipeline, layout } = compiled.get(name)!;
        const { bindings, workgroups } = kernels.get(name)!;
        const groups = params.map(block => {
          const operands = bindings.map(({ access }) => (access === 'write' ? y : weight));
          const entries = [block, ...operands].map((buffer, binding) => ({ binding, resource: { buffer } }));
          return device.createBindGroup({ layout, entries });
        });
        pass.setPipeline(pipeline);
        for (let i = 0; i < repeats; i++) {
          PASSES.forEach(([rows, times], j) => {
            pass.setBindGroup(0, groups[j]!);
            for (let k = 0; k < times; k++) pass.dispatchWorkgroups(...workgroups({ rows }));
          });
        }
      });
    try {
      // The second begins where the browser has just looked.
      await submit(() => undefined);
      return (await submit(() => undefined)) > POLLING_MS ? names[0] : await fastest(names, time);
    } finally {
      for (const each of [weight, y, ...params]) each.destroy();
    }
  };
  const { userAgent } = globalThis.navigator ?? {};
  const state = [userAgent, ...[...kernels.values()].map(({ code }) => code)].join();
  const choosing = turn.then(() => remembered(`webgpu-bert tiling ${format} ${adapterName}`, state, names, measure));
  turn = choosing;
  return { ...gpu, caps: { ...caps, tiling: await choosing } };
}
