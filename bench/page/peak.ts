import type { AdapterKind } from '../../src/plan/caps.ts';
import { median } from './median.ts';

/**
 * The multiply-add peak of a device, measured: what any matmul on it is held against. Sixteen independent chains of vec4f per
 * invocation, nothing loaded and nothing shared; both spellings are timed, because on some adapters `fma` is slower than `a * b + c`.
 */
const CHAINS = 16;
const ROUNDS = 2048;

function shader(spelling: 'fma' | 'mul-add', invocations: number): string {
  const step = (i: number) => (spelling === 'fma' ? `a${i} = fma(a${i}, m, c);` : `a${i} = a${i} * m + c;`);
  const lines = (text: (i: number) => string) => Array.from({ length: CHAINS }, (_, i) => text(i)).join('\n');
  return `
@group(0) @binding(0) var<storage, read_write> y: array<vec4f>;
@compute @workgroup_size(${invocations})
fn main(@builtin(global_invocation_id) id: vec3u) {
  let m = vec4f(0.999, 0.998, 0.997, 0.996) + y[0] * 1e-30;
  let c = vec4f(0.001, 0.002, 0.003, 0.004) + y[1] * 1e-30;
${lines(i => `  var a${i} = vec4f(f32(id.x) + ${i}.0);`)}
  for (var k = 0u; k < ${ROUNDS}u; k++) {
${lines(step)}
  }
  y[2u + id.x] = ${Array.from({ length: CHAINS }, (_, i) => `a${i}`).join(' + ')};
}`;
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
  const buffer = device.createBuffer({ size: (invocations * groups + 2) * 16, usage: GPUBufferUsage.STORAGE });
  const found: { best: number; sample: () => Promise<number> }[] = [];
  for (const spelling of ['fma', 'mul-add'] as const) {
    const module = device.createShaderModule({ code: shader(spelling, invocations) });
    const pipeline = await device.createComputePipelineAsync({ layout: 'auto', compute: { module } });
    const layout = pipeline.getBindGroupLayout(0);
    const group = device.createBindGroup({ layout, entries: [{ binding: 0, resource: { buffer } }] });
    const flop = 2 * 4 * CHAINS * ROUNDS * invocations * groups;
    const submit = (times: number) =>
      timeOf(device, pass => {
        pass.setPipeline(pipeline);
        pass.setBindGroup(0, group);
        for (let i = 0; i < times; i++) pass.dispatchWorkgroups(groups);
      });
    await submit(1);
    const times = await repetitions(submit, spanMs);
    const sample = async () => (times * flop) / ((await submit(times)) - floorMs) / 1e6;
    found.push({ best: Math.max(await sample(), await sample(), await sample()), sample });
  }
  return found.sort((a, b) => b.best - a.best)[0]!.sample;
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
