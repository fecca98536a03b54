import type {
  PretrainedOptions as EveryOption,
  NewHeadOptions as NewHead,
  NewModelOptions as NewModel,
} from '../api/index.ts';
import type { ModelLocation } from '../checkpoint/source/index.ts';
import { Connection } from './connection.ts';
import type { Remotely } from './remote-types.ts';
import { ToldSettings, type WorkerEnvironment } from './settings.ts';
import { notStarted, noWorkers } from './worker-error.ts';

export type { WorkerEnvironment } from './settings.ts';

/** A GPUDevice cannot leave the page. */
interface DeviceByName {
  /** 'webgpu', which is the default. */
  device?: string | null;
}

/** The options of `pipeline` and `from_pretrained`. */
export interface PretrainedOptions extends Omit<EveryOption, 'device'>, DeviceByName {}
/** The options of `from_pretrained` of a class with a head: also what a head that the checkpoint lacks is to be like. */
export interface NewHeadOptions extends Omit<NewHead, 'device'>, DeviceByName {}
/** The options of `from_config`. */
export interface NewModelOptions extends Omit<NewModel, 'device'>, DeviceByName {}

/** A class whose instances are loaded, and live in the worker. */
export interface WorkerClass<Instance, Options = PretrainedOptions> {
  /** As of the class of the same name in 'webgpu-bert'; and throws WorkerError where the worker cannot be started, or ends. */
  from_pretrained(model: ModelLocation, options?: Options | null): Promise<Remotely<Instance>>;
}

/** A class of models, which makes new ones, too. */
export interface WorkerModelClass<Instance, Options = PretrainedOptions> extends WorkerClass<Instance, Options> {
  /** As of the class of the same name in 'webgpu-bert'; and throws WorkerError. */
  from_config(config: object, options?: NewModelOptions | null): Promise<Remotely<Instance>>;
}

/** What the page has of a worker: it is started by the first call, and again where it has ended. */
export class WorkerSide {
  readonly #start: () => Worker;
  readonly #env: WorkerEnvironment;
  #used: { readonly worker: unknown; readonly connection: Connection; readonly told: ToldSettings } | undefined;

  /** @param start starts the library's own worker */
  constructor(start: () => Worker, env: WorkerEnvironment) {
    this.#start = start;
    this.#env = env;
  }

  /** One of the worker's roots, as an object with its functions. */
  root<Root extends object>(name: string, methods: readonly (keyof Root & string)[]): Root {
    const functions = methods.map(method => [method, (...values: unknown[]) => this.#call(name, method, values)]);
    return Object.fromEntries(functions) as Root;
  }

  /** A class of the library's. */
  loader<Instance, Options = PretrainedOptions>(name: string): WorkerClass<Instance, Options> {
    return this.root<WorkerClass<Instance, Options>>(name, ['from_pretrained']);
  }

  /** A class of the library's models. */
  modelClass<Instance, Options = PretrainedOptions>(name: string): WorkerModelClass<Instance, Options> {
    return this.root<WorkerModelClass<Instance, Options>>(name, ['from_pretrained', 'from_config']);
  }

  async #call(root: string, method: string, values: readonly unknown[]): Promise<unknown> {
    const { connection, told } = this.#current();
    return connection.call(root, method, values, told.changes(this.#env));
  }

  /** The connection to the worker that `env` names now. A worker of the caller's that has ended stays the one that is named. */
  #current() {
    const worker = this.#env.worker ?? undefined;
    const used = this.#used;
    if (used && used.worker === worker && (!used.connection.end || isWorker(worker))) return used;
    const connection = new Connection(this.#started(worker), { isOwned: !isWorker(worker) });
    this.#used = { worker, connection, told: new ToldSettings() };
    return this.#used;
  }

  /** Throws WorkerError. */
  #started(worker: WorkerEnvironment['worker']): Worker {
    if (isWorker(worker)) return worker;
    if (!('Worker' in globalThis) && !worker) throw noWorkers();
    try {
      if (typeof worker === 'function') return worker();
      return worker ? new Worker(worker, { type: 'module' }) : this.#start();
    } catch (error) {
      throw notStarted(error instanceof Error ? error.message : undefined, error);
    }
  }
}

const isWorker = (value: unknown): value is Worker => typeof (value as Worker | undefined)?.postMessage === 'function';
