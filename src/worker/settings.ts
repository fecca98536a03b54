import { USUAL_ENVIRONMENT } from '../api/index.ts';
import type { Environment } from '../checkpoint/source/index.ts';
import { InputError } from '../errors.ts';
import { globalOf } from '../runtime/index.ts';

/** Settings of the page's `env`: those of the library, and where the worker comes from. */
export interface WorkerEnvironment extends Environment {
  /**
   * A worker of yours, its address, or a function that starts one, where the library's own cannot start: under a
   * Content-Security-Policy, with a bundler that does not know `new Worker(new URL(...))`. Its script imports
   * `webgpu-bert/worker-script`; there it may set `env.fetch` and `env.customCache`, too. A worker of yours is never ended.
   */
  worker?: Worker | URL | string | (() => Worker) | null;
}

type Settings = Partial<Environment>;

/** The settings of `env` that a worker has been told: at first those that are usual. */
export class ToldSettings {
  readonly #told = new Map<string, unknown>(Object.entries(USUAL_ENVIRONMENT));

  /**
   * What has changed since the last call, with the address of the page, against which the worker reads relative ones.
   * Throws InputError for a setting that cannot leave the page.
   */
  changes({ worker: _, ...env }: WorkerEnvironment): Settings {
    const now = { ...env, baseURL: env.baseURL ?? globalOf('document')?.baseURI };
    const changed = Object.entries(now).filter(([name, value]) => this.#told.get(name) !== value);
    for (const [name, value] of changed) {
      if (typeof value === 'function' || (typeof value === 'object' && value !== null)) throw bound(name);
    }
    for (const [name, value] of changed) this.#told.set(name, value);
    return Object.fromEntries(changed);
  }
}

const bound = (name: string) =>
  new InputError({
    what: `env.${name} cannot be handed to the worker`,
    actual: 'functions, which stay on the page',
    expected: 'the usual one',
    next: `Set it in a worker script of yours, which imports 'webgpu-bert/worker-script', and name that script as env.worker.`,
  });
