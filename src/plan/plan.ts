import type { Kernel } from '../../shaders/kernel.ts';
import type { Format } from '../../shaders/matrix.ts';
import { type Arena, arena } from './arena.ts';
import type { Caps } from './caps.ts';
import { commonActivation, queryTile, stepOf } from './choose.ts';
import { type DeviceOp, lower, type OutputSlice } from './lower.ts';
import type { Graph } from './op.ts';
import { type StretchedRotary, stretchedRotary } from './phases.ts';
import { type Profile, profileOf } from './profiles.ts';
import type { RowCost, Step } from './step.ts';
import type { Weight } from './weight.ts';
import { mergedCosts, rowCostsOf } from './work.ts';

/** A forward pass made ready for any lengths on a kind of device: pure data, made once per model and request. */
export interface Plan extends Arena {
  /** Those of the graph, lowered. */
  readonly ops: readonly DeviceOp[];
  /** One per op. */
  readonly steps: readonly Step[];
  readonly weights: readonly Weight[];
  readonly outputs: readonly OutputSlice[];
  /** Of all steps together. */
  readonly rowCosts: readonly RowCost[];
  /** Queries of one attention work item. */
  readonly queryTile: number;
  /** Rotary frequencies that depend on the lengths of sequences: a pass computes the angles of its tokens. */
  readonly stretched: StretchedRotary | undefined;
}

export interface PlanOptions {
  readonly caps: Caps;
  /** How the weights of linears and the word table are kept. Default: 'f32'. */
  readonly format?: Format | undefined;
  /** Default: the one for `caps`. */
  readonly profile?: Profile | undefined;
}

/** How a device with these capabilities computes a graph. */
export function plan(graph: Graph, { caps, format = 'f32', profile = profileOf(caps) }: PlanOptions): Plan {
  const texels = profile.target.texture !== undefined;
  const { ops, outputs } = lower(graph, { format, texels, maxBindingBytes: caps.maxBindingBytes });
  const common = commonActivation(ops);
  const steps = ops.map((op): Step => ({ ...stepOf(op, profile, common), rowCosts: rowCostsOf(op, profile) }));
  const args = steps.flatMap(step => Object.values(step.args));
  return {
    ops,
    steps,
    weights: [...new Set(args.flatMap(arg => (arg.kind === 'weight' ? [arg.weight] : [])))],
    outputs,
    rowCosts: mergedCosts(steps.flatMap(({ rowCosts }) => rowCosts)),
    queryTile: queryTile(ops, profile),
    stretched: stretchedRotary(ops),
    ...arena(
      steps,
      outputs.map(({ value }) => value),
    ),
  };
}

/** The kernels of a plan, each once: what has to be compiled. */
export const kernelsOf = (steps: readonly Pick<Step, 'kernel'>[]): Kernel[] => [
  ...new Map(steps.map(({ kernel }) => [kernel.code, kernel])).values(),
];
