import type { Environment } from '../checkpoint/source/index.ts';
import { globalOf } from '../runtime/index.ts';
import { unpack } from './packing.ts';
import { CONNECT, type Connect, type Passed, type Reply, type Request } from './protocol.ts';
import { ServedObjects } from './served-objects.ts';

/** What a worker gives to the page. */
export interface Served {
  /** The library's exports that the page calls, by their names, each with its functions. */
  readonly roots: Readonly<Record<string, object>>;
  /** Classes whose instances stay in the worker. */
  readonly classes: ConstructorParameters<typeof ServedObjects>[0];
  readonly env: Environment;
}

/** The worker's global object, as far as it is needed. */
interface Scope {
  /** Missing in Node, where no page connects. */
  addEventListener?(type: 'message', listener: (event: MessageEvent) => void): void;
}

/** Answers every page that connects, and leaves messages of others alone. */
export function listen(scope: Scope, served: Served): void {
  scope.addEventListener?.('message', ({ data, ports }) => {
    const message = data as Partial<Connect> | null | undefined;
    if (message?.type === CONNECT && ports[0]) new Conversation(ports[0], served).begin(message.lock ?? '');
  });
}

/** One page, and what it has been given. */
class Conversation {
  readonly #port: MessagePort;
  readonly #served: Served;
  readonly #objects: ServedObjects;
  /** By the number of the call. */
  readonly #underWay = new Map<number, AbortController>();

  constructor(port: MessagePort, served: Served) {
    this.#port = port;
    this.#served = served;
    this.#objects = new ServedObjects(served.classes, event => this.#say({ type: 'event', ...event }));
  }

  /** A lock is given back only when the worker has ended, however it ended: the page waits for that. */
  begin(lock: string): void {
    this.#port.addEventListener('message', ({ data }) => this.#hear(data as Request));
    this.#port.start();
    const ready = (isLocked: boolean) => this.#say({ type: 'ready', isLocked });
    const locks = globalOf('navigator')?.locks;
    if (!locks) {
      ready(false);
      return;
    }
    const forEver = new Promise<never>(() => undefined);
    locks
      .request(lock, () => {
        ready(true);
        return forEver;
      })
      .catch(() => ready(false));
  }

  #hear(request: Request): void {
    switch (request.type) {
      case 'call':
        void this.#call(request);
        break;
      case 'abort':
        this.#underWay.get(request.call)?.abort();
        break;
      case 'set':
        Reflect.set(
          this.#objects.get(request.of) ?? {},
          request.name,
          unpack(request.value, () => undefined),
        );
        break;
      case 'release': {
        const object = this.#objects.get(request.of) as { dispose?(): Promise<void> } | undefined;
        this.#objects.release(request.of);
        if (request.disposes) object?.dispose?.().catch(() => undefined);
        break;
      }
      default:
        request satisfies never;
    }
  }

  async #call({ call, of, method, values, settings }: Request & { type: 'call' }): Promise<void> {
    const stop = new AbortController();
    this.#underWay.set(call, stop);
    const resolve = (passed: Passed) => {
      if ('signal' in passed) return stop.signal;
      if ('object' in passed) return this.#objects.get(passed.object);
      return (...given: unknown[]) => this.#callBack(call, passed.callback, given);
    };
    try {
      Object.assign(this.#served.env, settings);
      const object = typeof of === 'string' ? this.#served.roots[of] : this.#objects.get(of);
      const result: unknown = await Reflect.apply(
        Reflect.get(object ?? {}, method) as (...given: unknown[]) => unknown,
        object,
        unpack(values, resolve) as unknown[],
      );
      const { packed, buffers } = this.#objects.pack(result);
      // The worker keeps nothing of a result: its memory goes to the page without a copy.
      this.#say({ type: 'result', call, value: packed }, buffers);
    } catch (error) {
      this.#say({ type: 'error', call, error: this.#objects.pack(error).packed });
    } finally {
      this.#underWay.delete(call);
    }
  }

  #callBack(call: number, callback: number, values: unknown[]): void {
    this.#say({ type: 'callback', call, callback, values: this.#objects.pack(values).packed });
  }

  #say(reply: Reply, buffers: ArrayBuffer[] = []): void {
    this.#port.postMessage(reply, buffers);
  }
}
