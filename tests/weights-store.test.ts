import { expect, test, vi } from 'vitest';
import type { PipelineCache } from '../src/gpu/pipelines.ts';
import { WeightStore } from '../src/gpu/weights.ts';
import { matrix } from '../src/plan/weight.ts';

const MIB = 1 << 20;

test('a GPU that does not keep up holds the upload: 32 MiB wait for it at most', async () => {
  vi.stubGlobal('GPUBufferUsage', { STORAGE: 128, COPY_DST: 8, UNIFORM: 64 });
  let written = 0;
  let taken = 0;
  let most = 0;
  const waiting: (() => void)[] = [];
  const queue = {
    writeBuffer(_: unknown, __: number, bytes: Uint8Array | ArrayBuffer) {
      // Params are none of the file's bytes.
      if (!('length' in bytes)) return;
      written += bytes.length;
      most = Math.max(most, written - taken);
    },
    onSubmittedWorkDone: () => {
      const until = written;
      return new Promise<void>(resolve => {
        waiting.push(() => {
          taken = until;
          resolve();
        });
      });
    },
  };
  const nothing = () => ({
    destroy() {},
    end() {},
    finish() {},
    setPipeline() {},
    setBindGroup() {},
    dispatchWorkgroups() {},
  });
  const device = {
    queue: { ...queue, submit() {} },
    limits: { maxStorageBufferBindingSize: 256 * MIB, maxBufferSize: 256 * MIB },
    pushErrorScope() {},
    popErrorScope: async () => null,
    createBindGroup: nothing,
    createCommandEncoder: () => ({ ...nothing(), beginComputePass: nothing }),
    createBuffer: ({ size }: { size: number }) => ({ size, destroy() {} }),
  } as unknown as GPUDevice;
  const compiled = { get: async () => ({ pipeline: {}, layout: {} }) } as unknown as PipelineCache;
  const store = new WeightStore(device, compiled);
  const rows = 100;
  const columns = MIB / 4;
  const weight = matrix(['w'], rows, columns);
  await store.allocate([weight]);
  let done = false;
  const writing = (async () => {
    for (let i = 0; i < rows; i++) {
      await store.write({ tensor: 'w', stored: 'F32', begin: i * MIB, bytes: new Uint8Array(MIB) });
    }
    done = true;
  })();
  const settle = () => new Promise(resolve => setTimeout(resolve, 5));
  await settle();
  expect(written).toBe(32 * MIB);
  while (!done) {
    waiting.shift()?.();
    await settle();
  }
  await writing;
  expect(written).toBe(rows * MIB);
  expect(most).toBe(32 * MIB);
  vi.unstubAllGlobals();
});
