import { vi } from 'vitest';

/** For `setupFiles` of vitest: every model of a test runs on the float64 interpreter, where Node has no WebGPU. */

vi.mock('../src/engine/webgpu-backend.ts', async original => (await import('./on-the-cpu.ts')).onTheCPU(original));
