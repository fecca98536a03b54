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
  type Storage,
  type StretchedRotary,
  stretchedRotary,
  type Value,
  type Weight,
  weightKey,
} from '../plan/index.ts';
import { chooser } from './choose.ts';
import type { DeviceTrainingOp } from './device-op.ts';
import type { MergedFormat } from './merging.ts';
import type { TrainingGraph, TrainingOp } from './op.ts';
import { overwriting } from './overwriting.ts';
import { noRule } from './refusal.ts';
import { gradientName } from './states.ts';
import type { DataName, TrainingStep } from './step.ts';
import { type TableSlices, tableSlices } from './table-slices.ts';
import { rowsOf, vocabularyTiles } from './vocabulary.ts';

/** A training step, but its update, made ready for any batch on a kind of device: pure data. */
export interface TrainingPlan extends Arena {
  readonly graph: TrainingGraph;
  readonly steps: readonly TrainingStep[];
  /** What the steps bind of the model, in its storage, each once. */
  readonly weights: readonly Weight[];
  /** The weights that have a gradient, or slices of them, as plain float32. */
  readonly gradients: readonly Weight[];
  /** The names of the gradients of tables that only tokens give one, a row each: of most rows they stay 0, and what is not is marked. */
  readonly lookups: ReadonlySet<string>;
  /** The names of the gradients that the first micro-batch of a step writes over: see overwriting.ts. */
  readonly overwritten: ReadonlySet<string>;
  readonly losses: readonly Value[];
  readonly data: ReadonlySet<DataName>;
  readonly rowCosts: readonly RowCost[];
  readonly queryTile: number;
  /** Rows of the table of relative distances; 0: there is none. */
  readonly distances: number;
  readonly stretched: StretchedRotary | undefined;
  readonly profile: Profile;
}

/**
 * How a device with these capabilities computes a training graph. Everything is float32, but for the frozen matrices of a model that keeps
 * its matrices in another format; those that the forward pass reads from textures are read from textures. Tables and decoders that no binding
 * holds are in slices, and a large vocabulary in tiles (vocabulary.ts). Throws DeviceError where another trained weight is larger than a
 * binding, and UnsupportedError where an op has no kernel.
 */
export function planTraining(graph: TrainingGraph, caps: Caps, format: MergedFormat = 'f32'): TrainingPlan {
  const profile = profileOf(caps);
  const texels = profile.target.texture !== undefined;
  const trained = new Set(graph.gradients);
  const storage = (weight: Weight): Storage => ({ format: trained.has(weight) ? 'f32' : format, texels });
  const { slicesOf, gradients } = tableSlices(graph, { storage, maxBindingBytes: caps.maxBindingBytes });
  const tiles = vocabularyTiles(graph.ops, { slicesOf });
  const stored = (weight: Weight) => keptAs(weight, storage(weight));
  const ops = graph.ops.flatMap(op => tiles.get(op) ?? lowered(op, { stored, slicesOf }));
  const lookups = lookupsOf(ops);
  const stepsOf = chooser(ops, { profile, lookups });
  const { steps, overwritten } = overwriting(ops.flatMap(stepsOf), gradients);
  const args = steps.flatMap(({ args }) => Object.values(args));
  return {
    graph,
    steps,
    weights: [
      ...new Map(args.flatMap(arg => (arg.kind === 'weight' ? [[weightKey(arg.weight), arg.weight]] : []))).values(),
    ],
    gradients,
    lookups,
    overwritten,
    losses: graph.losses,
    data: new Set(args.flatMap(arg => (arg.kind === 'data' ? [arg.name] : []))),
    rowCosts: mergedCosts(steps.flatMap(({ rowCosts }) => rowCosts)),
    queryTile: tileOf(graph.ops, profile),
    distances: graph.ops.find(op => op.op === 'tableRows')?.table.count ?? 0,
    stretched: stretchedRotary(ops.filter(op => op.op === 'rotary')),
    profile,
    ...arena(steps, []),
  };
}

/** An op with its weights as the device keeps them: see Lowering in src/plan/lower.ts. */
function lowered(
  op: TrainingOp,
  { stored, slicesOf }: Pick<TableSlices, 'slicesOf'> & { stored: (weight: Weight) => Weight },
): DeviceTrainingOp[] {
  switch (op.op) {
    case 'embed':
      return op.words ? slicesOf(op.words).map(words => ({ ...op, words })) : [op];
    case 'tableRows':
      return slicesOf(op.table).map(table => ({ ...op, table }));
    case 'embedBackward':
      if (op.table !== 'words') return [op];
      return slicesOf(op.gradient).map(slice => ({ ...op, gradient: rowsOf(op.gradient, slice) }));
    case 'linear':
    case 'linearInput':
      return [{ ...op, weight: stored(op.weight) }];
    case 'vocabularyPool':
      throw noRule(op.op, op.y);
    default:
      return [op];
  }
}

/** The gradients of word tables that no other op adds to, as a decoder with the same table does. */
function lookupsOf(ops: readonly DeviceTrainingOp[]): Set<string> {
  const adding = ops.flatMap(op => ('gradient' in op && op.gradient ? [{ op, name: gradientName(op.gradient) }] : []));
  const isLookup = ({ op }: (typeof adding)[number]) => op.op === 'embedBackward' && op.table === 'words';
  const others = new Set(adding.filter(added => !isLookup(added)).map(({ name }) => name));
  return new Set(adding.filter(isLookup).flatMap(({ name }) => (others.has(name) ? [] : [name])));
}

/** Queries of one work item of attention: the same for all of a plan. */
function tileOf(ops: readonly TrainingOp[], profile: Profile): number {
  const attention = ops.find(op => op.op === 'attend');
  if (attention?.op !== 'attend') return queryTile([], profile);
  const { lanes, queries } = profile.attention(attention.headSize);
  return lanes * queries;
}
