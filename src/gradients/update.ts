import { type AdamWKind, adamw } from '../../shaders/adamw.ts';
import { clip } from '../../shaders/clip.ts';
import { WHOLE_GRID } from '../../shaders/kernel.ts';
import { SCALARS_FLOATS } from '../../shaders/scalars.ts';
import { MARKED_VECTORS } from '../../shaders/snippets.ts';
import { squareSum, squareSums } from '../../shaders/square-sum.ts';
import { type Caps, checkStep, profileOf, type Weight, weightBytes } from '../plan/index.ts';
import type { TrainingPlan } from './plan.ts';
import { gradientName, momentName, SCALARS_STATE, SQUARES_STATE, seenName, weightName } from './states.ts';
import type { TrainingParam, TrainingStep } from './step.ts';

/** How a tensor is trained. */
export interface TensorUpdate {
  /** Tells the learning rates apart: the number `rate ${group}` of a step is the group's. */
  readonly group: number;
  /** The weight decay. */
  readonly decay: number;
}

export interface UpdateOptions {
  readonly kind: AdamWKind;
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  /** 0: gradients are not clipped. */
  readonly maxNorm: number;
  /** How a tensor is trained, by its canonical name; undefined where it is frozen. */
  readonly tensor: (tensor: string) => TensorUpdate | undefined;
}

/** A buffer that outlives the passes. */
export interface State {
  readonly name: string;
  readonly bytes: number;
}

/** Some vec4f of a gradient that are no gradient of what is trained: other tensors stand beside the trained ones in one weight. */
export interface FrozenRange {
  readonly name: string;
  /** In bytes. */
  readonly first: number;
  readonly bytes: number;
}

/** One dispatch of the end of a step. */
export interface UpdateStep extends TrainingStep {
  /** The most that it may cost, in multiply-adds of a linear: see src/plan/work.ts. */
  readonly work: number;
  /** Whether it costs that much each time. What passes over parts of a table that no text has had costs less. */
  readonly isSteady: boolean;
}

/** Floats that AdamW reads and writes for each of a weight: itself twice, both means twice, the gradient. */
const ADAMW_FLOATS = 7;

/** The end of a step as data: the length of the gradient, and AdamW. It has no sizes, so it is the same dispatches in every step. */
export interface UpdatePlan {
  readonly steps: readonly UpdateStep[];
  readonly gradients: readonly State[];
  /** The gradients that are cleared when a step begins: the first micro-batch does not write over all of them. */
  readonly cleared: readonly State[];
  readonly moments: readonly State[];
  /** The numbers of shaders/scalars.ts and the partial sums of squares. */
  readonly others: readonly State[];
  /** The weights that AdamW changes. */
  readonly weights: readonly Weight[];
  /** The marks of tables, by the names of the moments that only what is marked has. */
  readonly marks: ReadonlyMap<string, State>;
  /** Cleared before the length is computed. */
  readonly frozen: readonly FrozenRange[];
}

/**
 * The dispatches that end a step: the sums of squares of all gradients, the factor that clips them, AdamW for each tensor. A numbers of a
 * step are `rate ${group}`, `step`, `correction1` and `correction2`.
 */
export function planUpdate(
  { gradients: weights, lookups, overwritten }: Pick<TrainingPlan, 'gradients' | 'lookups' | 'overwritten'>,
  options: UpdateOptions,
  caps: Caps,
): UpdatePlan {
  const { kind, beta1, beta2, epsilon, maxNorm } = options;
  const { movedFloat } = profileOf(caps).costs;
  /** @param floats how many floats it reads and writes at most */
  const step = (made: Omit<TrainingStep, 'rowCosts'>, floats: number): UpdateStep => {
    checkStep(made);
    return { ...made, rowCosts: [], work: movedFloat * floats, isSteady: !('seen' in made.args) };
  };
  const state = (name: string) => ({ kind: 'state', name }) as const;
  const frozen: FrozenRange[] = [];
  const squares: UpdateStep[] = [];
  const updates: UpdateStep[] = [];
  const trained: Weight[] = [];
  const marks = new Map<string, State>();
  let partials = 0;
  for (const weight of weights) {
    const runs = runsOf(weight);
    const isTrained = runs.some(({ tensors }) => tensors.some(options.tensor));
    if (isTrained) trained.push(weight);
    const gradient = state(gradientName(weight));
    const count = weightBytes(plainOf(weight)) / 16;
    const marked = lookups.has(gradient.name);
    const seen = { name: seenName(weight), bytes: 4 * Math.ceil(count / MARKED_VECTORS) };
    if (marked) for (const of of ['m', 'v'] as const) marks.set(momentName(weight, of), seen);
    const marking = marked && { seen: state(seen.name) };
    squares.push(
      step(
        {
          kernel: squareSum({ marked }),
          label: `squares of ${weight.name}`,
          args: { gradient, partials: state(SQUARES_STATE), ...marking },
          params: { count, first: partials, ...WHOLE_GRID },
        },
        4 * count,
      ),
    );
    partials += squareSums(count);
    for (const { tensors, first, count } of runs) {
      const update = tensors.map(options.tensor).find(Boolean);
      if (!update) {
        frozen.push({ name: gradient.name, first: 16 * first, bytes: 16 * count });
        continue;
      }
      const params: Record<string, TrainingParam> = {
        count,
        first,
        learning_rate: `rate ${update.group}`,
        beta1,
        beta2,
        epsilon,
        decay: update.decay,
        ...WHOLE_GRID,
      };
      const args = {
        weight: state(weightName(weight)),
        gradient,
        m: state(momentName(weight, 'm')),
        v: state(momentName(weight, 'v')),
        scalars: state(SCALARS_STATE),
        ...marking,
      };
      const label = `adamw of ${tensors.join('+')}`;
      updates.push(step({ kernel: adamw({ kind, marked }), label, args, params }, ADAMW_FLOATS * 4 * count));
    }
  }
  const norm = step(
    {
      kernel: clip(),
      label: 'norm',
      args: { partials: state(SQUARES_STATE), scalars: state(SCALARS_STATE) },
      params: {
        count: partials,
        step: 'step',
        max_norm: maxNorm,
        beta1,
        beta2,
        correction1: 'correction1',
        correction2: 'correction2',
      },
    },
    partials,
  );
  const bytesOf = (weight: Weight) => weightBytes(plainOf(weight));
  const gradients = weights.map(weight => ({ name: gradientName(weight), bytes: bytesOf(weight) }));
  return {
    steps: [...squares, norm, ...updates],
    gradients,
    cleared: gradients.filter(({ name }) => !overwritten.has(name)),
    moments: trained.flatMap(weight =>
      (['m', 'v'] as const).map(of => ({ name: momentName(weight, of), bytes: bytesOf(weight) })),
    ),
    others: [
      { name: SCALARS_STATE, bytes: 4 * SCALARS_FLOATS },
      { name: SQUARES_STATE, bytes: 4 * Math.max(1, partials) },
      ...new Set(marks.values()),
    ],
    weights: trained,
    marks,
    frozen,
  };
}

const plainOf = (weight: Weight): Weight => ({ ...weight, storage: { format: 'f32', texels: false } });

/** Neighbouring vec4f of a weight, and the tensors whose numbers they are; none where they are padding. */
interface Run {
  readonly tensors: readonly string[];
  readonly first: number;
  readonly count: number;
}

/**
 * The tensors of a weight one below the other, and the rows between them; or all as one, where they share rows or vec4f. Such tensors are trained as one, by what is
 * said of the first that is trained.
 */
function runsOf(weight: Weight): Run[] {
  const { parts, stride } = weight;
  const whole = weightBytes(plainOf(weight)) / 16;
  const starts = parts.map(({ rowOffset }) => (rowOffset * stride) / 4);
  const isStacked = starts.every((start, i) => Number.isInteger(start) && (i === 0 || start > starts[i - 1]!));
  if (!isStacked) return [{ tensors: parts.map(({ tensor }) => tensor), first: 0, count: whole }];
  const { size, padded } = weight.rowGroup;
  const runs: Run[] = [];
  let end = 0;
  // Rows of no tensor are zeros, and stay zeros.
  const skipTo = (next: number) => {
    if (next > end) runs.push({ tensors: [], first: end, count: next - end });
    end = Math.max(end, next);
  };
  parts.forEach(({ tensor, count }, i) => {
    skipTo(starts[i]!);
    const next = Math.min(starts[i + 1] ?? whole, Math.ceil(end + ((count / size) * padded * stride) / 4));
    runs.push({ tensors: [tensor], first: end, count: next - end });
    end = next;
  });
  skipTo(whole);
  return runs;
}
