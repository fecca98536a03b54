import { MOST_TEXELS } from '../../shaders/kernel.ts';
import { elementBytes, rowElements } from '../../shaders/matrix.ts';
import { DeviceError } from '../errors.ts';
import {
  type Arena,
  arena,
  type Caps,
  keptAs,
  mergedCosts,
  type Profile,
  profileOf,
  queryTile,
  type RowCost,
  rowSlices,
  type Storage,
  type StretchedRotary,
  stretchedRotary,
  type Value,
  type Weight,
  weightBytes,
  weightKey,
} from '../plan/index.ts';
import { chooser } from './choose.ts';
import type { MergedFormat } from './merging.ts';
import type { DeviceTrainingOp, TrainingGraph, TrainingOp } from './op.ts';
import { noRule } from './refusal.ts';
import type { DataName, TrainingStep } from './step.ts';

/** A training step, but its update, made ready for any batch on a kind of device: pure data. */
export interface TrainingPlan extends Arena {
  readonly graph: TrainingGraph;
  readonly steps: readonly TrainingStep[];
  /** What the steps bind of the model, in its storage, each once. */
  readonly weights: readonly Weight[];
  /** The weights that have a gradient, as plain float32. */
  readonly gradients: readonly Weight[];
  readonly losses: readonly Value[];
  readonly data: ReadonlySet<DataName>;
  readonly rowCosts: readonly RowCost[];
  readonly queryTile: number;
  readonly stretched: StretchedRotary | undefined;
  readonly profile: Profile;
}

/**
 * How a device with these capabilities computes a training graph. Everything is float32, but for the frozen matrices of a model that keeps
 * its matrices in another format; those that the forward pass reads from textures are read from textures. Throws DeviceError where a trained weight is larger than a binding, and UnsupportedError where an op has no kernel.
 */
export function planTraining(graph: TrainingGraph, caps: Caps, format: MergedFormat = 'f32'): TrainingPlan {
  const profile = profileOf(caps);
  const texels = profile.target.texture !== undefined;
  const trained = new Set(graph.gradients);
  const storage = (weight: Weight): Storage => ({ format: trained.has(weight) ? 'f32' : format, texels });
  const ops = graph.ops.flatMap(op => lowered(op, { storage, maxBindingBytes: caps.maxBindingBytes }));
  for (const weight of graph.gradients) checkBinding(weight, caps.maxBindingBytes);
  const stepsOf = chooser(ops, profile);
  const steps = ops.flatMap(stepsOf);
  const args = steps.flatMap(({ args }) => Object.values(args));
  return {
    graph,
    steps,
    weights: [
      ...new Map(args.flatMap(arg => (arg.kind === 'weight' ? [[weightKey(arg.weight), arg.weight]] : []))).values(),
    ],
    gradients: graph.gradients,
    losses: graph.losses,
    data: new Set(args.flatMap(arg => (arg.kind === 'data' ? [arg.name] : []))),
    rowCosts: mergedCosts(steps.flatMap(({ rowCosts }) => rowCosts)),
    queryTile: tileOf(graph.ops, profile),
    stretched: stretchedRotary(ops.filter(op => op.op === 'rotary')),
    profile,
    ...arena(steps, []),
  };
}

/** An op with its weights as the device keeps them: see Lowering in src/plan/lower.ts. */
function lowered(
  op: TrainingOp,
  { storage, maxBindingBytes }: { storage: (weight: Weight) => Storage; maxBindingBytes: number },
): DeviceTrainingOp[] {
  const stored = (weight: Weight) => keptAs(weight, storage(weight));
  switch (op.op) {
    case 'embed': {
      // A frozen table may be larger than a binding.
      if (!op.words) return [op];
      const words = stored(op.words);
      const { format, texels } = words.storage;
      const mostTexels = texels ? MOST_TEXELS : Number.POSITIVE_INFINITY;
      const most = Math.min(maxBindingBytes / elementBytes(format), mostTexels);
      return rowSlices(words, Math.floor(most / rowElements(format, words.stride))).map(words => ({ ...op, words }));
    }
    case 'linear':
    case 'linearInput':
      return [{ ...op, weight: stored(op.weight) }];
    case 'vocabularyPool':
      throw noRule(op.op, op.y);
    default:
      return [op];
  }
}

/** Queries of one work item of attention: the same for all of a plan. */
function tileOf(ops: readonly TrainingOp[], profile: Profile): number {
  const attention = ops.find(op => op.op === 'attend');
  if (attention?.op !== 'attend') return queryTile([], profile);
  const { lanes, queries } = profile.attention(attention.headSize);
  return lanes * queries;
}

function checkBinding(weight: Weight, limit: number): void {
  const bytes = weightBytes(weight);
  if (bytes <= limit) return;
  throw new DeviceError({
    what: `the weight "${weight.name}" is larger than this device binds, so it cannot be trained`,
    actual: `${bytes} bytes`,
    expected: `at most ${limit}`,
    next: 'Freeze it (TrainingArguments.trainable), or use a device with a larger maxStorageBufferBindingSize.',
  });
}
