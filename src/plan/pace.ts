import type { Caps } from './caps.ts';
import { profileOf } from './profiles.ts';

/**
 * How much work one submit may have. While a GPU runs a submit the screen stands still, and after two seconds Windows resets the
 * driver; no API tells how fast a GPU is. So the first submits are small, and the time that they take decides about the next.
 * Pure data: see `paced`.
 */
export interface Pace {
  /** The work of one submit, in multiply-adds (see work.ts). */
  readonly budget: number;
  /** An estimate of the milliseconds that a submit without work takes, from two submits of different work. */
  readonly floor: number;
  readonly last?: Measure | undefined;
}

/** The work of a submit, and how long it took. */
export interface Measure {
  readonly work: number;
  /** Milliseconds from the submit to its end, with nothing before it in the queue. */
  readonly ms: number;
}

/** What a submit should take: much more than its floor of a few milliseconds, and little enough for a screen that stays alive. */
export const TARGET_MS = 100;
/** The budget does not shrink below this, which takes 50 ms on the weakest GPUs. */
const MIN_BUDGET = 2 ** 28;
/** One measure changes the budget by no more than these factors, so that a wrong one does little harm. */
const MAX_GROWTH = 16;
const MAX_SHRINKING = 8;
/** The resolution of browsers' clocks: a time of 0 means less than this. */
const CLOCK_MS = 1;

/** The pace before anything was measured. */
export const startPace = (caps: Caps): Pace => ({ budget: profileOf(caps).submitWork, floor: 0 });

/**
 * The pace after one more submit. The budget grows where the time that was measured leaves room for more. Where only the time without
 * the floor does, it is doubled at most, because the floor is an estimate. It shrinks where the submit took longer than TARGET_MS. A
 * small, quick submit says nothing about larger ones and changes nothing. Nor does a submit without work, which only reads the outputs
 * back: its time does not depend on work.
 */
export function paced(pace: Pace, { work, ms }: Measure): Pace {
  if (work === 0) return pace;
  const { budget, last } = pace;
  const time = Math.max(ms, CLOCK_MS);
  const floor = Math.min(floorOf(last, { work, ms: time }) ?? pace.floor, time);
  // At least an eighth of the time is work, however large the estimate of the floor.
  const busy = Math.max(time - floor, time / 8);
  const plain = (work * TARGET_MS) / time;
  const corrected = (work * TARGET_MS) / busy;
  const next = () => {
    if (plain > budget) return Math.min(plain, budget * MAX_GROWTH);
    if (corrected > budget) return Math.min(corrected, budget * 2);
    if (busy <= TARGET_MS) return budget;
    return Math.min(budget, Math.max(corrected, budget / MAX_SHRINKING, MIN_BUDGET));
  };
  return { budget: next(), floor, last: { work, ms: time } };
}

/** The time that two submits share whatever their work is. Undefined unless one has at least twice the work of the other. */
function floorOf(a: Measure | undefined, b: Measure): number | undefined {
  if (!a || Math.max(a.work, b.work) < 2 * Math.min(a.work, b.work)) return undefined;
  const [less, more] = a.work < b.work ? [a, b] : [b, a];
  const perWork = (more.ms - less.ms) / (more.work - less.work);
  // The larger one was quicker: something else delayed the other, so the two say nothing.
  if (perWork < 0) return undefined;
  return Math.max(0, less.ms - perWork * less.work);
}
