import { type Caps, type Measure, type Pace, paced, profileOf, startPace } from '../plan/index.ts';

/** Says how much work a submit may have, and is told when each begins and ends. */
export interface Pacer {
  /** The work that the next submit may have. */
  readonly budget: () => number;
  /** To be called right before a submit of this work. The function that it returns is to be called when the submit has ended well. */
  readonly begin: (work: number) => () => void;
}

/** A submit under way, or the one that ended last. */
interface TimedSubmit {
  readonly work: number;
  /** Milliseconds, as all times here. */
  readonly submitted: number;
  /** The submit that was still under way when this one was submitted. */
  previous: TimedSubmit | undefined;
  /** When it became the first in the queue, as far as the page was told. Set when it has ended. */
  began: number;
  ended: number | undefined;
}

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

  readonly begin = (work: number): (() => void) => {
    const previous = this.#newest?.ended === undefined ? this.#newest : undefined;
    const submit: TimedSubmit = { work, submitted: this.#now(), previous, began: 0, ended: undefined };
    this.#newest = submit;
    return () => {
      const ended = this.#now();
      submit.began = Math.max(submit.submitted, submit.previous?.ended ?? 0);
      submit.ended = ended;
      if (this.#measuresSpeed) this.#pace = paced(this.#pace, measure(submit, ended));
      // Without this, every submit would keep all submits before it in memory.
      submit.previous = undefined;
    };
  };
}

/**
 * How long a submit took. One that was alone in the queue took from its submission to its end. One behind another began when that
 * ended, which is known only from when the page was told: a busy page is told of both ends at once, and the second submit seems to have
 * taken no time. So both are measured as one, from the beginning of the first, and the second gets its share by work.
 */
function measure({ work, submitted, previous }: TimedSubmit, ended: number): Measure {
  if (previous?.ended === undefined) return { work, ms: ended - submitted };
  return { work, ms: ((ended - previous.began) * work) / (work + previous.work) };
}
