import type { CPUBackend } from './cpu-backend.ts';

/**
 * What `vi.mock` makes of the module that opens WebGPU: models run on the float64 interpreter, where Node has no WebGPU. It is imported where
 * it is called, since the interpreter reads modules of the engine.
 * @param opened gets every backend that a load opens
 */
export async function onTheCPU(original: () => Promise<object>, opened?: CPUBackend[]): Promise<object> {
  const { CPUBackend } = await import('./cpu-backend.ts');
  const openWebGPU = async () => {
    const backend = new CPUBackend();
    opened?.push(backend);
    return backend;
  };
  return { ...(await original()), openWebGPU };
}

/** Forgets backends, and says which of them nobody has given back. */
export const leftOpen = (backends: CPUBackend[]): CPUBackend[] =>
  backends.splice(0).filter(({ isDestroyed }) => !isDestroyed);
