import { declarations, f32, type Kernel, write } from '../../shaders/kernel.ts';
import { createBuffer } from '../../src/gpu/buffers.ts';
import { bindKernel, encodeDispatch, UniformBlocks } from '../../src/gpu/dispatch.ts';
import { PipelineCache } from '../../src/gpu/pipelines.ts';
import type { AdapterKind } from '../../src/plan/caps.ts';
import { median } from './median.ts';

/**
 * The multiply-add peak of a device, measured: what any matmul on it is held against. Sixteen independent chains of vec4f per
 * invocation, nothing loaded and nothing shared; both spellings are timed, because on some adapters `fma` is slower than `a * b + c`.
 */
const CHAINS = 16;
const ROUNDS = 2048;

/** `tiny`, 0 in the dispatch, keeps a compiler from computing the chains ahead. */
function peakKernel(spelling: 'fma' | 'mul-add', invocations: number, groups: number): Kernel {
  const step = (i: number) => (spelling === 'fma' ? `a${i} = fma(a${i}, m, c);` : `a${i} = a${i} * m + c;`);
  const lines = (text: (i: number) => string) => Array.from({ length: CHAINS }, (_, i) => text(i)).join('\n');
  const bindings = [write('y')];
  const params = [f32('tiny')];
  return {
    name: `multiply-add peak, ${spelling}`,
    bindings,
    params,
    workgroups: () => [groups, 1, 1],
    code: `
${declarations(bindings, params)}
@compute @workgroup_size(${invocations})
fn main(@builtin(global_invocation_id) id: vec3u) {
  let m = vec4f(0.999, 0.998, 0.997, 0.996) + params.tiny;
  let c = vec4f(0.001, 0.002, 0.003, 0.004) + params.tiny;
${lines(i => `  var a${i} = vec4f(f32(id.x) + ${i}.0);`)}
  for (var k = 0u; k < ${ROUNDS}u; k++) {
${lines(step)}
  }
  y[id.x] = ${Array.from({ length: CHAINS }, (_, i) => `a${i}`).join(' + ')};
}`,
  };
}

/**
 * Measures the peak whenever it is asked to, in GFLOP/s, a multiply-add being two, with the spelling that was better in the
 * beginning. A processor's speed changes from one minute to the next, so what is held against the peak takes turns with it. Dispatches
 * are repeated in a submit until it takes `spanMs`: a browser that polls for the end of a submit makes anything shorter look longer.
 * What a submit of nothing takes, `floorMs`, does not count.
 */
export async function multiplyAddPeak(
  device: GPUDevice,
  adapter: AdapterKind,
  { spanMs, floorMs }: { spanMs: number; floorMs: number },
): Promise<() => Promise<number>> {
  const [invocations, groups] = adapter === 'gpu' ? [256, 4096] : [16, 64];
  const y = createBuffer(device, 'peak.y', invocations * groups * 16);
  const uniforms = new UniformBlocks(device, 'peak.params', 1);
  const pipelines = new PipelineCache(device);
  const spellings: { best: number; sample: () => Promise<number> }[] = [];
  for (const spelling of ['fma', 'mul-add'] as const) {
    const kernel = peakKernel(spelling, invocations, groups);
    const params = { tiny: 0 };
    uniforms.pack(0, kernel, params);
    uniforms.write();
    const compiled = await pipelines.get(kernel);
    const bound = bindKernel(device, { kernel, compiled, params: uniforms.binding(0), resources: { y } });
    const flop = 2 * 4 * CHAINS * ROUNDS * invocations * groups;
    const submit = (times: number) =>
      timeOf(device, pass => encodeDispatch(pass, bound, kernel.workgroups(params), times));
    await submit(1);
    const times = await repetitions(submit, spanMs);
    const sample = async () => (times * flop) / ((await submit(times)) - floorMs) / 1e6;
    spellings.push({ best: Math.max(await sample(), await sample(), await sample()), sample });
  }
  return spellings.sort((a, b) => b.best - a.best)[0]!.sample;
}

/** Milliseconds from submit to done. */
export async function timeOf(device: GPUDevice, encode: (pass: GPUComputePassEncoder) => void): Promise<number> {
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  encode(pass);
  pass.end();
  const commands = encoder.finish();
  const began = performance.now();
  device.queue.submit([commands]);
  await device.queue.onSubmittedWorkDone();
  return performance.now() - began;
}

/** How often a dispatch is to be repeated in a submit for it to take about `spanMs`. */
export async function repetitions(submit: (times: number) => Promise<number>, spanMs: number): Promise<number> {
  let times = 1;
  while (times < 65536) {
    const ms = await submit(times);
    if (ms >= spanMs / 2) return Math.max(1, Math.ceil((times * spanMs) / ms));
    times = Math.min(65536, times * Math.max(2, Math.min(16, Math.floor(spanMs / Math.max(ms, 0.1)))));
  }
  return times;
}

/** Milliseconds of a submit of nothing: the median of nine. Near 100 where the browser polls. */
export async function submitFloor(device: GPUDevice): Promise<number> {
  const values: number[] = [];
  for (let i = 0; i < 9; i++) values.push(await timeOf(device, () => undefined));
  return median(values);
}

/** Long enough that the floor is less than a tenth of it. */
export const spanFor = (floorMs: number): number => (floorMs > 20 ? 1200 : 60);
