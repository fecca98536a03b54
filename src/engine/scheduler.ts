import { checkFinite, packBatch, type Sequence, type SequenceOutputs, splitOutputs } from '../plan/index.ts';
import type { Executable } from './backend.ts';

/** A sequence and what the pass computed of it. */
export interface SequenceResult<S extends Sequence> {
  readonly sequence: S;
  readonly outputs: SequenceOutputs;
}

export interface CallOptions<S extends Sequence> {
  signal?: AbortSignal | undefined;
  /** Called after every pass that had sequences of the call, with their results in order. What it throws rejects the call. */
  done(results: readonly SequenceResult<S>[]): void;
}

/** A call survives so many lost devices: each time it goes on with another. The next loss rejects it. */
export const MAX_LOSSES = 2;

/** What the scheduler needs of an executable. */
export type PassRunner = Pick<Executable, 'plan' | 'passRoom' | 'run'>;

interface Call extends CallOptions<Sequence> {
  readonly source: Iterator<Sequence>;
  /** Sequences taken out of the source that are in no pass; the first is the next to be packed. Empty at the end of the source. */
  readonly queue: Sequence[];
  /** Sequences in passes under way, in order. */
  readonly sent: Sequence[];
  /** How many sequences have their outputs. */
  delivered: number;
  /** How many devices were lost during the call. */
  losses: number;
  resolve(): void;
  reject(error: unknown): void;
}

/** A sequence that has its place in a pass. */
interface Placed {
  readonly call: Call;
  readonly sequence: Sequence;
}

/**
 * Runs all calls of one executable. The calls that wait share the next pass: it takes one sequence of each in turn, in the order of
 * their arrival, until it is full. So a long list delays another call by no more than the passes under way, which are two at most:
 * while the device computes one, the next is tokenised and packed.
 *
 * A call fails alone if its source or its `done` throws, its signal aborts, or its outputs are not finite. A pass that fails rejects
 * every call with a sequence in it. A lost device that is replaced rejects nothing: see `restart`.
 */
export class Scheduler {
  /** The calls that have not ended. */
  readonly #calls = new Set<Call>();
  /** Those of them with a sequence to be packed, in the order of their turns. */
  readonly #waiting = new Set<Call>();
  /** The last two passes, whether settled or not. None of these promises rejects. */
  readonly #underWay: Promise<void>[] = [];
  readonly #check: () => void;
  #isPacking = false;
  #executable: Promise<PassRunner>;
  /** Counts the executables. What began with an earlier one is dropped when it ends. */
  #epoch = 0;

  /** @param check Throws where the device is out of use or the model disposed: then every failure is reported as that. */
  constructor(executable: Promise<PassRunner>, check: () => void) {
    this.#executable = executable;
    this.#check = check;
  }

  /** The executable that passes run on: the last one given to `restart`. */
  get executable(): Promise<PassRunner> {
    return this.#executable;
  }

  /** How many calls have not ended. */
  get calls(): number {
    return this.#calls.size;
  }

  /**
   * Runs sequences. They are taken from the iterable one by one, as passes have room for them. Rejects at once with the signal's
   * reason; with what the iterable or `done` throws; with the error of a pass.
   */
  run<S extends Sequence>(sequences: Iterable<S>, { signal, done }: CallOptions<S>): Promise<void> {
    return new Promise((resolve, reject) => {
      const end = (settle: () => void) => {
        this.#calls.delete(call);
        this.#waiting.delete(call);
        signal?.removeEventListener('abort', abort);
        settle();
      };
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
      signal?.addEventListener('abort', abort);
      this.#calls.add(call);
      this.#advance(call);
      if (!this.#isPacking) void this.#pack();
    });
  }

  /** Counts a lost device for every call, and rejects with `error` those that have survived MAX_LOSSES before. */
  countLoss(error: unknown): void {
    for (const call of this.#calls) if (++call.losses > MAX_LOSSES) call.reject(error);
  }

  /**
   * Goes on with another executable. The passes under way are dropped, and their sequences come first in the next passes. Results
   * that `done` has had do not come again.
   */
  restart(executable: Promise<PassRunner>): void {
    this.#epoch++;
    this.#executable = executable;
    this.#isPacking = false;
    this.#underWay.length = 0;
    this.#waiting.clear();
    for (const call of this.#calls) {
      call.queue.unshift(...call.sent.splice(0));
      if (call.queue.length > 0) this.#waiting.add(call);
    }
    if (this.#waiting.size > 0) void this.#pack();
  }

  /** Rejects every call. */
  stop(error: unknown): void {
    for (const call of this.#calls) call.reject(error);
  }

  /** Resolves when no pass is under way any more. */
  async idle(): Promise<void> {
    await this.#underWay.at(-1);
  }

  /** Makes the call's next sequence wait for its turn; ends the call where it has no more. A lost pass's sequences come first. */
  #advance(call: Call): void {
    try {
      if (call.queue.length === 0) {
        const { done, value } = call.source.next();
        if (!done) call.queue.push(value);
      }
    } catch (error) {
      call.reject(error);
    }
    if (!this.#calls.has(call)) return;
    if (call.queue.length > 0) this.#waiting.add(call);
    else if (call.sent.length === 0) call.resolve();
  }

  /** Packs and submits passes until no call waits. */
  async #pack(): Promise<void> {
    const epoch = this.#epoch;
    this.#isPacking = true;
    try {
      // Awaited even where it is there: meanwhile the other calls of the same tick arrive.
      const runner = await this.#executable;
      const { plan } = runner;
      while (epoch === this.#epoch && this.#waiting.size > 0) {
        this.#check();
        const pass = this.#fill(runner.passRoom());
        if (pass.length === 0) continue;
        const sequences = pass.map(({ sequence }) => sequence);
        const { submitted, outputs } = runner.run(packBatch(sequences, plan.queryTile, plan.stretched));
        const results = outputs.then(all => splitOutputs(plan, sequences, all));
        this.#underWay.push(this.#finish(pass, results, this.#underWay.at(-1)));
        // Where it rejects, so does `outputs`, with the same error.
        await submitted.catch(() => undefined);
        if (epoch === this.#epoch && this.#underWay.length > 1) await this.#underWay.shift();
      }
    } catch (error) {
      if (epoch === this.#epoch) this.#fail(this.#calls, error);
    } finally {
      if (epoch === this.#epoch) this.#isPacking = false;
    }
  }

  /** Takes one sequence of each call in turn, as long as there is room. */
  #fill(hasRoom: (sequence: Sequence) => boolean): Placed[] {
    const pass: Placed[] = [];
    // A Set goes on to what is added while it is walked, so a call with more sequences comes round again.
    for (const call of this.#waiting) {
      const sequence = call.queue[0]!;
      if (!hasRoom(sequence)) break;
      pass.push({ call, sequence });
      call.sent.push(call.queue.shift()!);
      this.#waiting.delete(call);
      this.#advance(call);
    }
    return pass.filter(({ call }) => this.#calls.has(call));
  }

  /** Waits for a pass, and for the one before it, then hands the results to the calls. Never rejects. */
  async #finish(
    pass: readonly Placed[],
    computing: Promise<SequenceOutputs[]>,
    previous: Promise<void> | undefined,
  ): Promise<void> {
    const epoch = this.#epoch;
    const resultsOf = new Map<Call, SequenceResult<Sequence>[]>(pass.map(({ call }) => [call, []]));
    try {
      const outputs = await computing;
      await previous;
      if (epoch !== this.#epoch) return;
      this.#check();
      for (const [i, { call, sequence }] of pass.entries()) {
        resultsOf.get(call)!.push({ sequence, outputs: outputs[i]! });
      }
      for (const [call, results] of resultsOf) this.#deliver(call, results);
    } catch (error) {
      if (epoch === this.#epoch) this.#fail(resultsOf.keys(), error);
    }
  }

  #deliver(call: Call, results: readonly SequenceResult<Sequence>[]): void {
    if (!this.#calls.has(call)) return;
    call.sent.splice(0, results.length);
    try {
      for (const { outputs } of results) checkFinite(outputs, call.delivered++);
      call.done(results);
    } catch (error) {
      call.reject(error);
    }
    if (call.queue.length === 0 && call.sent.length === 0) call.resolve();
  }

  /** Rejects calls with the error of a pass; where the device or the model is gone, rejects all, with the reason for that. */
  #fail(calls: Iterable<Call>, error: unknown): void {
    try {
      this.#check();
      for (const call of calls) call.reject(error);
    } catch (fault) {
      this.stop(fault);
    }
  }
}
