import { getEventListeners } from 'node:events';
import { describe, expect, test, vi } from 'vitest';
import { follow, until } from '../src/runtime/index.ts';

/** More than Node takes for a leak of a signal. */
const MANY = 30;
const listeners = (signal: AbortSignal) => getEventListeners(signal, 'abort').length;

describe('all that waits for a signal has one listener on it', () => {
  test('as long as one of them waits', async () => {
    const warned = vi.fn();
    process.on('warning', warned);
    const { signal } = new AbortController();
    const finish: (() => void)[] = [];
    const waits = Array.from({ length: MANY }, () => until(signal, new Promise<void>(resolve => finish.push(resolve))));
    const ends = Array.from({ length: MANY }, () => follow(signal, new AbortController()));
    expect(listeners(signal)).toBe(1);
    for (const resolve of finish) resolve();
    await Promise.all(waits);
    for (const end of ends.slice(1)) end();
    expect(listeners(signal)).toBe(1);
    ends[0]!();
    ends[0]!();
    expect(listeners(signal)).toBe(0);
    // Node tells of a warning in a turn of its own.
    await new Promise(resolve => setImmediate(resolve));
    process.off('warning', warned);
    expect(warned).not.toHaveBeenCalled();
  });

  test('and all of them end with its reason, but those that ended before', async () => {
    const stop = new AbortController();
    const [first, second, ended] = [new AbortController(), new AbortController(), new AbortController()];
    follow(stop.signal, first);
    const wait = until(stop.signal, new Promise(() => {}));
    follow(stop.signal, second);
    follow(stop.signal, ended)();
    // One that ends while others are told, before it is told itself.
    const late = new AbortController();
    let endLate = () => {};
    follow(stop.signal, { abort: () => endLate() });
    endLate = follow(stop.signal, late);
    const reason = new Error('no longer wanted');
    stop.abort(reason);
    await expect(wait).rejects.toBe(reason);
    expect([first, second].map(({ signal }) => signal.reason)).toEqual([reason, reason]);
    expect([ended, late].map(({ signal }) => signal.aborted)).toEqual([false, false]);
    expect(listeners(stop.signal)).toBe(0);
    await expect(until(stop.signal, new Promise(() => {}))).rejects.toBe(reason);
    const after = new AbortController();
    follow(stop.signal, after);
    expect(after.signal.reason).toBe(reason);
  });
});
