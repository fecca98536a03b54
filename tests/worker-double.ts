import { vi } from 'vitest';

/**
 * A worker on this thread: src/worker-script.ts itself, which hears messages as the script of a worker does. Everything that is said goes
 * through a MessageChannel of the runtime, so that it is cloned and transferred as between threads.
 */
export class WorkerDouble extends EventTarget {
  /** The ports of the worker's end. */
  readonly ports: MessagePort[] = [];
  terminated = 0;
  readonly #hear: (event: Pick<MessageEvent, 'data' | 'ports'>) => void;

  constructor(hear: (event: Pick<MessageEvent, 'data' | 'ports'>) => void) {
    super();
    this.#hear = hear;
  }

  postMessage(data: unknown, ports: MessagePort[] = []): void {
    this.ports.push(...ports);
    this.#hear({ data: structuredClone(data), ports });
  }

  /** As the browser ends one: nothing is heard or said any more. */
  terminate(): void {
    this.terminated++;
    for (const port of this.ports) port.close();
  }

  /** An error that the script has not caught, or that kept it from starting. */
  fail(message = ''): void {
    this.dispatchEvent(Object.assign(new Event('error'), { message }));
  }
}

/** Starts doubles that run src/worker-script.ts. */
export async function workerDoubles(): Promise<() => WorkerDouble> {
  let hear: ((event: Pick<MessageEvent, 'data' | 'ports'>) => void) | undefined;
  vi.stubGlobal('addEventListener', (_: string, listener: typeof hear) => {
    hear = listener;
  });
  await import('../src/worker-script.ts');
  vi.unstubAllGlobals();
  return () => new WorkerDouble(hear!);
}
