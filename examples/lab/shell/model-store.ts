import type { ModelLocation, ProgressCallback, ProgressInfo } from 'webgpu-bert';
import type { Loaded, ModelKind } from './model-kind.ts';

/** A model in use. Whoever holds it gives it back by `release`; it stays loaded until another one needs the room. */
export interface Lease<M> {
  readonly model: M;
  release(): void;
}

interface Entry {
  readonly loading: Promise<Loaded>;
  readonly stop: AbortController;
  holders: number;
  /** What was told last of each thing that a load does: those who come later hear how far it is. */
  readonly told: Map<string, ProgressInfo>;
  readonly listeners: Set<ProgressCallback>;
}

/** What tells a model from any other. */
export interface ModelKey {
  readonly kind: { readonly name: string };
  /** Tells the place from any other. */
  readonly name: string;
  readonly dtype: string;
}

export interface LoadRequest<M extends Loaded> extends ModelKey {
  readonly kind: ModelKind<M>;
  place(): Promise<ModelLocation>;
  readonly signal: AbortSignal;
  readonly onProgress: ProgressCallback;
}

/**
 * The models that the page has loaded: one for each kind, place and dtype, whichever tabs use it. Before another is loaded, those that
 * nobody holds are disposed: the memory of a phone's GPU holds few.
 */
export class ModelStore {
  readonly #entries = new Map<string, Entry>();

  /** Whether a model is loaded, or being loaded. */
  has(model: ModelKey): boolean {
    return this.#entryOf(keyOf(model)) !== undefined;
  }

  /** Rejects with the error of the load, or with the reason of the signal. */
  async acquire<M extends Loaded>(request: LoadRequest<M>): Promise<Lease<M>> {
    const key = keyOf(request);
    const { onProgress } = request;
    if (!this.#entryOf(key)) await this.#disposeUnheld();
    request.signal.throwIfAborted();
    const entry = this.#entryOf(key) ?? this.#load(key, request);
    entry.holders += 1;
    for (const info of entry.told.values()) onProgress(info);
    entry.listeners.add(onProgress);
    let isHeld = true;
    const release = () => {
      if (isHeld) entry.holders -= 1;
      isHeld = false;
    };
    const onAbort = () => {
      release();
      entry.listeners.delete(onProgress);
      // A load that nobody waits for any more is ended; one that another tab waits for goes on.
      if (entry.holders === 0) entry.stop.abort(request.signal.reason);
    };
    request.signal.addEventListener('abort', onAbort);
    try {
      // One key is one kind, and a kind loads models of one type.
      const model = (await entry.loading) as M;
      request.signal.throwIfAborted();
      return { model, release };
    } catch (error) {
      release();
      throw error;
    } finally {
      entry.listeners.delete(onProgress);
      request.signal.removeEventListener('abort', onAbort);
    }
  }

  /** A load that was given up fails in a moment: it is none that anybody could wait for. */
  #entryOf(key: string): Entry | undefined {
    const entry = this.#entries.get(key);
    return entry?.stop.signal.aborted ? undefined : entry;
  }

  #load<M extends Loaded>(key: string, { kind, place, dtype }: LoadRequest<M>): Entry {
    const stop = new AbortController();
    const told: Entry['told'] = new Map();
    const listeners: Entry['listeners'] = new Set();
    const progress_callback: ProgressCallback = info => {
      told.set(info.status, info);
      for (const listener of listeners) listener(info);
    };
    const loading = place().then(where => kind.load(where, { dtype, signal: stop.signal, progress_callback }));
    const entry: Entry = { loading, stop, holders: 0, told, listeners };
    this.#entries.set(key, entry);
    loading.catch(() => {
      // The next load of the same model may have its place by now.
      if (this.#entries.get(key) === entry) this.#entries.delete(key);
    });
    return entry;
  }

  async #disposeUnheld(): Promise<void> {
    const unheld = [...this.#entries].filter(([, entry]) => entry.holders === 0);
    for (const [key] of unheld) this.#entries.delete(key);
    await Promise.all(
      unheld.map(async ([, entry]) => {
        entry.stop.abort(new DOMException('Another model was asked for.', 'AbortError'));
        // A load that fails has nothing to give back.
        const model = await entry.loading.catch(() => undefined);
        await model?.dispose();
      }),
    );
  }
}

const keyOf = ({ kind, dtype, name }: ModelKey): string => `${kind.name} ${dtype} ${name}`;

export const modelStore = new ModelStore();
