import type { Executable } from '../gpu/index.ts';
import {
  type Caps,
  checkFinite,
  packBatch,
  passRoom,
  type Sequence,
  type SequenceOutputs,
  splitOutputs,
} from '../plan/index.ts';

export interface Ran<S extends Sequence> {
  readonly sequence: S;
  readonly outputs: SequenceOutputs;
}

export interface CallOptions<S extends Sequence> {
  signal?: AbortSignal | undefined;
  /** Called after every pass that had sequences of the call, with those, in order. What it throws rejects the call. */
  done(ran: readonly Ran<S>[]): void;
}

/** How many lost devices a call outlives: it is begun again so often, and rejects with the next. */
export const MOST_LOSSES = 2;

interface Call extends CallOptions<Sequence> {
  readonly source: Iterator<Sequence>;
  /** Taken out of the source and in no pass: first the one whose turn it is. None where the source is at its end. */
  readonly queue: Sequence[];
  /** Sequences in passes under way, in order. */
  readonly sent: Sequence[];
  /** Sequences whose outputs have come. */
  delivered: number;
  /** Devices that were lost while it waited. */
  losses: number;
  resolve(): void;
  reject(error: unknown): void;
}

/** A sequence that has its place in a pass. */
interface Placed {
  readonly call: Call;
  readonly sequence: Sequence;
}

/** All calls of one executable: see createScheduler. */
export interface Scheduler<Runner extends Pick<Executable, 'plan' | 'run' | 'budget'> = Executable> {
  /** The one that passes run on: another after `restart`. */
  readonly executable: Promise<Runner>;
  /** How many calls have not ended. */
  readonly calls: number;
  /**
   * Runs sequences, which are taken one by one as passes have room for them. Rejects at once with the signal's reason; with
   * whatever the iterable or `done` throws; with what a pass failed of.
   */
  run<S extends Sequence>(sequences: Iterable<S>, options: CallOptions<S>): Promise<void>;
  /** The device was lost, with `error`: a call that has outlived MOST_LOSSES before rejects with it, others go on waiting. */
  suffer(error: unknown): void;
  /**
   * Goes on with another executable. The passes under way are forgotten, and their sequences come first in the next ones: what
   * `done` has been told is not told again.
   */
  restart(executable: Promise<Runner>): void;
  /** Rejects every call. */
  stop(error: unknown): void;
  /** Settles when no pass is under way any more. */
  idle(): Promise<void>;
}

/**
 * The calls that wait share the next pass: one sequence of each in turn, in the order of their arrival, until the pass is full,
 * so that a long list holds nobody up for more than the passes under way. At most two are: while the GPU computes one, the next
 * is tokenised and packed.
 *
 * A call fails alone if its source or its `done` throws, its signal aborts, or its outputs are not finite; a pass that fails takes the calls that are in it.
 * `check` throws where the device is out of use or the model disposed: what fails then fails of that. A device that is lost and
 * made again fails nothing: see `restart`. `caps` are those of the device of the present executable.
 */
export function createScheduler<Runner extends Pick<Executable, 'plan' | 'run' | 'budget'>>(
  first: Promise<Runner>,
  caps: () => Caps,
  check: () => void,
): Scheduler<Runner> {
  /** Those that have not ended. */
  const calls = new Set<Call>();
  /** Those of them that have a sequence waiting; whose turn is next comes first. */
  const waiting = new Set<Call>();
  /** The last two passes; a pass that has settled may be among them. None of these rejects. */
  const underWay: Promise<void>[] = [];
  let isPacking = false;
  let executable = first;
  /** Counts the executables. Whatever began with an earlier one has no say any more. */
  let epoch = 0;

  /** Sees to the next sequence of a call, which it takes out of its source where none is left of a lost pass. */
  function advance(call: Call): void {
    try {
      if (call.queue.length === 0) {
        const { done, value } = call.source.next();
        if (!done) call.queue.push(value);
      }
    } catch (error) {
      call.reject(error);
    }
    if (!calls.has(call)) return;
    if (call.queue.length > 0) waiting.add(call);
    else if (call.sent.length === 0) call.resolve();
  }

  async function pack(): Promise<void> {
    const own = epoch;
    isPacking = true;
    try {
      // Also where it is there already: meanwhile the other calls of the same tick arrive.
      const runner = await executable;
      const { plan } = runner;
      while (own === epoch && waiting.size > 0) {
        check();
        const pass = fill(passRoom(plan, caps(), runner.budget()));
        if (pass.length === 0) continue;
        const sequences = pass.map(({ sequence }) => sequence);
        const { submitted, outputs } = runner.run(packBatch(sequences, plan.queryTile));
        const split = outputs.then(all => splitOutputs(plan, sequences, all));
        underWay.push(finish(pass, split, underWay.at(-1)));
        // What it fails of, `outputs` fails of too.
        await submitted.catch(() => undefined);
        if (own === epoch && underWay.length > 1) await underWay.shift();
      }
    } catch (error) {
      if (own === epoch) fail(calls, error);
    } finally {
      if (own === epoch) isPacking = false;
    }
  }

  /** One sequence of each call in turn, as long as there is room. */
  function fill(hasRoom: (sequence: Sequence) => boolean): Placed[] {
    const pass: Placed[] = [];
    // A Set goes on to what is added while it is walked: a call that has more comes round again.
    for (const call of waiting) {
      const sequence = call.queue[0]!;
      if (!hasRoom(sequence)) break;
      pass.push({ call, sequence });
      call.sent.push(call.queue.shift()!);
      waiting.delete(call);
      advance(call);
    }
    return pass.filter(({ call }) => calls.has(call));
  }

  async function finish(
    pass: readonly Placed[],
    split: Promise<SequenceOutputs[]>,
    before: Promise<void> | undefined,
  ): Promise<void> {
    const own = epoch;
    const ran = new Map<Call, Ran<Sequence>[]>(pass.map(({ call }) => [call, []]));
    try {
      const all = await split;
      await before;
      if (own !== epoch) return;
      check();
      pass.forEach(({ call, sequence }, i) => {
        ran.get(call)!.push({ sequence, outputs: all[i]! });
      });
      for (const [call, part] of ran) deliver(call, part);
    } catch (error) {
      if (own === epoch) fail(ran.keys(), error);
    }
  }

  function fail(those: Iterable<Call>, error: unknown): void {
    try {
      // Of a model that is gone a pass just says that its buffers are.
      check();
      for (const call of those) call.reject(error);
    } catch (fault) {
      stop(fault);
    }
  }

  function stop(error: unknown): void {
    for (const call of calls) call.reject(error);
  }

  function deliver(call: Call, ran: readonly Ran<Sequence>[]): void {
    if (!calls.has(call)) return;
    call.sent.splice(0, ran.length);
    try {
      for (const { outputs } of ran) checkFinite(outputs, call.delivered++);
      call.done(ran);
    } catch (error) {
      call.reject(error);
    }
    if (call.queue.length === 0 && call.sent.length === 0) call.resolve();
  }

  function suffer(error: unknown): void {
    for (const call of calls) if (++call.losses > MOST_LOSSES) call.reject(error);
  }

  function restart(next: Promise<Runner>): void {
    epoch++;
    executable = next;
    isPacking = false;
    underWay.length = 0;
    waiting.clear();
    for (const call of calls) {
      call.queue.unshift(...call.sent.splice(0));
      if (call.queue.length > 0) waiting.add(call);
    }
    if (waiting.size > 0) void pack();
  }

  return {
    get executable() {
      return executable;
    },
    get calls() {
      return calls.size;
    },
    suffer,
    restart,
    run: <S extends Sequence>(sequences: Iterable<S>, { signal, done }: CallOptions<S>): Promise<void> =>
      new Promise((resolve, reject) => {
        const call: Call = {
          source: sequences[Symbol.iterator](),
          done: done as CallOptions<Sequence>['done'],
          queue: [],
          sent: [],
          delivered: 0,
          losses: 0,
          resolve: () => end(resolve),
          reject: error => end(() => reject(error)),
        };
        const abort = () => call.reject(signal!.reason);
        const end = (settle: () => void) => {
          calls.delete(call);
          waiting.delete(call);
          signal?.removeEventListener('abort', abort);
          settle();
        };
        signal?.addEventListener('abort', abort);
        calls.add(call);
        advance(call);
        if (!isPacking) void pack();
      }),
    stop,
    idle: async () => underWay.at(-1),
  };
}
