import type { Kernel } from '../../shaders/kernel.ts';
import { ALL_FILTERS, inErrorScopes, unexpectedError } from './errors.ts';

export interface CompiledKernel {
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
}

const caches = new WeakMap<GPUDevice, PipelineCache>();

/** Compiles kernels. Each WGSL text is compiled once; all compile in parallel, and none blocks the thread of the page. */
export class PipelineCache {
  readonly #device: GPUDevice;
  readonly #compiled = new Map<string, Promise<CompiledKernel>>();

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  /** The cache of this device. All models on it share one, so that a kernel that two of them use is compiled once. */
  static of(device: GPUDevice): PipelineCache {
    const cache = caches.get(device) ?? new PipelineCache(device);
    caches.set(device, cache);
    return cache;
  }

  get size(): number {
    return this.#compiled.size;
  }

  /** Resolves when the pipeline is ready. Throws DeviceError with line, column and source when the kernel does not compile. */
  get(kernel: Kernel): Promise<CompiledKernel> {
    let compiled = this.#compiled.get(kernel.code);
    if (!compiled) {
      compiled = this.#compile(kernel);
      this.#compiled.set(kernel.code, compiled);
      // The next call for a kernel that failed tries again. Whoever awaits this promise still gets the error.
      compiled.catch(() => this.#compiled.delete(kernel.code));
    }
    return compiled;
  }

  async #compile({ name, code }: Kernel): Promise<CompiledKernel> {
    const device = this.#device;
    // A WGSL error is reported twice, for the module and for the pipeline. The pipeline's promise rejects, so `refused` is not needed.
    const { module, compiling } = inErrorScopes(device, ALL_FILTERS, () => {
      const module = device.createShaderModule({ label: name, code });
      // An 'auto' layout has only the bindings that the text uses; every kernel uses all that it declares.
      const compiling = device.createComputePipelineAsync({ label: name, layout: 'auto', compute: { module } });
      return { module, compiling };
    }).result;
    try {
      const pipeline = await compiling;
      const { result: layout, refused } = inErrorScopes(device, ALL_FILTERS, () => pipeline.getBindGroupLayout(0));
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
      throw unexpectedError(what, errors.join('\n') || String(cause), cause);
    }
  }
}
