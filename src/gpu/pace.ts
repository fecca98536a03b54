import { type Caps, type Measure, type Pace, paced, profileOf, startPace } from '../plan/index.ts';

/** A submit under way, or the one that ended last. */
interface Running {
  readonly work: number;
  readonly submitted: number;
  /** The one that was still under way when this was submitted. */
  before: Running | undefined;
  /** When it came to be the first of the queue, as far as the page was told; known when it has ended. */
  began: number;
  ended: number | undefined;
}

/** What the submits of all models on a device have told about its speed. */
export interface PaceKeeper {
  /** The work that the next submit may have. */
  budget(): number;
  /** To be called right before a submit of so much work; what it gives, as soon as that has ended, unless it failed. */
  begin(work: number): () => void;
}

export function createPaceKeeper(caps: Caps, now: () => number = () => performance.now()): PaceKeeper {
  const { measuresSpeed } = profileOf(caps);
  let pace: Pace = startPace(caps);
  let newest: Running | undefined;

  /**
   * Alone in the queue a submit took from its beginning to its end. Behind another, when that ended is known only from when the page
   * was told: a page that is busy is told of both at once, and the second seems to have taken no time. So both are measured as
   * one, from the beginning of the first, and the second gets its share.
   */
  function measure({ work, submitted, before }: Running, ended: number): Measure {
    if (before?.ended === undefined) return { work, ms: ended - submitted };
    const both = work + before.work;
    return { work, ms: ((ended - before.began) * work) / both };
  }

  return {
    budget: () => pace.budget,
    begin(work) {
      const before = newest?.ended === undefined ? newest : undefined;
      const running: Running = { work, submitted: now(), before, began: 0, ended: undefined };
      newest = running;
      return () => {
        const ended = now();
        running.began = Math.max(running.submitted, running.before?.ended ?? 0);
        running.ended = ended;
        if (measuresSpeed) pace = paced(pace, measure(running, ended));
        // Else every submit would hold all that came before it.
        running.before = undefined;
      };
    },
  };
}

const keepers = new WeakMap<GPUDevice, PaceKeeper>();

/** The one of a device. */
export function paceOf(device: GPUDevice, caps: Caps): PaceKeeper {
  const keeper = keepers.get(device) ?? createPaceKeeper(caps);
  keepers.set(device, keeper);
  return keeper;
}
