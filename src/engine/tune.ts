import { linearParams } from '../../shaders/linear.ts';
import type { Format } from '../../shaders/matrix.ts';
import { ALL_ERRORS, type CompiledKernel, createBuffer, type Gpu, PipelineCache, watched } from '../gpu/index.ts';
import { linearKernel, tilingsFor } from '../plan/index.ts';
import { globalOf, until } from '../runtime/index.ts';

/** What is timed: a linear of a small encoder, for one long pass and for short sentences, so often that they weigh as much. */
const LINEAR = { inner: 384, outputs: 1536, bias: false, residual: false };
const SHAPE = linearParams(LINEAR.inner, LINEAR.outputs, false);
const PASSES = [256, 16, 16, 16, 16];
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

/** Here is remembered what the Cache API does not take. */
const kept = new Map<string, string>();

/** What is remembered; a value is remembered from now on. Pages and workers share the Cache API; it wants a URL. */
async function memory(key: string, value?: string): Promise<string | undefined> {
  try {
    const cache = await globalOf('caches')!.open('webgpu-bert-tuning');
    const url = `https://webgpu-bert.invalid/${encodeURIComponent(key)}`;
    if (value) await cache.put(url, new Response(value));
    return value ?? (await (await cache.match(url))?.text()) ?? kept.get(key);
  } catch {
    if (value) kept.set(key, value);
    return kept.get(key);
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
  const known = await memory(key);
  const still = names.find(name => known === `${name} ${state}`);
  if (still) return still;
  const name = await measure().catch(() => undefined);
  if (name) await memory(key, `${name} ${state}`);
  return name;
}

/** Of what `work` does before its first await, nobody else hears errors: they are what this rejects with. */
async function alone<T>(
  device: GPUDevice,
  signal: AbortSignal | undefined,
  work: () => T | Promise<T>,
): Promise<Awaited<T>> {
  const { result, refused } = watched(device, ALL_ERRORS, work);
  const [value, error] = await until(signal, Promise.all([result, refused]));
  if (error) throw error;
  return value;
}

/** Loads on one page measure one after the other. */
let turn: Promise<unknown> = Promise.resolve();

/**
 * The same device with the tiling that suits it best. On an adapter that no table knows, candidates are compiled and timed the
 * first time; the result is remembered per adapter and format, as long as the browser and the kernels are the same. Rejects only with the reason of
 * `signal`: at once, and nothing is made on the device any more.
 */
export async function tuned(gpu: Gpu, format: Format = 'f32', signal?: AbortSignal): Promise<Gpu> {
  const { device, caps, adapterName } = gpu;
  const names = tilingsFor(caps);
  if (!names.length) return gpu;
  const kernels = new Map(names.map(tiling => [tiling, linearKernel({ ...LINEAR, format }, { ...caps, tiling })]));
  const measure = async () => {
    const compiled = new Map<string, CompiledKernel>();
    const pipelines = new PipelineCache(device);
    await Promise.allSettled(
      [...kernels].map(async ([name, kernel]) => {
        compiled.set(name, await alone(device, signal, () => pipelines.get(kernel)));
      }),
    );
    signal?.throwIfAborted();
    const made: GPUBuffer[] = [];
    const buffer = (rows: number, use?: 'UNIFORM') => {
      made.push(createBuffer(device, 'tune', rows * LINEAR.outputs * 4, use));
      return made.at(-1)!;
    };
    const making = alone(device, signal, () => ({
      // Zeros take as long as other numbers; the rows of x are those of the weight.
      weight: buffer(LINEAR.inner),
      y: buffer(PASSES[0]!),
      params: PASSES.map(rows => {
        const block = buffer(1, 'UNIFORM');
        // In the order of LINEAR_PARAMS.
        device.queue.writeBuffer(block, 0, Uint32Array.of(rows, SHAPE.k4, SHAPE.n4, SHAPE.activate));
        return block;
      }),
    }));
    const submit = async (encode: (pass: GPUComputePassEncoder) => void) => {
      signal?.throwIfAborted();
      return alone(device, signal, async () => {
        const encoder = device.createCommandEncoder();
        const pass = encoder.beginComputePass();
        encode(pass);
        pass.end();
        const commands = encoder.finish();
        const began = performance.now();
        device.queue.submit([commands]);
        await device.queue.onSubmittedWorkDone();
        return performance.now() - began;
      });
    };
    const time = async (name: string, repeats: number) => {
      const { weight, y, params } = await making;
      return submit(pass => {
        const { pipeline, layout } = compiled.get(name)!;
        const { workgroups } = kernels.get(name)!;
        const groups = params.map(block => {
          const entries = [block, weight, weight, y].map((buffer, binding) => ({ binding, resource: { buffer } }));
          return device.createBindGroup({ layout, entries });
        });
        pass.setPipeline(pipeline);
        for (let i = 0; i < repeats; i++) {
          PASSES.forEach((rows, j) => {
            pass.setBindGroup(0, groups[j]!);
            pass.dispatchWorkgroups(...workgroups({ rows, ...SHAPE }));
          });
        }
      });
    };
    try {
      await making;
      // The second begins where the browser has just looked.
      await submit(() => undefined);
      const name = (await submit(() => undefined)) > POLLING_MS ? names[0] : await fastest(names, time);
      // What was found until an abort is not to be remembered.
      signal?.throwIfAborted();
      return name;
    } finally {
      watched(device, ALL_ERRORS, () => made.forEach(each => void each.destroy()));
    }
  };
  // Texts of the same lengths are the same kernels: if not, what is remembered is still a tiling.
  const state = [globalOf('navigator')?.userAgent, ...[...kernels.values()].map(({ code }) => code.length)].join();
  const measuring = turn.then(() => {
    signal?.throwIfAborted();
    return remembered(`${format} ${adapterName}`, state, names, measure);
  });
  const choosing = until(signal, measuring);
  // A load that is given up holds nobody up, and does not let others in while one measures.
  turn = Promise.allSettled([turn, choosing]).then(() => undefined);
  return { ...gpu, caps: { ...caps, tiling: await choosing } };
}
