import { halve } from '../../shaders/pack.ts';
import { type MergePlan, mergeBytes, mergeDispatches, mergeScratchBytes, paramValues } from '../gradients/index.ts';
import { weightElements } from '../plan/index.ts';
import { createBuffer } from './buffers.ts';
import { type BoundKernel, bindKernel, encodeDispatch, UNIFORM_BLOCK_BYTES, UniformBlocks } from './dispatch.ts';
import { ALL_FILTERS, inErrorScopes, unexpectedError } from './errors.ts';
import type { CompiledKernel, PipelineCache } from './pipelines.ts';
import { copyToArrayTexture } from './textures.ts';
import type { WeightStore } from './weights.ts';

export interface MergingOptions {
  readonly device: GPUDevice;
  readonly plans: readonly MergePlan[];
  /** All weights of the plans must have been allocated. */
  readonly weights: Pick<WeightStore, 'resource'>;
  readonly pipelines: Pick<PipelineCache, 'get'>;
}

interface Dispatch {
  readonly bound: BoundKernel;
  readonly groups: readonly [number, number, number];
}

/** The dispatches of one weight, and the copy to where it is kept. */
interface Merge {
  readonly dispatches: readonly Dispatch[];
  readonly copy: { readonly from: GPUBuffer; readonly to: GPUTexture; readonly elements: number } | undefined;
}

/** Computes weights of a model of others (see MergePlan), as often as it is asked to. */
export class Merging {
  readonly #options: MergingOptions;
  readonly #uniforms: UniformBlocks;
  readonly #created: GPUBuffer[] = [];
  readonly #merges: readonly Merge[];
  readonly #refused: Promise<GPUError | undefined>;

  private constructor(options: MergingOptions, compiled: ReadonlyMap<string, CompiledKernel>) {
    this.#options = options;
    const { device, plans } = options;
    const { result, refused } = inErrorScopes(device, ALL_FILTERS, () => {
      const uniforms = new UniformBlocks(device, 'merge.params', Math.max(1, mergeDispatches(plans)));
      const bytes = mergeScratchBytes(plans);
      const rows = bytes.rows ? this.#buffer('merge.rows', bytes.rows) : undefined;
      const packed = bytes.packed ? this.#buffer('merge.packed', bytes.packed) : undefined;
      let block = 0;
      const merges = plans.map(plan => this.#merge(plan, { rows, packed }, compiled, uniforms, () => block++));
      uniforms.write();
      return { uniforms, merges };
    });
    this.#uniforms = result.uniforms;
    this.#merges = result.merges;
    this.#refused = refused;
  }

  /** Compiles the kernels and makes the buffers. Throws DeviceError where the device refuses them. */
  static async create(options: MergingOptions): Promise<Merging> {
    const { plans, pipelines } = options;
    const kernels = [...plans.flatMap(({ steps }) => steps.map(({ kernel }) => kernel)), halve()];
    const compiled = new Map(
      await Promise.all(kernels.map(async kernel => [kernel.code, await pipelines.get(kernel)] as const)),
    );
    const made = new Merging(options, compiled);
    await made.#check(made.#refused);
    return made;
  }

  /** Bytes that it holds beside the weights. */
  get bytes(): number {
    return mergeBytes(this.#options.plans, UNIFORM_BLOCK_BYTES);
  }

  /** Records the computation of all weights. */
  encode(encoder: GPUCommandEncoder): void {
    for (const { dispatches, copy } of this.#merges) {
      const pass = encoder.beginComputePass({ label: 'merge' });
      for (const { bound, groups } of dispatches) encodeDispatch(pass, bound, groups);
      pass.end();
      if (copy) copyToArrayTexture(encoder, copy.from, copy.to, copy.elements);
    }
  }

  /** Computes all weights. Rejects with DeviceError where the device refuses it. */
  async run(): Promise<void> {
    const { device } = this.#options;
    const { refused } = inErrorScopes(device, ALL_FILTERS, () => {
      const encoder = device.createCommandEncoder({ label: 'merge' });
      this.encode(encoder);
      device.queue.submit([encoder.finish()]);
    });
    await this.#check(refused);
  }

  destroy(): void {
    inErrorScopes(this.#options.device, ALL_FILTERS, () => {
      for (const buffer of this.#created) buffer.destroy();
      this.#uniforms.destroy();
    });
  }

  async #check(refused: Promise<GPUError | undefined>): Promise<void> {
    const error = await refused.catch(() => undefined);
    if (error) throw unexpectedError('the GPU refused to merge adapters', error.message);
  }

  #buffer(label: string, bytes: number): GPUBuffer {
    const buffer = createBuffer(this.#options.device, label, bytes);
    this.#created.push(buffer);
    return buffer;
  }

  #merge(
    { target, steps }: MergePlan,
    { rows, packed }: { readonly rows: GPUBuffer | undefined; readonly packed: GPUBuffer | undefined },
    compiled: ReadonlyMap<string, CompiledKernel>,
    uniforms: UniformBlocks,
    nextBlock: () => number,
  ): Merge {
    const { device, weights } = this.#options;
    const kept = weights.resource(target);
    const texture = 'createView' in kept ? kept : undefined;
    const buffer = 'createView' in kept ? undefined : kept;
    const isHalves = target.storage.format === 'f16';
    /** Where the float32 rows go. */
    const merged = (!isHalves && buffer) || rows!;
    const dispatches = steps.map((step): Dispatch => {
      const block = nextBlock();
      const params = paramValues(step, {});
      uniforms.pack(block, step.kernel, params);
      const resources = Object.fromEntries(
        Object.entries(step.args).map(([name, argument]) => [
          name,
          argument.kind === 'weight' ? weights.resource(argument.weight) : merged,
        ]),
      );
      return {
        bound: bindKernel(device, {
          kernel: step.kernel,
          compiled: compiled.get(step.kernel.code)!,
          params: uniforms.binding(block),
          resources,
          label: step.label.slice(0, 80),
        }),
        groups: step.kernel.workgroups(params),
      };
    });
    if (!isHalves) {
      return { dispatches, copy: texture && { from: merged, to: texture, elements: weightElements(target) } };
    }
    const kernel = halve();
    const block = nextBlock();
    const params = { count: (target.stride * target.height) / 4 };
    uniforms.pack(block, kernel, params);
    const y = buffer ?? packed!;
    const bound = bindKernel(device, {
      kernel,
      compiled: compiled.get(kernel.code)!,
      params: uniforms.binding(block),
      resources: { x: merged, y },
      label: `halves ${target.name}`.slice(0, 80),
    });
    return {
      dispatches: [...dispatches, { bound, groups: kernel.workgroups(params) }],
      copy: texture && { from: y, to: texture, elements: weightElements(target) },
    };
  }
}
