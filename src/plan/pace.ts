import type { Caps } from './caps.ts';
import { profileOf } from './profiles.ts';

/**
 * How much work one submit may have. A GPU that is busy with one submit shows no picture meanwhile, and after two seconds Windows
 * resets it; how fast it is nobody says. So the first submits are small, and what they take decides about the next.
 * Pure data: see `paced`.
 */
export interface Pace {
  /** Of one submit, in multiply-adds (see work.ts). */
  readonly budget: number;
  /** Milliseconds that a submit takes however little it has to do, as far as two of different work have told. */
  readonly floor: number;
  readonly last?: Measure | undefined;
}

/** What a submit had to do, and how long it took. */
export interface Measure {
  readonly work: number;
  /** Milliseconds from the submit to its end, with nothing before it in the queue. */
  readonly ms: number;
}

/** What a submit should take: enough that its own floor of a few milliseconds is nothing, and few enough for a desktop to go on. */
export const TARGET_MS = 100;
/** Less is never worth a submit of its own: on the weakest GPUs 50 ms. */
const LEAST = 2 ** 28;
/** At once by no more than this: a measure that is off must not cost much. */
const [MOST_GROWTH, MOST_SHRINKING] = [16, 8];
/** Clocks of browsers are no finer, so what took no time at all took less than this. */
const CLOCK_MS = 1;

/** Before anything was measured. */
export const startPace = (caps: Caps): Pace => ({ budget: profileOf(caps).submitWork, floor: 0 });

/**
 * The pace after one more submit. It grows where the time left room for more, by the time as it was measured; where only what
 * remains of it without the floor says so, it is doubled at most, for a floor is an estimate. It shrinks where the work took longer than
 * it should. A small submit that was quick says nothing about larger ones and changes nothing. Nor does one of no work, which only
 * reads the outputs back: what that takes is no matter of how much a submit has to do.
 */
export function paced(pace: Pace, { work, ms }: Measure): Pace {
  if (work === 0) return pace;
  const { budget, last } = pace;
  const time = Math.max(ms, CLOCK_MS);
  const floor = Math.min(floorOf(last, { work, ms: time }) ?? pace.floor, time);
  // An estimate never takes nearly all of a measure away.
  const busy = Math.max(time - floor, time / 8);
  const [plain, corrected] = [time, busy].map(each => (work * TARGET_MS) / each) as [number, number];
  const next = () => {
    if (plain > budget) return Math.min(plain, budget * MOST_GROWTH);
    if (corrected > budget) return Math.min(corrected, budget * 2);
    if (busy <= TARGET_MS) return budget;
    return Math.min(budget, Math.max(corrected, budget / MOST_SHRINKING, LEAST));
  };
  return { budget: next(), floor, last: { work, ms: time } };
}

/** What two submits, of which one had at least twice the work, have in common beside it. Undefined where they tell nothing. */
function floorOf(a: Measure | undefined, b: Measure): number | undefined {
  if (!a || Math.max(a.work, b.work) < 2 * Math.min(a.work, b.work)) return undefined;
  const [less, more] = a.work < b.work ? [a, b] : [b, a];
  const perWork = (more.ms - less.ms) / (more.work - less.work);
  // A larger one that was quicker: one of the two was held up by something else, so nothing is known.
  if (perWork < 0) return undefined;
  return Math.max(0, less.ms - perWork * less.work);
}
