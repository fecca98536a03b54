import { padded, textureBytes } from '../../shaders/kernel.ts';
import { SCALARS_FLOATS } from '../../shaders/scalars.ts';
import { phaseRows, type Sizes, slotBytes, type Weight, weightBytes, weightKey } from '../plan/index.ts';
import { type LossOp, targetColumns } from './loss-op.ts';
import { type MergePlan, mergeBytes } from './merging.ts';
import { textsOf } from './op.ts';
import type { TrainingPlan } from './plan.ts';
import { SCORE_GRADIENTS_STATE, SCORES_STATE } from './states.ts';
import { type DataName, texturesOf } from './step.ts';
import type { State, UpdatePlan } from './update.ts';

/** Bytes of the params of a step: see src/gpu/dispatch.ts. */
const UNIFORM_BYTES = 256;

/** In every size the next power of two, and no less than before: what buffers are made for, so that few are made. */
export function capacityOf(sizes: Sizes, before: Sizes | undefined): Sizes {
  const larger = (size: number, key: keyof Sizes) =>
    Math.max(before?.[key] ?? 0, size && 2 ** Math.ceil(Math.log2(Math.max(size, 16))));
  return {
    tokens: larger(sizes.tokens, 'tokens'),
    sequences: larger(sizes.sequences, 'sequences'),
    tiles: larger(sizes.tiles, 'tiles'),
    // A training has no value of pairs.
    pairs: 0,
    masked: larger(sizes.masked, 'masked'),
    distances: sizes.distances,
  };
}

/** The constants that steps bind, one buffer for each. */
const constantBytes = ({ steps }: TrainingPlan): number =>
  steps
    .flatMap(({ args }) => Object.values(args))
    .reduce((sum, argument) => sum + (argument.kind === 'constant' ? argument.constant.byteLength : 0), 0);

/** Bytes on the GPU. */
export interface TrainingMemory {
  /** The model's, with those of adapters, and where they are kept in textures the float32 rows of what is trained. */
  readonly weights: number;
  readonly gradients: number;
  /** The two running means of AdamW. */
  readonly moments: number;
  /** Of the largest micro-batch: activations, their gradients, inputs and labels. */
  readonly activations: number;
  readonly total: number;
}

/** The bytes of every array of data of a micro-batch of these sizes. */
export function dataBytes({ data, graph }: TrainingPlan, sizes: Sizes): Map<DataName, number> {
  const losses = graph.ops.filter((op): op is LossOp => 'dlogits' in op);
  const { logits } = losses[0]!;
  const bytesOf = (name: DataName): number => {
    switch (name) {
      case 'labels':
        return 4 * sizes[logits.rows];
      case 'next_sentence_labels':
        return 4 * sizes.sequences;
      case 'targets':
        return 4 * sizes.sequences * padded(targetColumns(losses[0]!));
      case 'spans':
      case 'sequence_keys':
        return 16 * sizes.sequences;
      case 'token_keys':
        return 16 * sizes.tokens;
      case 'distances_keys':
        return 16 * sizes.distances;
      default:
        return (name.endsWith('order') ? 4 : 16) * sizes.tokens;
    }
  };
  return new Map([...data].map(name => [name, Math.max(16, bytesOf(name))]));
}

/** The bytes of the states that are as large as micro-batches of these sizes need, by name. */
export function batchStateBytes({ graph, steps }: TrainingPlan, sizes: Sizes): Map<string, number> {
  const records = Math.floor(sizes.sequences / (textsOf(graph.ops) ?? 1));
  const bytes = Math.max(16, 4 * records * padded(sizes.sequences - records));
  const bound = new Set(
    steps.flatMap(({ args }) => Object.values(args).flatMap(arg => (arg.kind === 'state' ? [arg.name] : []))),
  );
  return new Map([SCORES_STATE, SCORE_GRADIENTS_STATE].flatMap(name => (bound.has(name) ? [[name, bytes]] : [])));
}

/** The bytes of the inputs of a micro-batch, by name: those of src/plan/batch.ts. */
export function inputBytes({ stretched }: Pick<TrainingPlan, 'stretched'>, sizes: Sizes) {
  const rows = {
    tokens: sizes.tokens,
    sequences: sizes.sequences,
    tiles: sizes.tiles,
    masked: sizes.masked,
    phases: stretched ? phaseRows(sizes.tokens, stretched) : undefined,
  };
  return Object.entries(rows).flatMap(([name, count]) =>
    count === undefined ? [] : [{ name: name as keyof typeof rows, bytes: 16 * Math.max(1, count) }],
  );
}

interface TrainingParts {
  readonly update: UpdatePlan;
  readonly merges: readonly MergePlan[];
  /** The weights of the model that are there already; the step may not read all of them, such as a pooler of an embedder. */
  readonly held: readonly Weight[];
}

/** What a training holds on the GPU with micro-batches of at most these sizes. Known before anything is made. */
export function trainingMemory(
  plan: TrainingPlan,
  { update, merges, held }: TrainingParts,
  passSizes: Sizes,
): TrainingMemory {
  const sizes = capacityOf(passSizes, undefined);
  const sum = (list: Iterable<number>) => [...list].reduce((a, b) => a + b, 0);
  const sumOf = (states: readonly State[]) => sum(states.map(({ bytes }) => bytes));
  const isTexels = plan.profile.target.texture !== undefined;
  const masters = isTexels
    ? update.weights.filter(weight => plan.weights.some(({ name, storage }) => name === weight.name && storage.texels))
    : [];
  const merged = merges.map(({ target }) => target);
  const ofModel = new Map([...held, ...plan.weights, ...merged].map(weight => [weightKey(weight), weight]));
  const weights = sum([...ofModel.values(), ...masters].map(weightBytes));
  const gradients = sumOf(update.gradients);
  const moments = sumOf(update.moments);
  const activations =
    sum(plan.slots.map(slot => slotBytes(slot, sizes))) +
    sum([...texturesOf(plan.steps, sizes).values()].map(({ format, texels }) => textureBytes(format, texels))) +
    sum(inputBytes(plan, sizes).map(({ bytes }) => bytes)) +
    sum(dataBytes(plan, sizes).values()) +
    sum(batchStateBytes(plan, sizes).values()) +
    constantBytes(plan) +
    sumOf(update.others) +
    mergeBytes(merges, UNIFORM_BYTES) +
    UNIFORM_BYTES * (plan.steps.length + update.steps.length) +
    4 * SCALARS_FLOATS;
  return { weights, gradients, moments, activations, total: weights + gradients + moments + activations };
}
