import { WHOLE_GRID } from '../../shaders/kernel.ts';
import { merge } from '../../shaders/merge.ts';
import { type Caps, checkStep, keptAs, type Profile, profileOf, type Weight, weightBytes } from '../plan/index.ts';
import { type Adapter, rowBytes, type WeightMerge } from './adapters.ts';
import type { TrainingArgument, TrainingStep } from './step.ts';
import { checkBinding } from './table-slices.ts';

/** How the model keeps the weights of linears. */
export type MergedFormat = 'f32' | 'f16';

/** The float32 rows that the steps of a merge write. */
export const MERGED_STATE = 'merged';

export interface MergeStep extends TrainingStep {
  /** In multiply-adds of a linear: see src/plan/work.ts. */
  readonly work: number;
}

/** One weight of the model, made anew of others: pure data. */
export interface MergePlan {
  /** In the model's storage. */
  readonly target: Weight;
  /** They write the state `MERGED_STATE`, one after the other. */
  readonly steps: readonly MergeStep[];
  /** What it costs to pack these rows as halves, where the model keeps halves. */
  readonly packing: number;
}

/**
 * The dispatches that compute weights of the model of a frozen base and adapters, or of trained copies in float32. All rows that they read
 * are kept as planTraining keeps them. Throws DeviceError where a weight is larger than a binding.
 */
export function planMerges(merges: readonly WeightMerge[], caps: Caps, format: MergedFormat): MergePlan[] {
  const profile = profileOf(caps);
  const texels = profile.target.texture !== undefined;
  return merges.map(({ target, base, adapters, factor }) => {
    // A merge reads and writes rows of float32 through one binding.
    checkBinding(base, caps.maxBindingBytes);
    const stored = keptAs(base, { format: adapters.length > 0 ? format : 'f32', texels });
    const first = mergeStep(profile, stored, adapters[0], factor);
    const others = adapters.slice(1).map(adapter => mergeStep(profile, target, adapter, factor, true));
    const packing = profile.costs.movedFloat * 1.5 * (rowBytes(target) / 4);
    return { target: keptAs(target, { format, texels }), steps: [first, ...others], packing };
  });
}

/** One dispatch. `adds`: to what is there, in the place of the base. */
function mergeStep(profile: Profile, base: Weight, pair: Adapter | undefined, factor: number, adds = false): MergeStep {
  const floats = rowBytes(base) / 4;
  const texels = profile.target.texture !== undefined;
  const argument = (weight: Weight): TrainingArgument => ({ kind: 'weight', weight });
  const plain = (weight: Weight) => argument(keptAs(weight, { format: 'f32', texels }));
  const { format } = base.storage;
  if (format === 'i8') throw new Error(`plan: "${base.name}" is kept as bytes`);
  const step = {
    kernel: merge({ base: adds ? undefined : format, adapter: pair !== undefined }, profile.target),
    label: `merged ${base.name}`,
    args: {
      ...(adds ? {} : { base: argument(base) }),
      ...(pair && { b: plain(pair.b), a: plain(pair.a) }),
      y: { kind: 'state', name: MERGED_STATE } as const,
    },
    params: {
      count: floats / 4,
      ...(pair && { k4: base.stride / 4, rank4: pair.b.stride / 4, factor }),
      ...WHOLE_GRID,
    },
    rowCosts: [],
    work: floats * (2 * profile.costs.movedFloat + (pair ? pair.b.stride : 0)),
  };
  checkStep(step);
  return step;
}

/** Bytes of the buffers between the steps and the weights: none where the steps write the weights themselves. */
export function mergeScratchBytes(plans: readonly MergePlan[]): { readonly rows: number; readonly packed: number } {
  const most = (list: readonly number[]) => Math.max(0, ...list);
  const packed = plans.filter(({ target: { storage } }) => storage.format !== 'f32' || storage.texels);
  return {
    rows: most(packed.map(({ target }) => rowBytes(target))),
    packed: most(
      packed
        .filter(({ target: { storage } }) => storage.format === 'f16' && storage.texels)
        .map(({ target }) => weightBytes(keptAs(target, { ...target.storage, texels: false }))),
    ),
  };
}

/** The dispatches of all of them: weights that are kept as halves are packed by one more. */
export const mergeDispatches = (plans: readonly MergePlan[]): number =>
  plans.reduce((sum, { steps, target }) => sum + steps.length + Number(target.storage.format === 'f16'), 0);

/** Bytes of all that a merging holds beside the weights that it reads and writes. */
export function mergeBytes(plans: readonly MergePlan[], uniformBytes: number): number {
  const { rows, packed } = mergeScratchBytes(plans);
  return rows + packed + uniformBytes * mergeDispatches(plans);
}
