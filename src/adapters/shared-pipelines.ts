import type { PretrainedOptions } from '../api/index.ts';
import type { ModelLocation, ProgressCallback } from '../checkpoint/source/index.ts';
import { pipeline } from '../pipeline.ts';
import { linkedAbort, until } from '../runtime/index.ts';
import type { Pipeline } from '../tasks/index.ts';

/** The tasks that other libraries' interfaces are made of. */
export type AdapterTask = 'feature-extraction' | 'text-ranking';

/** Options of a load without those that belong to one caller alone. */
export type SharedOptions = Omit<PretrainedOptions, 'signal' | 'progress_callback'>;

/** A pipeline that others may use at the same time. */
export interface Lease<T extends AdapterTask> {
  readonly pipe: Pipeline<T>;
  /** Says that this holder needs the pipeline no more: the last one frees it. Idempotent. */
  release(): void;
}

/** A pipeline that is loaded, or on its way, and who holds it. */
interface Shared<T extends AdapterTask> {
  readonly loading: Promise<Pipeline<T>>;
  readonly stop: AbortController;
  readonly listeners: Set<ProgressCallback>;
  holders: number;
  isLoaded: boolean;
}

const shared = new Map<string, Shared<AdapterTask>>();

/** The same for two loads exactly if they may share a model; undefined for one that is a load of its own: of files, or on a given device. */
function keyOf(task: AdapterTask, model: ModelLocation, options: SharedOptions): string | undefined {
  if (typeof model !== 'string' && !(model instanceof URL)) return undefined;
  const given = Object.entries(options).filter(([, value]) => value !== undefined && value !== null);
  if (given.some(([name, value]) => name === 'device' && typeof value === 'object')) return undefined;
  return JSON.stringify([task, String(model), given.sort(([a], [b]) => (a < b ? -1 : 1))]);
}

/** Whether this model is being loaded. */
export function isLoading(task: AdapterTask, model: ModelLocation, options: SharedOptions): boolean {
  const key = keyOf(task, model, options);
  const entry = key === undefined ? undefined : shared.get(key);
  return entry !== undefined && !entry.isLoaded;
}

/**
 * A pipeline of this model: the one that somebody holds with the same options, or else a new one. A model is loaded once however many
 * hold it, and freed when nobody does; a load ends when all who wait for it have been aborted. Throws what `pipeline` throws, or the
 * signal's reason.
 */
export async function lease<T extends AdapterTask>(
  task: T,
  model: ModelLocation,
  options: SharedOptions,
  { signal, onProgress }: { signal?: AbortSignal | undefined; onProgress?: ProgressCallback } = {},
): Promise<Lease<T>> {
  signal?.throwIfAborted();
  const key = keyOf(task, model, options);
  const known = key === undefined ? undefined : (shared.get(key) as Shared<T> | undefined);
  const entry = known ?? load(task, model, options);
  if (key !== undefined && !known) keep(key, entry);
  entry.holders++;
  const stop = linkedAbort(signal);
  // A callback that throws ends the wait of its own caller, not that of others.
  const listener: ProgressCallback = info => {
    try {
      onProgress?.(info);
    } catch (error) {
      stop.abort(error);
    }
  };
  entry.listeners.add(listener);
  let isHeld = true;
  const release = () => {
    if (!isHeld) return;
    isHeld = false;
    if (--entry.holders > 0) return;
    if (key !== undefined && shared.get(key) === (entry as Shared<AdapterTask>)) shared.delete(key);
    entry.stop.abort();
    entry.loading.then(
      pipe => pipe.dispose(),
      () => undefined,
    );
  };
  try {
    return { pipe: await until(stop.signal, entry.loading), release };
  } catch (error) {
    release();
    throw error;
  } finally {
    entry.listeners.delete(listener);
    stop.release();
  }
}

function load<T extends AdapterTask>(task: T, model: ModelLocation, options: SharedOptions): Shared<T> {
  const stop = new AbortController();
  const listeners = new Set<ProgressCallback>();
  const loading = pipeline(task, model, {
    ...options,
    signal: stop.signal,
    progress_callback: info => {
      for (const listener of listeners) listener(info);
    },
  });
  const entry: Shared<T> = { loading, stop, listeners, holders: 0, isLoaded: false };
  loading.then(
    () => {
      entry.isLoaded = true;
    },
    () => undefined,
  );
  return entry;
}

/** Others find the pipeline by its key, until its load fails: whoever asks after that tries again. */
function keep(key: string, entry: Shared<AdapterTask>): void {
  shared.set(key, entry);
  entry.loading.catch(() => {
    if (shared.get(key) === entry) shared.delete(key);
  });
}
