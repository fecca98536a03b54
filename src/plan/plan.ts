import type { Caps, Kernel } from '../../shaders/kernel.ts';
import { type Arena, arena } from './arena.ts';
import type { Graph } from './builder.ts';
import { queryTile, stepsOf } from './choose.ts';
import type { Op, Value } from './op.ts';
import type { Sizes } from './sizes.ts';
import type { Weight } from './weight.ts';

/** What the host writes per pass, each array<vec4u>: see batch.ts. */
export type InputName = 'tokens' | 'sequences' | 'tiles' | 'masked';

export type Argument =
  | { readonly kind: 'value'; readonly value: Value }
  | { readonly kind: 'weight'; readonly weight: Weight }
  | { readonly kind: 'input'; readonly input: InputName }
  | { readonly kind: 'constant'; readonly constant: Uint32Array<ArrayBuffer> };

/** One dispatch. */
export interface Step {
  readonly kernel: Kernel;
  /** What it computes, for the profiler: the name of the value it writes. */
  readonly label: string;
  /** One per binding of the kernel, in order. */
  readonly args: readonly Argument[];
  /** A number, or the size of the pass that it is. */
  readonly params: Readonly<Record<string, number | keyof Sizes>>;
}

/** A forward pass made ready for any lengths: pure data, made once per model and output request. */
export interface Plan extends Arena {
  readonly ops: readonly Op[];
  readonly steps: readonly Step[];
  readonly weights: readonly Weight[];
  readonly outputs: ReadonlyMap<string, Value>;
  /** Queries of one attention work item. */
  readonly queryTile: number;
}

export function plan({ ops, outputs }: Graph, caps: Caps): Plan {
  const steps = ops.flatMap(op => stepsOf(op, caps));
  const weights = new Set<Weight>();
  for (const { args } of steps) for (const arg of args) if (arg.kind === 'weight') weights.add(arg.weight);
  return {
    ops,
    steps,
    weights: [...weights],
    outputs,
    queryTile: queryTile(ops, caps),
    ...arena(ops, outputs.values()),
  };
}

/** The kernels of a plan, each once: what has to be compiled. */
export const kernelsOf = (steps: readonly Step[]): Kernel[] => [
  ...new Map(steps.map(({ kernel }) => [kernel.code, kernel])).values(),
];
