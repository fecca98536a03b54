import type { Caps } from '../shaders/kernel.ts';
import type { Executable } from './gpu/executable.ts';
import { packBatch, type Sequence } from './plan/batch.ts';
import { passRoom, type SequenceOutputs, splitOutputs } from './plan/passes.ts';

export interface Ran<S extends Sequence> {
  readonly sequence: S;
  readonly outputs: SequenceOutputs;
}

export interface CallOptions<S extends Sequence> {
  signal?: AbortSignal | undefined;
  /** Called after every pass that had sequences of the call, with those, in order. What it throws rejects the call. */
  done(ran: readonly Ran<S>[]): void;
}

interface Call extends CallOptions<Sequence> {
  readonly source: Iterator<Sequence>;
  /** The sequence whose turn it is; none where the source is at its end. */
  next: Sequence | undefined;
  /** Sequences in passes under way. */
  open: number;
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
  readonly executable: Promise<Runner>;
  /**
   * Runs sequences, which are taken one by one as passes have room for them. Rejects at once with the signal's reason; with
   * whatever the iterable or `done` throws; with what a pass failed of.
   */
  run<S extends Sequence>(sequences: Iterable<S>, options: CallOptions<S>): Promise<void>;
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
 * A call fails alone if its source or its `done` throws or its signal aborts; a pass that fails takes the calls that are in it.
 * `check` throws where the device is lost or the model disposed: what fails then fails of that.
 */
export function createScheduler<Runner extends Pick<Executable, 'plan' | 'run' | 'budget'>>(
  executable: Promise<Runner>,
  caps: Caps,
  check: () => void,
): Scheduler<Runner> {
  /** Those that have not ended. */
  const calls = new Set<Call>();
  /** Those of them that have a sequence waiting; whose turn is next comes first. */
  const waiting = new Set<Call>();
  /** The last two passes; a pass that has settled may be among them. None of these rejects. */
  const underWay: Promise<void>[] = [];
  let isPacking = false;

  /** Takes the next sequence of a call out of its source. */
  function advance(call: Call): void {
    try {
      const { done, value } = call.source.next();
      call.next = done ? undefined : value;
    } catch (error) {
      call.reject(error);
    }
    if (!calls.has(call)) return;
    if (call.next) waiting.add(call);
    else if (call.open === 0) call.resolve();
  }

  async function pack(): Promise<void> {
    isPacking = true;
    try {
      // Also where it is there already: meanwhile the other calls of the same tick arrive.
      const runner = await executable;
      const { plan } = runner;
      while (waiting.size > 0) {
        check();
        const pass = fill(passRoom(plan, caps, runner.budget()));
        if (pass.length === 0) continue;
        const sequences = pass.map(({ sequence }) => sequence);
        const { submitted, outputs } = runner.run(packBatch(sequences, plan.queryTile));
        const split = outputs.then(all => splitOutputs(plan, sequences, all));
        underWay.push(finish(pass, split, underWay.at(-1)));
        // What it fails of, `outputs` fails of too.
        await submitted.catch(() => undefined);
        if (underWay.length > 1) await underWay.shift();
      }
    } catch (error) {
      fail(calls, error);
    } finally {
      isPacking = false;
    }
  }

  /** One sequence of each call in turn, as long as there is room. */
  function fill(hasRoom: (sequence: Sequence) => boolean): Placed[] {
    const pass: Placed[] = [];
    // A Set goes on to what is added while it is walked: a call that has more comes round again.
    for (const call of waiting) {
      const sequence = call.next!;
      if (!hasRoom(sequence)) break;
      pass.push({ call, sequence });
      call.open++;
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
    const ran = new Map<Call, Ran<Sequence>[]>(pass.map(({ call }) => [call, []]));
    try {
      const all = await split;
      await before;
      check();
      pass.forEach(({ call, sequence }, i) => {
        ran.get(call)!.push({ sequence, outputs: all[i]! });
      });
      for (const [call, own] of ran) deliver(call, own);
    } catch (error) {
      fail(ran.keys(), error);
    }
  }

  function fail(those: Iterable<Call>, error: unknown): void {
    try {
      // Where the device is lost a pass just says that its buffers are gone.
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
    call.open -= ran.length;
    try {
      call.done(ran);
    } catch (error) {
      call.reject(error);
    }
    if (call.next === undefined && call.open === 0) call.resolve();
  }

  return {
    executable,
    run: <S extends Sequence>(sequences: Iterable<S>, { signal, done }: CallOptions<S>): Promise<void> =>
      new Promise((resolve, reject) => {
        const call: Call = {
          source: sequences[Symbol.iterator](),
          done: done as CallOptions<Sequence>['done'],
          next: undefined,
          open: 0,
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
