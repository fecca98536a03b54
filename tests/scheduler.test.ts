import { getEventListeners } from 'node:events';
import { describe, expect, test } from 'vitest';
import { outputOf } from '../src/api/outputs.ts';
import { Scheduler, type SequenceResult } from '../src/engine/scheduler.ts';
import { readConfig } from '../src/model/config.ts';
import { encoderGraph } from '../src/model/encoder.ts';
import type { Batch } from '../src/plan/batch.ts';
import { passRoom } from '../src/plan/passes.ts';
import { plan } from '../src/plan/plan.ts';
import type { Sequence } from '../src/plan/sequence.ts';
import { SWIFTSHADER } from './caps.ts';

const caps = SWIFTSHADER;
/** Passes of this plan hold 1,024 tokens. */
const tiny = readConfig({
  model_type: 'bert',
  vocab_size: 100_000,
  hidden_size: 4,
  num_hidden_layers: 1,
  num_attention_heads: 1,
  intermediate_size: 4,
  max_position_embeddings: 2048,
});
const made = plan(encoderGraph(tiny, { lastHiddenState: true }), { caps });

interface Named extends Sequence {
  readonly name: string;
}

/** A sequence whose tokens all are `id`: its name in the batches and in the outputs. */
const named = (name: string, id: number, length: number): Named => {
  const all = Array.from({ length }, () => id);
  return { name, ids: all, positions: all, types: all };
};
const list = (name: string, first: number, count: number, length: number): Named[] =>
  Array.from({ length: count }, (_, i) => named(`${name}${i}`, first + i, length));

/** Computes when it is told to: every output row is the id of its token. */
class FakeGpu {
  readonly plan = made;
  readonly passRoom = () => passRoom(made, caps, 2 ** 32);
  /** The ids of the first tokens of the sequences of every pass. */
  readonly passes: number[][] = [];
  readonly #waiting: { settle: () => void; fail: (error: Error) => void }[] = [];
  submitFails: Error | undefined;
  most = 0;

  run({ tokens, sequences, sizes }: Batch) {
    const firsts = Array.from({ length: sizes.sequences }, (_, b) => tokens[4 * sequences[4 * b]!]!);
    this.passes.push(firsts);
    if (this.submitFails) {
      const failed = Promise.reject(this.submitFails);
      failed.catch(() => undefined);
      return { submitted: failed, outputs: failed };
    }
    const rows = new Float32Array(sizes.tokens * 4);
    for (let i = 0; i < rows.length; i++) rows[i] = tokens[i - (i % 4)]!;
    const outputs = new Promise<readonly Float32Array<ArrayBuffer>[]>((resolve, reject) => {
      this.#waiting.push({ settle: () => resolve([rows]), fail: reject });
    });
    this.most = Math.max(this.most, this.#waiting.length);
    return { submitted: Promise.resolve(), outputs };
  }

  /** Ends the oldest pass under way, and lets everything that waits for it happen. */
  async end(error?: Error, which = 0): Promise<boolean> {
    const [pass] = this.#waiting.splice(which, 1);
    if (error) pass?.fail(error);
    else pass?.settle();
    await settled();
    return pass !== undefined;
  }
}

const settled = () => new Promise<void>(resolve => setTimeout(resolve));

function start() {
  const gpu = new FakeGpu();
  let fault: Error | undefined;
  const scheduler = new Scheduler(Promise.resolve(gpu), () => {
    if (fault) throw fault;
  });
  const told: string[] = [];
  /** Starts a call; gives its names in the order in which they came back, and how it ended. */
  const call = (
    sequences: Iterable<Named>,
    { signal, done }: { signal?: AbortSignal; done?: (results: readonly SequenceResult<Named>[]) => void } = {},
  ) => {
    const names: string[] = [];
    const state: { names: string[]; ended: unknown } = { names, ended: undefined };
    const take = (results: readonly SequenceResult<Named>[]) => {
      for (const { sequence, outputs } of results) {
        const rows = outputOf(outputs, 'last_hidden_state');
        expect(rows.length).toBe(4 * sequence.ids.length);
        expect(rows.every(value => value === sequence.ids[0])).toBe(true);
        names.push(sequence.name);
        told.push(sequence.name);
      }
      done?.(results);
    };
    scheduler.run(sequences, { signal, done: take }).then(
      () => {
        state.ended = 'done';
      },
      (error: unknown) => {
        state.ended = error;
      },
    );
    return state;
  };
  const all = async () => {
    await settled();
    while (await gpu.end());
  };
  return {
    gpu,
    scheduler,
    call,
    all,
    told,
    lose: (error: Error) => {
      fault = error;
    },
  };
}

const namesOf = (sequences: readonly Named[]) => sequences.map(({ name }) => name);

describe('calls share passes', () => {
  test('eight of one tick: one pass, in the order of arrival, without a timer', async () => {
    const { gpu, call } = start();
    const calls = Array.from({ length: 8 }, (_, i) => call([named(`t${i}`, i, 16)]));
    await Promise.resolve();
    await Promise.resolve();
    expect(gpu.passes).toEqual([[0, 1, 2, 3, 4, 5, 6, 7]]);
    await gpu.end();
    expect(calls.map(({ names, ended }) => [names, ended])).toEqual(calls.map((_, i) => [[`t${i}`], 'done']));
  });

  test('those that arrive while two passes are under way are packed together', async () => {
    const { gpu, call, all } = start();
    call([named('a', 1, 16)]);
    await settled();
    call([named('b', 2, 16)]);
    await settled();
    expect(gpu.passes).toEqual([[1], [2]]);
    for (let i = 3; i < 9; i++) {
      call([named(`t${i}`, i, 16)]);
      await settled();
    }
    expect(gpu.passes).toHaveLength(2);
    await gpu.end();
    expect(gpu.passes).toEqual([[1], [2], [3, 4, 5, 6, 7, 8]]);
    await all();
    expect(gpu.most).toBe(2);
  });

  test('a call after all others ended starts at once', async () => {
    const { gpu, call, all } = start();
    call([named('a', 1, 16)]);
    await all();
    call([named('b', 2, 16)]);
    await Promise.resolve();
    await Promise.resolve();
    expect(gpu.passes).toEqual([[1], [2]]);
  });

  test('a long list does not hold up a short call: they take turns', async () => {
    const { gpu, call, all } = start();
    const long = call(list('l', 100, 2000, 64));
    await settled();
    expect(gpu.passes.map(({ length }) => length)).toEqual([16, 16]);
    const short = call(list('s', 1, 3, 64));
    const other = call(list('o', 10, 20, 64));
    await gpu.end();
    // The long call was here first, the others have every third turn each.
    expect(gpu.passes[2]).toEqual([132, 1, 10, 133, 2, 11, 134, 3, 12, 135, 13, 136, 14, 137, 15, 138]);
    await gpu.end();
    await gpu.end();
    expect(short).toEqual({ names: ['s0', 's1', 's2'], ended: 'done' });
    expect([other.ended, long.ended]).toEqual([undefined, undefined]);
    await all();
    expect(other).toEqual({ names: namesOf(list('o', 10, 20, 64)), ended: 'done' });
    expect(long).toEqual({ names: namesOf(list('l', 100, 2000, 64)), ended: 'done' });
    // No room is wasted: 2,023 sequences, 16 a pass.
    expect(gpu.passes).toHaveLength(Math.ceil(2023 / 16));
    expect(gpu.most).toBe(2);
  });

  test('every pass keeps to the budget, what found no room comes first in the next', async () => {
    const { gpu, call, all } = start();
    call([named('a', 1, 600), named('b', 2, 10)]);
    call([named('c', 3, 600), named('d', 4, 1500), named('e', 5, 5)]);
    await all();
    expect(gpu.passes).toEqual([[1], [3, 2], [4], [5]]);
  });

  test('takes from a list as much as the next pass needs, and no more', async () => {
    const { gpu, call, all } = start();
    let taken = 0;
    function* lazy() {
      for (const each of list('l', 0, 1000, 64)) {
        taken++;
        yield each;
      }
    }
    call(lazy());
    await settled();
    // Two passes, and one sequence that found no room.
    expect([gpu.passes.length, taken]).toEqual([2, 33]);
    await gpu.end();
    expect([gpu.passes.length, taken]).toEqual([3, 49]);
    await all();
    expect(taken).toBe(1000);
  });

  test('a pass that ends before the one before it is told after it', async () => {
    const { gpu, call, all } = start();
    const long = call(list('l', 1, 40, 64));
    const short = call(list('s', 100, 20, 64));
    await settled();
    await gpu.end(undefined, 1);
    expect([long.names, short.names]).toEqual([[], []]);
    await all();
    expect(long).toEqual({ names: namesOf(list('l', 1, 40, 64)), ended: 'done' });
    expect(short).toEqual({ names: namesOf(list('s', 100, 20, 64)), ended: 'done' });
  });

  test('an empty list is done without a pass', async () => {
    const { gpu, call } = start();
    const nothing = call([]);
    await settled();
    expect([nothing.ended, gpu.passes]).toEqual(['done', []]);
  });
});

describe('a call that fails', () => {
  test('by its signal: at once; its results are thrown away, its neighbours undisturbed', async () => {
    const { gpu, call, all } = start();
    const stop = new AbortController();
    const gone = call(list('g', 1, 40, 64), { signal: stop.signal });
    const stays = call(list('s', 100, 40, 64));
    await settled();
    stop.abort(new Error('enough'));
    await settled();
    expect(gone.ended).toEqual(new Error('enough'));
    await all();
    expect(gone.names).toEqual([]);
    expect(stays).toEqual({ names: namesOf(list('s', 100, 40, 64)), ended: 'done' });
    // Two passes were shared; after them nothing of the aborted call runs.
    expect(
      gpu.passes
        .slice(2)
        .flat()
        .every(id => id >= 100),
    ).toBe(true);
    expect(gpu.passes).toHaveLength(4);
  });

  test('by its signal, alone and waiting: nothing runs for it', async () => {
    const { gpu, call, all } = start();
    call([named('a', 1, 16)]);
    await settled();
    call([named('b', 2, 16)]);
    await settled();
    const stop = new AbortController();
    const gone = call([named('g', 3, 16)], { signal: stop.signal });
    stop.abort();
    await all();
    expect((gone.ended as Error).name).toBe('AbortError');
    expect(gpu.passes).toEqual([[1], [2]]);
  });

  test('a signal that outlives its call does nothing to others', async () => {
    const { call, all } = start();
    const stop = new AbortController();
    const first = call([named('a', 1, 16)], { signal: stop.signal });
    expect(getEventListeners(stop.signal, 'abort')).toHaveLength(1);
    await all();
    const second = call([named('b', 2, 16)]);
    stop.abort();
    await all();
    expect([first.ended, second.ended]).toEqual(['done', 'done']);
    expect(getEventListeners(stop.signal, 'abort')).toEqual([]);
  });

  test.each([0, 1, 5, 30])('by its list, at %i: it alone', async at => {
    const { gpu, call, all } = start();
    const bad = new Error('a bad text');
    function* broken() {
      yield* list('b', 1, at, 64);
      throw bad;
    }
    const before = call(list('x', 100, 20, 64));
    const gone = call(broken());
    const after = call(list('y', 200, 20, 64));
    await all();
    expect(gone.ended).toBe(bad);
    expect(before).toEqual({ names: namesOf(list('x', 100, 20, 64)), ended: 'done' });
    expect(after).toEqual({ names: namesOf(list('y', 200, 20, 64)), ended: 'done' });
    // What it had in the pass that was being packed is not run.
    if (at < 5) expect(gpu.passes.flat().some(id => id < 100)).toBe(false);
  });

  test('by its own callback: it alone, and it hears no more', async () => {
    const { call, all } = start();
    const thrown = new Error('from the callback');
    let times = 0;
    const gone = call(list('g', 1, 100, 64), {
      done: () => {
        times++;
        throw thrown;
      },
    });
    const stays = call(list('s', 200, 100, 64));
    await all();
    expect([gone.ended, times]).toEqual([thrown, 1]);
    expect(stays).toEqual({ names: namesOf(list('s', 200, 100, 64)), ended: 'done' });
  });

  test('by its callback in the last pass: it is not done', async () => {
    const { call, all } = start();
    const thrown = new Error('from the callback');
    const gone = call([named('a', 1, 16)], {
      done: () => {
        throw thrown;
      },
    });
    await all();
    expect(gone.ended).toBe(thrown);
  });
});

describe('a device that fails', () => {
  test('a pass that fails takes the calls that are in it, no others', async () => {
    const { gpu, call, all } = start();
    const [a, b] = [call([named('a', 1, 64)]), call(list('b', 10, 3, 64))];
    await settled();
    const c = call([named('c', 20, 64)]);
    await settled();
    const full = new Error('no room');
    await gpu.end(full);
    await all();
    expect([a.ended, b.ended, c.ended]).toEqual([full, full, 'done']);
    const later = call([named('d', 30, 64)]);
    await all();
    expect(later.ended).toBe('done');
  });

  test('a pass that cannot even be submitted', async () => {
    const { gpu, call, all } = start();
    gpu.submitFails = new Error('too large');
    const gone = call([named('a', 1, 64)]);
    await all();
    expect(gone.ended).toBe(gpu.submitFails);
    gpu.submitFails = undefined;
    const later = call([named('b', 2, 64)]);
    await all();
    expect(later.ended).toBe('done');
  });

  test('a lost device rejects all, with what was lost', async () => {
    const { gpu, call, all, lose } = start();
    const calls = [call(list('a', 1, 100, 64))];
    await settled();
    calls.push(call([named('b', 200, 64)]), call([named('c', 201, 64)]));
    const lost = new Error('lost');
    lose(lost);
    await gpu.end(new Error('the buffer is gone'));
    await all();
    expect(calls.map(({ ended }) => ended)).toEqual([lost, lost, lost]);
    expect(gpu.passes).toHaveLength(2);
  });

  test('an error that the device reports beside a pass rejects it, although it has outputs', async () => {
    const { call, all, lose } = start();
    const refused = new Error('refused');
    const one = call([named('a', 1, 64)]);
    await settled();
    lose(refused);
    await all();
    expect([one.ended, one.names]).toEqual([refused, []]);
  });

  test('stop() rejects all at once, under way and waiting', async () => {
    const { gpu, scheduler, call, all } = start();
    const calls = [call(list('a', 1, 100, 64)), call([named('b', 200, 64)])];
    await settled();
    calls.push(call([named('c', 201, 64)]));
    const disposed = new Error('disposed');
    scheduler.stop(disposed);
    await settled();
    expect(calls.map(({ ended }) => ended)).toEqual([disposed, disposed, disposed]);
    await all();
    expect(gpu.passes).toHaveLength(2);
    expect(calls.map(({ names }) => names)).toEqual([[], [], []]);
  });

  test('an executable that never comes about rejects all', async () => {
    const failed = new Error('does not compile');
    const scheduler = new Scheduler(Promise.reject(failed), () => undefined);
    const calls = [1, 2].map(id => scheduler.run([named('a', id, 4)], { done: () => undefined }));
    for (const call of calls) await expect(call).rejects.toBe(failed);
  });

  test('restart() runs what was under way again, first, and tells nothing twice', async () => {
    const { gpu, scheduler, call, told } = start();
    const long = call(list('l', 1, 60, 64));
    const short = call(list('s', 100, 20, 64));
    await settled();
    await gpu.end();
    const before = [...told];
    expect(before).toHaveLength(16);
    const next = new FakeGpu();
    scheduler.restart(Promise.resolve(next));
    await settled();
    // What is late of the old one is of no use, well or not.
    const { length } = gpu.passes;
    await gpu.end();
    await gpu.end(new Error('gone'));
    expect([told, gpu.passes.length]).toEqual([before, length]);
    const names = (passes: readonly number[][]) => passes.flat().sort((a, b) => a - b);
    expect(names(next.passes)).toEqual(names(gpu.passes.slice(1, 3)));
    while (await next.end());
    expect(long).toEqual({ names: namesOf(list('l', 1, 60, 64)), ended: 'done' });
    expect(short).toEqual({ names: namesOf(list('s', 100, 20, 64)), ended: 'done' });
    expect(scheduler.calls).toBe(0);
  });

  test('countLoss() rejects a call that has survived two lost devices, with the third', async () => {
    const { scheduler, call, all } = start();
    const first = call(list('a', 1, 3, 64));
    const lost = [0, 1, 2].map(i => new Error(`lost ${i}`));
    scheduler.countLoss(lost[0]);
    scheduler.countLoss(lost[1]);
    const second = call(list('b', 1, 3, 64));
    await settled();
    expect([first.ended, scheduler.calls]).toEqual([undefined, 2]);
    scheduler.countLoss(lost[2]);
    await all();
    expect([first.ended, second.ended]).toEqual([lost[2], 'done']);
  });

  test('idle() waits for the passes of calls that are gone', async () => {
    const { gpu, scheduler, call } = start();
    const stop = new AbortController();
    call(list('a', 1, 20, 64), { signal: stop.signal });
    await settled();
    expect(gpu.passes).toHaveLength(2);
    stop.abort();
    let isIdle = false;
    void scheduler.idle().then(() => {
      isIdle = true;
    });
    await gpu.end();
    expect(isIdle).toBe(false);
    await gpu.end();
    expect(isIdle).toBe(true);
  });
});

test('whatever the order of arrival, lengths and aborts: every call gets its own, in order, within the budget', async () => {
  let seed = 7;
  const random = (below: number) => {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
    return Math.floor((seed / 2 ** 31) * below);
  };
  for (let round = 0; round < 30; round++) {
    const { gpu, call } = start();
    const lengths = new Map<number, number>();
    let id = 1;
    const calls = [];
    for (let n = 0; n < 12; n++) {
      const sequences = Array.from({ length: random(40) }, () => {
        const length = 1 + random(random(8) === 0 ? 1300 : 120);
        lengths.set(id, length);
        return named(`${id}`, id++, length);
      });
      const stop = random(4) === 0 ? new AbortController() : undefined;
      calls.push({ sequences, stop, state: call(sequences, stop && { signal: stop.signal }) });
      for (let k = random(3); k > 0; k--) await gpu.end();
      if (stop && random(2)) stop.abort();
    }
    while ((await gpu.end()) || (await gpu.end()));
    for (const { sequences, stop, state } of calls) {
      if (stop?.signal.aborted && state.ended !== 'done') expect((state.ended as Error).name).toBe('AbortError');
      else expect(state).toEqual({ names: namesOf(sequences), ended: 'done' });
    }
    for (const pass of gpu.passes) {
      const tokens = pass.reduce((sum, each) => sum + lengths.get(each)!, 0);
      expect(tokens <= 1024 || pass.length === 1).toBe(true);
    }
    expect(new Set(gpu.passes.flat()).size).toBe(gpu.passes.flat().length);
    expect(gpu.most).toBeLessThanOrEqual(2);
  }
});

test('outputs that are not finite reject their own call, which says which; others of the pass go on', async () => {
  for (const [value, word] of [
    [Number.NaN, 'NaN'],
    [Number.POSITIVE_INFINITY, 'Infinity'],
    [Number.NEGATIVE_INFINITY, '-Infinity'],
  ] as const) {
    const { scheduler, gpu } = start();
    const run = gpu.run.bind(gpu);
    // What the tokens of id 3 give overflows, in the last number of each.
    gpu.run = batch => {
      const { submitted, outputs } = run(batch);
      const spoilt = outputs.then(all => {
        all[0]!.forEach((id, i) => {
          if (id === 3 && i % 4 === 3) all[0]![i] = value;
        });
        return all;
      });
      return { submitted, outputs: spoilt };
    };
    const seen: string[] = [];
    const done = (results: readonly SequenceResult<Named>[]) =>
      void seen.push(...results.map(({ sequence }) => sequence.name));
    const bad = scheduler.run(list('bad', 1, 5, 8), { done: () => undefined });
    const good = scheduler.run(list('good', 10, 5, 8), { done });
    const wanted = { name: 'NotFiniteError', output: 'last_hidden_state', sequence: 2, actual: word };
    const refused = expect(bad).rejects.toMatchObject(wanted);
    await settled();
    while (await gpu.end());
    await refused;
    await good;
    expect(seen).toEqual(['good0', 'good1', 'good2', 'good3', 'good4']);
  }
});
