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

/**
 * All calls of one executable. Those that wait share the next pass: one sequence of each in turn, in the order of their
 * arrival, until the pass is full, so that a long list holds nobody up for more than the passes under way. At most two are:
 * while the GPU computes one, the next is tokenised and packed.
 *
 * A call fails alone if its source or its `done` throws or its signal aborts; a pass that fails takes the calls that are in it.
 */
export class Scheduler<Runner extends Pick<Executable, 'plan' | 'run'> = Executable> {
  readonly executable: Promise<Runner>;
  readonly #caps: Caps;
  readonly #check: () => void;
  /** Those that have not ended. */
  readonly #calls = new Set<Call>();
  /** Those of them that have a sequence waiting; whose turn is next comes first. */
  readonly #waiting = new Set<Call>();
  /** The last two passes; a pass that has settled may be among them. None of these rejects. */
  readonly #underWay: Promise<void>[] = [];
  #isPacking = false;

  /** `check` throws where the device is lost or the model disposed: what fails then fails of that. */
  constructor(executable: Promise<Runner>, caps: Caps, check: () => void) {
    this.executable = executable;
    this.#caps = caps;
    this.#check = check;
  }

  /**
   * Runs sequences, which are taken one by one as passes have room for them. Rejects at once with the signal's reason; with
   * whatever the iterable or `done` throws; with what a pass failed of.
   */
  run<S extends Sequence>(sequences: Iterable<S>, { signal, done }: CallOptions<S>): Promise<void> {
    return new Promise((resolve, reject) => {
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
        this.#calls.delete(call);
        this.#waiting.delete(call);
        signal?.removeEventListener('abort', abort);
        settle();
      };
      signal?.addEventListener('abort', abort);
      this.#calls.add(call);
      this.#advance(call);
      if (!this.#isPacking) void this.#pack();
    });
  }

  /** Rejects every call. */
  stop(error: unknown): void {
    for (const call of this.#calls) call.reject(error);
  }

  /** Settles when no pass is under way any more. */
  async idle(): Promise<void> {
    await this.#underWay.at(-1);
  }

  /** Takes the next sequence of a call out of its source. */
  #advance(call: Call): void {
    try {
      const { done, value } = call.source.next();
      call.next = done ? undefined : value;
    } catch (error) {
      call.reject(error);
    }
    if (!this.#calls.has(call)) return;
    if (call.next) this.#waiting.add(call);
    else if (call.open === 0) call.resolve();
  }

  async #pack(): Promise<void> {
    this.#isPacking = true;
    try {
      // Also where it is there already: meanwhile the other calls of the same tick arrive.
      const executable = await this.executable;
      while (this.#waiting.size > 0) {
        this.#check();
        const pass = this.#fill(passRoom(executable.plan, this.#caps));
        if (pass.length === 0) continue;
        const sequences = pass.map(({ sequence }) => sequence);
        const { submitted, outputs } = executable.run(packBatch(sequences, executable.plan.queryTile));
        const split = outputs.then(all => splitOutputs(executable.plan, sequences, all));
        this.#underWay.push(this.#finish(pass, split, this.#underWay.at(-1)));
        // What it fails of, `outputs` fails of too.
        await submitted.catch(() => undefined);
        if (this.#underWay.length > 1) await this.#underWay.shift();
      }
    } catch (error) {
      this.#fail(this.#calls, error);
    } finally {
      this.#isPacking = false;
    }
  }

  /** One sequence of each call in turn, as long as there is room. */
  #fill(hasRoom: (sequence: Sequence) => boolean): { call: Call; sequence: Sequence }[] {
    const pass: { call: Call; sequence: Sequence }[] = [];
    // A Set goes on to what is added while it is walked: a call that has more comes round again.
    for (const call of this.#waiting) {
      const sequence = call.next!;
      if (!hasRoom(sequence)) break;
      pass.push({ call, sequence });
      call.open++;
      this.#waiting.delete(call);
      this.#advance(call);
    }
    return pass.filter(({ call }) => this.#calls.has(call));
  }

  async #finish(
    pass: readonly { call: Call; sequence: Sequence }[],
    split: Promise<SequenceOutputs[]>,
    before: Promise<void> | undefined,
  ): Promise<void> {
    try {
      const all = await split;
      await before;
      this.#check();
      const ran = new Map<Call, Ran<Sequence>[]>(pass.map(({ call }) => [call, []]));
      pass.forEach(({ call, sequence }, i) => {
        ran.get(call)!.push({ sequence, outputs: all[i]! });
      });
      for (const [call, own] of ran) this.#deliver(call, own);
    } catch (error) {
      this.#fail(
        pass.map(({ call }) => call),
        error,
      );
    }
  }

  #fail(calls: Iterable<Call>, error: unknown): void {
    try {
      // Where the device is lost a pass just says that its buffers are gone.
      this.#check();
      for (const call of calls) call.reject(error);
    } catch (fault) {
      this.stop(fault);
    }
  }

  #deliver(call: Call, ran: readonly Ran<Sequence>[]): void {
    if (!this.#calls.has(call)) return;
    call.open -= ran.length;
    try {
      call.done(ran);
    } catch (error) {
      call.reject(error);
    }
    if (call.next === undefined && call.open === 0) call.resolve();
  }
}
