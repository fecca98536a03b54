import type { Workgroups } from '../../shaders/kernel.ts';
import { FIRST_GROUP } from '../../shaders/kernel.ts';
import type { Plan } from './plan.ts';
import type { Sizes } from './sizes.ts';
import { costOf } from './work.ts';

/** A step of a plan, or a part of its grid: `groups` workgroups from workgroup `first` of the whole grid. */
export interface Dispatch {
  readonly step: number;
  readonly groups: Workgroups;
  /** Undefined: the whole grid. */
  readonly first?: { readonly first_x: number; readonly first_y: number } | undefined;
}

/** What goes to the GPU as one submit. */
export interface Submit {
  readonly dispatches: readonly Dispatch[];
  readonly work: number;
  /** Whether the pass ends with it. */
  readonly isLast: boolean;
}

/**
 * A pass as one submit, or where its work is more than `budget` allows, as several: as many steps in each as fit. A step that is
 * too much alone is several parts of its grid, where its kernel can be told where to begin; a part is a submit of its own, for the
 * params of a step hold for a whole submit. `budget` is asked before each, because the one before may have changed it.
 * What is computed is the same, in the same order.
 * @param grids Of every step the grid that it has in this pass.
 */
export function* submitsOf(
  { steps, work }: Pick<Plan, 'steps' | 'work'>,
  sizes: Sizes,
  grids: readonly Workgroups[],
  budget: () => number,
): Generator<Submit> {
  const all = costOf(work, sizes);
  if (all <= budget()) {
    yield { dispatches: grids.map((groups, step) => ({ step, groups })), work: all, isLast: true };
    return;
  }
  let dispatches: Dispatch[] = [];
  let filled = 0;
  for (const [step, { kernel, work: own }] of steps.entries()) {
    const groups = grids[step]!;
    const cost = costOf(own, sizes);
    if (dispatches.length > 0 && filled + cost > budget()) {
      yield { dispatches, work: filled, isLast: false };
      [dispatches, filled] = [[], 0];
    }
    if (cost > budget() && kernel.params.includes(FIRST_GROUP[0]!)) {
      for (const { work: some, ...part } of partsOf(groups, cost, budget)) {
        yield { dispatches: [{ step, ...part }], work: some, isLast: false };
      }
    } else {
      dispatches.push({ step, groups });
      filled += cost;
    }
  }
  // Of no step, where the last one was cut: then the outputs are read back by a submit of their own.
  yield { dispatches, work: filled, isLast: true };
}

/** A grid in whole rows of workgroups, where one of these is within the budget, else in parts of rows. */
function* partsOf([x, y, z]: Workgroups, cost: number, budget: () => number) {
  const each = cost / (x * y);
  for (let first_y = 0; first_y < y; ) {
    const rows = Math.min(y - first_y, Math.floor(budget() / (each * x)));
    if (rows > 0) {
      yield { groups: [x, rows, z] as const, first: { first_x: 0, first_y }, work: each * x * rows };
      first_y += rows;
      continue;
    }
    for (let first_x = 0; first_x < x; ) {
      const columns = Math.min(x - first_x, Math.max(1, Math.floor(budget() / each)));
      yield { groups: [columns, 1, z] as const, first: { first_x, first_y }, work: each * columns };
      first_x += columns;
    }
    first_y++;
  }
}
