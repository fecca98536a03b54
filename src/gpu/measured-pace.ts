import { type Caps, type Measure, type Pace, paced, profileOf, startPace } from '../plan/index.ts';

/** Says how much work a submit may have, and is told when each begins and ends. */
export interface Pacer {
  /** The work that the next submit may have. */
  readonly budget: () => number;
  /**
   * To be called right before a submit of this work; undefined where nobody knows what it will be. The function that it returns is to be
   * called when the submit has ended well.
   */
  readonly begin: (work: number | undefined) => () => void;
}

/** A submit under way, or the one that ended last. */
interface TimedSubmit {
  readonly work: number | undefined;
  /** Milliseconds, as all times here. */
  readonly submitted: number;
  /** The submit that was still under way when this one was submitted. */
  previous: TimedSubmit | undefined;
  /** Set when it has ended. */
  told: Told | undefined;
}

/** What the page was told of at one time: the end of a submit, or of several, one behind the other. */
interface Told {
  readonly ended: number;
  /** When the first of them became the first in the queue, as far as the page was told. */
  readonly began: number;
  /** Of all of them; undefined where it is not known of one. */
  readonly work: number | undefined;
}

/** Ends that are told of within this time are told of together: a page that was busy runs what has come meanwhile at once. */
const AT_ONCE_MS = 1;

const paces = new WeakMap<GPUDevice, MeasuredPace>();

/** The pace of a device (see src/plan/pace.ts), from the times of the submits of all models on it. */
export class MeasuredPace implements Pacer {
  readonly #now: () => number;
  readonly #measuresSpeed: boolean;
  #pace: Pace;
  #newest: TimedSubmit | undefined;

  constructor(caps: Caps, now: () => number = () => performance.now()) {
    this.#now = now;
    this.#measuresSpeed = profileOf(caps).measuresSpeed;
    this.#pace = startPace(caps);
  }

  /** The pace of this device: all models on it share one. */
  static of(device: GPUDevice, caps: Caps): MeasuredPace {
    const pace = paces.get(device) ?? new MeasuredPace(caps);
    paces.set(device, pace);
    return pace;
  }

  readonly budget = (): number => this.#pace.budget;

  readonly begin = (work: number | undefined): (() => void) => {
    const previous = this.#newest?.told === undefined ? this.#newest : undefined;
    const submit: TimedSubmit = { work, submitted: this.#now(), previous, told: undefined };
    this.#newest = submit;
    return () => {
      const ended = this.#now();
      const before = submit.previous?.told;
      submit.told = toldOf(submit, before, ended);
      const measured = measure(submit, before, ended);
      if (this.#measuresSpeed && measured) this.#pace = paced(this.#pace, measured);
      // Without this, every submit would keep all submits before it in memory.
      submit.previous = undefined;
    };
  };
}

function toldOf({ work, submitted }: TimedSubmit, before: Told | undefined, ended: number): Told {
  if (!before || ended - before.ended >= AT_ONCE_MS)
    return { ended, began: Math.max(submitted, before?.ended ?? 0), work };
  return { ended, began: before.began, work: sumOf(before.work, work) };
}

const sumOf = (a: number | undefined, b: number | undefined) =>
  a === undefined || b === undefined ? undefined : a + b;

/**
 * How long a submit took. One that was alone in the queue took from its submission to its end. One behind another began when that
 * ended, which is known only from when the page was told: a busy page is told of several ends at once, and all but the first submit seem
 * to have taken no time. So it is measured as one with what the page was told of before, from the beginning of that, and gets its share
 * by work. Undefined where the work of one of them is not known.
 */
function measure({ work, submitted }: TimedSubmit, before: Told | undefined, ended: number): Measure | undefined {
  if (work === undefined) return undefined;
  if (!before) return { work, ms: ended - submitted };
  const all = sumOf(before.work, work);
  return all === undefined ? undefined : { work, ms: ((ended - before.began) * work) / all };
}
