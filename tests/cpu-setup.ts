import { vi } from 'vitest';

/** For `setupFiles` of vitest: every model of a test runs on the float64 interpreter, where Node has no WebGPU. */

vi.mock('../src/engine/webgpu-backend.ts', async original => {
  const { CPUBackend } = await import('./cpu-backend.ts');
  return { ...(await original<object>()), openWebGPU: async () => new CPUBackend() };
});
