import { halve } from '../../shaders/pack.ts';
import {
  type MergePlan,
  type MergeStep,
  mergeBytes,
  mergeDispatches,
  mergeScratchBytes,
  paramValues,
} from '../gradients/index.ts';
import { weightElements } from '../plan/index.ts';
import { createBuffer } from './buffers.ts';
import { bindKernel, type ParamValues, type Resources, UNIFORM_BLOCK_BYTES, UniformBlocks } from './dispatch.ts';
import { ALL_FILTERS, inErrorScopes, unexpectedError } from './errors.ts';
import type { Pacer } from './measured-pace.ts';
import type { CompiledKernel, PipelineCache } from './pipelines.ts';
import { submitWeightChange, type WeightDispatch } from './weight-change.ts';
import type { WeightStore } from './weights.ts';

export interface MergingOptions {
  readonly device: GPUDevice;
  readonly plans: readonly MergePlan[];
  /** All weights of the plans must have been allocated. */
  readonly weights: Pick<WeightStore, 'resource'>;
  readonly pipelines: Pick<PipelineCache, 'get'>;
}

/** Computes weights of a model of others (see MergePlan), as often as it is asked to. */
export class Merging {
  readonly #options: MergingOptions;
  readonly #uniforms: UniformBlocks;
  readonly #created: GPUBuffer[] = [];
  /** They compute all weights. */
  readonly dispatches: readonly WeightDispatch[];
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
      const dispatches = plans.flatMap(plan => this.#merge(plan, { rows, packed }, compiled, uniforms, () => block++));
      uniforms.write();
      return { uniforms, dispatches };
    });
    this.#uniforms = result.uniforms;
    this.dispatches = result.dispatches;
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

  /** Computes all weights. Rejects with DeviceError where the device refuses it. */
  async run(pacer: Pacer): Promise<void> {
    const { device } = this.#options;
    const { dispatches } = this;
    const { refused } = inErrorScopes(device, ALL_FILTERS, () => submitWeightChange({ device, dispatches, pacer }));
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
    { target, steps, packing }: MergePlan,
    { rows, packed }: { readonly rows: GPUBuffer | undefined; readonly packed: GPUBuffer | undefined },
    compiled: ReadonlyMap<string, CompiledKernel>,
    uniforms: UniformBlocks,
    nextBlock: () => number,
  ): WeightDispatch[] {
    const { device, weights } = this.#options;
    const kept = weights.resource(target);
    const texture = 'createView' in kept ? kept : undefined;
    const buffer = 'createView' in kept ? undefined : kept;
    const isHalves = target.storage.format === 'f16';
    /** Where the float32 rows go. */
    const merged = (!isHalves && buffer) || rows!;
    const dispatchOf = (
      { kernel, work }: Pick<MergeStep, 'kernel' | 'work'>,
      {
        params,
        resources,
        label,
      }: { readonly params: ParamValues; readonly resources: Resources; readonly label: string },
    ): WeightDispatch => {
      const block = nextBlock();
      uniforms.pack(block, kernel, params);
      const bound = bindKernel(device, {
        kernel,
        compiled: compiled.get(kernel.code)!,
        params: uniforms.binding(block),
        resources,
        label: label.slice(0, 80),
      });
      return { kernel, bound, groups: kernel.workgroups(params), params, uniforms, block, work, isSteady: true };
    };
    const dispatches = steps.map(step => {
      const resources = Object.fromEntries(
        Object.entries(step.args).map(([name, argument]) => [
          name,
          argument.kind === 'weight' ? weights.resource(argument.weight) : merged,
        ]),
      );
      return dispatchOf(step, { params: paramValues(step, {}), resources, label: step.label });
    });
    const y = isHalves ? (buffer ?? packed!) : merged;
    if (isHalves) {
      const params = { count: (target.stride * target.height) / 4 };
      const resources = { x: merged, y };
      dispatches.push(
        dispatchOf({ kernel: halve(), work: packing }, { params, resources, label: `halves ${target.name}` }),
      );
    }
    if (!texture) return dispatches;
    const copies = [{ from: y, to: texture, elements: weightElements(target) }];
    return [...dispatches.slice(0, -1), { ...dispatches.at(-1)!, copies }];
  }
}
