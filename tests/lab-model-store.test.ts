import { describe, expect, it } from 'vitest';
import type { ModelKind } from '../examples/lab/shell/model-kind.ts';
import { type LoadRequest, ModelStore } from '../examples/lab/shell/model-store.ts';
import type { ProgressInfo } from '../src/index.ts';

interface Fake {
  readonly place: string;
  isDisposed: boolean;
  dispose(): Promise<void>;
}

/** Loads that end when the test says so. */
function fakeKind(name = 'fake') {
  const loads: {
    place: string;
    signal: AbortSignal;
    finish(): void;
    fail(error: Error): void;
    tell(info: ProgressInfo): void;
    model: Fake;
  }[] = [];
  const kind: ModelKind<Fake> = {
    name,
    load: (place, { signal, progress_callback }) =>
      new Promise((resolve, reject) => {
        const model: Fake = {
          place: String(place),
          isDisposed: false,
          async dispose() {
            model.isDisposed = true;
          },
        };
        loads.push({
          place: String(place),
          signal: signal!,
          finish: () => resolve(model),
          fail: reject,
          tell: info => progress_callback?.(info),
          model,
        });
        signal!.addEventListener('abort', () => reject(signal!.reason));
      }),
    size: async () => ({ total: 0, cached: 0, download: 0, files: [] }),
    isKept: async () => true,
  };
  return { kind, loads };
}

const requestOf = (kind: ModelKind<Fake>, name: string, more: Partial<LoadRequest<Fake>> = {}): LoadRequest<Fake> => ({
  kind,
  name,
  place: async () => name,
  dtype: 'fp32',
  signal: new AbortController().signal,
  onProgress: () => undefined,
  ...more,
});

const turn = () => new Promise(resolve => setTimeout(resolve));

describe('the store of loaded models', () => {
  it('two tabs that want one model share one load', async () => {
    const { kind, loads } = fakeKind();
    const store = new ModelStore();
    const both = [store.acquire(requestOf(kind, 'a')), store.acquire(requestOf(kind, 'a'))];
    await turn();
    expect(loads).toHaveLength(1);
    loads[0]!.finish();
    const [one, other] = await Promise.all(both);
    expect(one!.model).toBe(other!.model);
  });

  it('who joins a load hears how far it is, and who has left hears no more', async () => {
    const { kind, loads } = fakeKind();
    const store = new ModelStore();
    const told: string[] = [];
    const listener = (name: string) => (info: ProgressInfo) => {
      if (info.status === 'upload') told.push(`${name} ${info.loaded}`);
    };
    const leave = new AbortController();
    const first = store.acquire(requestOf(kind, 'a', { signal: leave.signal, onProgress: listener('first') }));
    await turn();
    expect(store.has(requestOf(kind, 'a'))).toBe(true);
    expect(store.has(requestOf(kind, 'b'))).toBe(false);
    loads[0]!.tell({ status: 'upload', loaded: 1, total: 4 } as ProgressInfo);
    const second = store.acquire(requestOf(kind, 'a', { onProgress: listener('second') }));
    await turn();
    leave.abort(new Error('left'));
    await turn();
    loads[0]!.tell({ status: 'upload', loaded: 2, total: 4 } as ProgressInfo);
    expect(told).toEqual(['first 1', 'second 1', 'second 2']);
    loads[0]!.finish();
    await expect(first).rejects.toThrow('left');
    expect((await second).model.place).toBe('a');
  });

  it('a model that nobody holds stays until another needs the room', async () => {
    const { kind, loads } = fakeKind();
    const store = new ModelStore();
    const acquire = async (name: string, more?: Partial<LoadRequest<Fake>>) => {
      const acquired = store.acquire(requestOf(kind, name, more));
      await turn();
      loads.at(-1)!.finish();
      return acquired;
    };
    const a = await acquire('a');
    a.release();
    expect(a.model.isDisposed).toBe(false);
    expect((await acquire('a')).model).toBe(a.model);
    const b = await acquire('b');
    // Held once more.
    expect(a.model.isDisposed).toBe(false);
    b.release();
    await acquire('a', { dtype: 'fp16' });
    expect(b.model.isDisposed).toBe(true);
  });

  it('a load is ended when the last who waits for it gives up', async () => {
    const { kind, loads } = fakeKind();
    const store = new ModelStore();
    const stops = [new AbortController(), new AbortController()];
    const waiting = stops.map(stop => store.acquire(requestOf(kind, 'a', { signal: stop.signal })));
    await turn();
    stops[0]!.abort(new Error('left'));
    expect(loads[0]!.signal.aborted).toBe(false);
    stops[1]!.abort(new Error('left'));
    expect(loads[0]!.signal.aborted).toBe(true);
    const settled = await Promise.allSettled(waiting);
    expect(settled.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  });

  it('a load that was given up is none for the next who asks, however soon', async () => {
    const { kind, loads } = fakeKind();
    const store = new ModelStore();
    const stop = new AbortController();
    const first = store.acquire(requestOf(kind, 'a', { signal: stop.signal }));
    await turn();
    stop.abort(new Error('Another model was chosen.'));
    const second = store.acquire(requestOf(kind, 'a'));
    await expect(first).rejects.toThrow('Another model was chosen.');
    await turn();
    expect(loads).toHaveLength(2);
    loads[1]!.finish();
    const { model } = await second;
    // The end of the first load takes nothing of the second away.
    expect((await store.acquire(requestOf(kind, 'a'))).model).toBe(model);
    expect(loads).toHaveLength(2);
  });

  it('a load that failed is tried anew by the next who asks', async () => {
    const { kind, loads } = fakeKind();
    const store = new ModelStore();
    const failing = store.acquire(requestOf(kind, 'a'));
    await turn();
    loads[0]!.fail(new Error('offline'));
    await expect(failing).rejects.toThrow('offline');
    const again = store.acquire(requestOf(kind, 'a'));
    await turn();
    loads[1]!.finish();
    expect((await again).model.place).toBe('a');
  });
});
