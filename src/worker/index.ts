/**
 * The library in a worker: the page's side, whose objects look like those of the library and hand each call over, and the worker's side,
 * which makes it. Values and errors cross as structured clones and marks. The entries `worker` and `worker-script` import it. It never
 * knows a task.
 */

export type { Remotely, RemoteModel, RemoteTokenizer } from './remote-types.ts';
export { listen, type Served } from './serve.ts';
export { WorkerError } from './worker-error.ts';
export {
  type NewHeadOptions,
  type NewModelOptions,
  type PretrainedOptions,
  type WorkerClass,
  type WorkerEnvironment,
  type WorkerModelClass,
  WorkerSide,
} from './worker-side.ts';
