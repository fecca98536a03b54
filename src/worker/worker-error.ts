import { WebGPUBertError } from '../errors.ts';

/** The worker could not be started, or it has ended: everything that it held is lost. */
export class WorkerError extends WebGPUBertError {
  override readonly name = 'WorkerError';
}

const YOURS = 'name a script of yours, which imports webgpu-bert/worker-script, as env.worker';

/** @param actual what the browser says of it, which is often nothing */
export const notStarted = (actual: string | undefined, cause?: unknown) =>
  new WorkerError({
    what: 'the worker could not be started',
    actual: actual || 'no reason from the browser: the script is not there, or may not run',
    next: `Where Vite 6 or 7 serves the page in development, put optimizeDeps: { exclude: ['webgpu-bert'] } into its settings; where a Content-Security-Policy forbids workers, allow worker-src 'self'; else ${YOURS}.`,
    cause,
  });

export const noWorkers = () =>
  new WorkerError({ what: 'this environment has no module workers', next: "Import from 'webgpu-bert' instead." });

/** @param actual why, where that is known */
export const gone = (actual?: string) =>
  new WorkerError({
    what: 'the worker has ended',
    actual: actual || undefined,
    next: 'Load the model again: that starts another worker, unless env.worker is the one that has ended.',
  });

export const unreadable = () =>
  new WorkerError({
    what: 'a message between the page and the worker could not be read',
    next: 'Load the model again.',
  });
