import type { Kernel } from '../../shaders/kernel.ts';
import { ALL_ERRORS, unexpected, watched } from './errors.ts';

export interface CompiledKernel {
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
}

const caches = new WeakMap<GPUDevice, PipelineCache>();

/** Compiles kernels, each source once, all in parallel and off the page's thread. */
export class PipelineCache {
  readonly #device: GPUDevice;
  readonly #compiled = new Map<string, Promise<CompiledKernel>>();

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  /** The one of a device, so that a second model on it compiles nothing that the first has. */
  static of(device: GPUDevice): PipelineCache {
    const cache = caches.get(device) ?? new PipelineCache(device);
    caches.set(device, cache);
    return cache;
  }

  get size(): number {
    return this.#compiled.size;
  }

  /** Resolves once the pipeline is ready. Throws DeviceError with line, column and source where it does not compile. */
  get(kernel: Kernel): Promise<CompiledKernel> {
    let compiled = this.#compiled.get(kernel.code);
    if (!compiled) {
      compiled = this.#compile(kernel);
      this.#compiled.set(kernel.code, compiled);
      // A kernel that failed may be tried again; whoever awaits the promise still gets the error.
      compiled.catch(() => this.#compiled.delete(kernel.code));
    }
    return compiled;
  }

  async #compile({ name, code }: Kernel): Promise<CompiledKernel> {
    const device = this.#device;
    // A text that does not compile is an error of the module and of the pipeline: the second, which rejects, is enough.
    const { module, compiling } = watched(device, ALL_ERRORS, () => {
      const module = device.createShaderModule({ label: name, code });
      // The layout is what the text declares, all of which every kernel uses.
      const compiling = device.createComputePipelineAsync({ label: name, layout: 'auto', compute: { module } });
      return { module, compiling };
    }).result;
    try {
      const pipeline = await compiling;
      const { result: layout, refused } = watched(device, ALL_ERRORS, () => pipeline.getBindGroupLayout(0));
      const error = await refused;
      if (error) throw error;
      return { pipeline, layout };
    } catch (cause) {
      const { messages } = await module.getCompilationInfo();
      const lines = code.split('\n');
      const errors = messages
        .filter(({ type }) => type === 'error')
        .map(({ lineNum, linePos, message }) => `${lineNum}:${linePos} ${message}\n    ${lines[lineNum - 1] ?? ''}`);
      const what = `the kernel "${name}" does not compile on this device`;
      throw unexpected(what, errors.join('\n') || String(cause), cause);
    }
  }
}
