import type { Kernel } from '../../shaders/kernel.ts';
import { type Arena, arena } from './arena.ts';
import type { Graph } from './builder.ts';
import type { Caps } from './caps.ts';
import { commonActivation, queryTile, stepsOf } from './choose.ts';
import type { Op, Value } from './op.ts';
import { type Profile, profileOf } from './profiles.ts';
import type { Step, Work } from './step.ts';
import type { Weight } from './weight.ts';
import { joinedWork, workOf } from './work.ts';

/** A forward pass made ready for any lengths: pure data, made once per model and output request. */
export interface Plan extends Arena {
  readonly ops: readonly Op[];
  readonly steps: readonly Step[];
  readonly weights: readonly Weight[];
  readonly outputs: ReadonlyMap<string, Value>;
  /** Of all steps. */
  readonly work: readonly Work[];
  /** Queries of one attention work item. */
  readonly queryTile: number;
}

export function plan({ ops, outputs }: Graph, caps: Caps, profile: Profile = profileOf(caps)): Plan {
  const common = commonActivation(ops);
  const steps = ops.flatMap(op => {
    const work = workOf(op, profile);
    return stepsOf(op, profile, common).map((step): Step => ({ ...step, work }));
  });
  const weights = new Set<Weight>();
  for (const { args } of steps) for (const arg of args) if (arg.kind === 'weight') weights.add(arg.weight);
  return {
    ops,
    steps,
    weights: [...weights],
    outputs,
    work: joinedWork(steps.flatMap(({ work }) => work)),
    queryTile: queryTile(ops, profile),
    ...arena(ops, outputs.values()),
  };
}

/** The kernels of a plan, each once: what has to be compiled. */
export const kernelsOf = (steps: readonly Step[]): Kernel[] => [
  ...new Map(steps.map(({ kernel }) => [kernel.code, kernel])).values(),
];
