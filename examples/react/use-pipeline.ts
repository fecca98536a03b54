import { useEffect, useState } from 'react';
import { type Pipeline, type PretrainedOptions, pipeline, type Task } from 'webgpu-bert';

export interface LoadState<T extends Task> {
  /** The pipeline, once it is loaded. */
  readonly pipe: Pipeline<T> | undefined;
  /** 0 to 1, of all files of the model. */
  readonly progress: number;
  readonly error: unknown;
}

/**
 * Loads a pipeline while a component is mounted, and gives its memory on the GPU back afterwards. Another task, model or dtype loads
 * another one. In StrictMode, where React mounts everything twice, the first load is aborted and the second one goes on.
 */
export function usePipeline<T extends Task>(
  task: T,
  model: string,
  { dtype }: Pick<PretrainedOptions, 'dtype'> = {},
): LoadState<T> {
  const [state, setState] = useState<LoadState<T>>({ pipe: undefined, progress: 0, error: undefined });
  useEffect(() => {
    const stop = new AbortController();
    const { signal } = stop;
    setState({ pipe: undefined, progress: 0, error: undefined });
    const loading = pipeline(task, model, {
      dtype,
      signal,
      progress_callback: info => {
        if (signal.aborted || info.status !== 'progress_total') return;
        setState(before => ({ ...before, progress: info.progress / 100 }));
      },
    });
    loading.then(
      pipe => {
        if (!signal.aborted) setState({ pipe, progress: 1, error: undefined });
      },
      error => {
        if (!signal.aborted) setState({ pipe: undefined, progress: 0, error });
      },
    );
    return () => {
      stop.abort();
      // A load that was already done is not undone by its signal.
      loading.then(
        pipe => pipe.dispose(),
        () => undefined,
      );
    };
  }, [task, model, dtype]);
  return state;
}

export interface RunState<R> {
  /** The newest answer; it stays while the next one is computed. */
  readonly answer: R | undefined;
  readonly isRunning: boolean;
  readonly error: unknown;
}

/**
 * Runs a call, and again whenever something in `inputs` has changed: the call before is aborted, so that a slow answer never comes after
 * a newer one. `call` gives undefined where there is nothing to do yet.
 */
export function useRun<R>(
  call: (signal: AbortSignal) => Promise<R> | undefined,
  inputs: readonly unknown[],
): RunState<R> {
  const [state, setState] = useState<RunState<R>>({ answer: undefined, isRunning: false, error: undefined });
  useEffect(() => {
    const stop = new AbortController();
    const { signal } = stop;
    const running = call(signal);
    if (!running) return;
    setState(({ answer }) => ({ answer, isRunning: true, error: undefined }));
    running.then(
      answer => {
        if (!signal.aborted) setState({ answer, isRunning: false, error: undefined });
      },
      error => {
        if (!signal.aborted) setState(({ answer }) => ({ answer, isRunning: false, error }));
      },
    );
    return () => stop.abort();
  }, inputs);
  return state;
}
