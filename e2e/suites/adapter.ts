import { check, expect, expectClose } from '../harness.ts';

/** What everything else stands on: this browser has an adapter, and a compute pass gives the right numbers. */

async function openDevice(): Promise<GPUDevice> {
  expect(navigator.gpu, 'navigator.gpu is missing: WebGPU is off in this browser, or the page is no secure context');
  const adapter = await navigator.gpu.requestAdapter();
  expect(adapter, 'requestAdapter() gave null: this browser has WebGPU but no adapter for it');
  return adapter.requestDevice();
}

check('requests an adapter', async log => {
  const adapter = await navigator.gpu.requestAdapter();
  expect(adapter, 'requestAdapter() gave null');
  const { vendor, architecture, description } = adapter.info;
  log([vendor, architecture, description].filter(Boolean).join(' ') || 'an adapter that does not give its name');
  log([...adapter.features].sort().join(' '));
});

check('computes 3x + 1 of 1,000 numbers', async () => {
  const device = await openDevice();
  const count = 1000;
  const code = `
    @group(0) @binding(0) var<storage, read> x: array<f32>;
    @group(0) @binding(1) var<storage, read_write> y: array<f32>;
    @compute @workgroup_size(64)
    fn main(@builtin(global_invocation_id) id: vec3u) {
      if (id.x < ${count}u) { y[id.x] = 3.0 * x[id.x] + 1.0; }
    }`;
  const module = device.createShaderModule({ code });
  const pipeline = await device.createComputePipelineAsync({ layout: 'auto', compute: { module } });
  const size = count * 4;
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
  const [x, y] = [device.createBuffer({ size, usage }), device.createBuffer({ size, usage })];
  const result = device.createBuffer({ size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
  const values = Float32Array.from({ length: count }, (_, i) => (i - 500) / 8);
  device.queue.writeBuffer(x, 0, values);

  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  const entries = [x, y].map((buffer, binding) => ({ binding, resource: { buffer } }));
  pass.setBindGroup(0, device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
  pass.dispatchWorkgroups(Math.ceil(count / 64));
  pass.end();
  encoder.copyBufferToBuffer(y, 0, result, 0, size);
  device.queue.submit([encoder.finish()]);
  await result.mapAsync(GPUMapMode.READ);
  const actual = new Float32Array(result.getMappedRange().slice(0));
  device.destroy();
  expectClose(
    actual,
    values.map(value => 3 * value + 1),
    { label: '3x + 1', absolute: 0 },
  );
});
