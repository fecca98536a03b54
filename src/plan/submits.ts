import { FIRST_GROUP, type Kernel, type Workgroups } from '../../shaders/kernel.ts';
import type { Sizes } from './sizes.ts';
import type { Step } from './step.ts';
import { costOf } from './work.ts';

/** A step, and what it costs in multiply-adds of a linear: see work.ts. */
export interface StepWork {
  readonly kernel: Pick<Kernel, 'params'>;
  readonly work: number;
}

/** What the steps of a plan cost in a pass of these sizes. */
export const workOf = (steps: readonly Pick<Step, 'kernel' | 'rowCosts'>[], sizes: Sizes): StepWork[] =>
  steps.map(({ kernel, rowCosts }) => ({ kernel, work: costOf(rowCosts, sizes) }));

/** A step of a plan, or a part of its grid: `groups` workgroups from workgroup `first` of the whole grid on. */
export interface Dispatch {
  /** Its index in the plan. */
  readonly step: number;
  readonly groups: Workgroups;
  /** Undefined: the whole grid. */
  readonly first?: { readonly first_x: number; readonly first_y: number } | undefined;
}

/** What goes to the GPU as one submit. */
export interface Submit {
  readonly dispatches: readonly Dispatch[];
  /** In multiply-adds of a linear: see work.ts. */
  readonly work: number;
  /** Whether the pass ends with it. */
  readonly isLast: boolean;
}

/**
 * A pass as one submit, or where its work exceeds `budget` as several, each with as many steps as fit. A step that exceeds it alone is cut
 * into parts of its grid, if its kernel can be told where to begin. Each part is a submit of its own, because the params of a step hold
 * for a whole submit. `budget` is called before each submit: the one before may have changed it. The same is computed, in the same order.
 * @param grids The grid of every step in this pass.
 */
export function* submitsOf(
  steps: readonly StepWork[],
  grids: readonly Workgroups[],
  budget: () => number,
): Generator<Submit> {
  const wholeWork = steps.reduce((sum, step) => sum + step.work, 0);
  if (wholeWork <= budget()) {
    yield { dispatches: grids.map((groups, step) => ({ step, groups })), work: wholeWork, isLast: true };
    return;
  }
  let dispatches: Dispatch[] = [];
  let work = 0;
  for (const [index, { kernel, work: stepWork }] of steps.entries()) {
    const groups = grids[index]!;
    if (dispatches.length > 0 && work + stepWork > budget()) {
      yield { dispatches, work, isLast: false };
      [dispatches, work] = [[], 0];
    }
    if (stepWork > budget() && kernel.params.includes(FIRST_GROUP[0]!)) {
      for (const { work: partWork, ...part } of partsOf(groups, stepWork, budget)) {
        yield { dispatches: [{ step: index, ...part }], work: partWork, isLast: false };
      }
    } else {
      dispatches.push({ step: index, groups });
      work += stepWork;
    }
  }
  // Without dispatches, where the last step was cut: then this submit only reads the outputs back.
  yield { dispatches, work, isLast: true };
}

/** A grid in parts of whole rows of workgroups, where one row is within the budget, else in parts of a row. */
function* partsOf([x, y, z]: Workgroups, work: number, budget: () => number) {
  const groupWork = work / (x * y);
  for (let first_y = 0; first_y < y; ) {
    const rows = Math.min(y - first_y, Math.floor(budget() / (groupWork * x)));
    if (rows > 0) {
      yield { groups: [x, rows, z] as const, first: { first_x: 0, first_y }, work: groupWork * x * rows };
      first_y += rows;
      continue;
    }
    for (let first_x = 0; first_x < x; ) {
      const columns = Math.min(x - first_x, Math.max(1, Math.floor(budget() / groupWork)));
      yield { groups: [columns, 1, z] as const, first: { first_x, first_y }, work: groupWork * columns };
      first_x += columns;
    }
    first_y++;
  }
}
