import type { Environment } from '../checkpoint/source/index.ts';
import { InputError } from '../errors.ts';
import { globalOf } from '../runtime/index.ts';
import { type Packed, pack, Unpackable, unpack } from './packing.ts';
import {
  CONNECT,
  type Connect,
  type Description,
  type Handle,
  type Passed,
  type Reply,
  type Request,
} from './protocol.ts';
import { type RemoteObject, remoteObject } from './remote-object.ts';
import { gone, notStarted, unreadable, type WorkerError } from './worker-error.ts';

type Callback = (...values: unknown[]) => unknown;

/** A call that has not ended. */
interface Pending {
  readonly callbacks: readonly Callback[];
  resolve(value: unknown): void;
  reject(reason: unknown): void;
}

/** Where the originals of all objects of the page are. */
const ORIGINALS = new WeakMap<object, { readonly connection: Connection; readonly of: Handle }>();

/** A worker, as the page speaks to it: calls that are under way, and objects that the worker holds for the page. */
export class Connection {
  readonly #worker: Worker;
  readonly #isOwned: boolean;
  readonly #port: MessagePort;
  readonly #lock = `webgpu-bert ${Date.now().toString(36)} ${Math.random().toString(36).slice(2)}`;
  /** Aborts with the connection. */
  readonly #life = new AbortController();
  readonly #pending = new Map<number, Pending>();
  /** The page's objects, which are held by whoever uses them. */
  readonly #objects = new Map<Handle, WeakRef<object>>();
  /** How each is told of an event of its original. */
  readonly #listeners = new WeakMap<object, RemoteObject['hear']>();
  readonly #dropped = new FinalizationRegistry<Handle>(handle => this.#release(handle));
  #lastCall = 0;
  #isReady = false;
  #hasHeld = false;
  #end: WorkerError | undefined;

  /** @param isOwned whether the worker was started for this connection, and is ended with it */
  constructor(worker: Worker, { isOwned }: { isOwned: boolean }) {
    this.#worker = worker;
    this.#isOwned = isOwned;
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    const { signal } = this.#life;
    worker.addEventListener('error', event => this.#hearError(event), { signal });
    worker.addEventListener('messageerror', () => this.#fail(unreadable()), { signal });
    port1.addEventListener('messageerror', () => this.#fail(unreadable()), { signal });
    port1.addEventListener('message', ({ data }) => this.#hear(data as Reply), { signal });
    port1.start();
    worker.postMessage({ type: CONNECT, lock: this.#lock } satisfies Connect, [port2]);
  }

  /** Why the worker has ended, where it has. */
  get end(): WorkerError | undefined {
    return this.#end;
  }

  /**
   * Calls a method of an object of the worker, or a function of the library, there. A signal among the arguments ends the wait at once;
   * functions among them are called here. Throws what the method throws, InputError for an argument that cannot leave the page, what one of
   * the functions throws, WorkerError, or the signal's reason.
   */
  call(
    of: Handle | string,
    method: string,
    values: readonly unknown[],
    settings?: Partial<Environment>,
  ): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.#end) throw this.#end;
      const callbacks: Callback[] = [];
      const signals: AbortSignal[] = [];
      const packed = this.#packed(values, value => {
        const original = ORIGINALS.get(value);
        if (original?.connection === this) return { object: original.of };
        if (original) throw ofOtherWorker();
        if (typeof value === 'function') return { callback: callbacks.push(value as Callback) - 1 };
        if (!(value instanceof AbortSignal)) return undefined;
        signals.push(value);
        return { signal: true };
      });
      for (const signal of signals) signal.throwIfAborted();
      const call = ++this.#lastCall;
      const settled = new AbortController();
      const settle = (deliver: () => void) => {
        if (!this.#pending.delete(call)) return;
        settled.abort();
        deliver();
        this.#endIfIdle();
      };
      const pending: Pending = {
        callbacks,
        resolve: value => settle(() => resolve(value)),
        reject: reason => settle(() => reject(reason)),
      };
      for (const signal of signals) {
        const abort = () => this.#abandon(call, pending, signal.reason);
        signal.addEventListener('abort', abort, { once: true, signal: settled.signal });
      }
      this.#pending.set(call, pending);
      try {
        this.#say({ type: 'call', call, of, method, values: packed, ...(settings && { settings }) });
      } catch (error) {
        pending.reject(error);
      }
    });
  }

  /** Sets a property of an object of the worker, before whatever is called later. Throws InputError for a value that cannot leave the page. */
  set(of: Handle, name: string, value: unknown): void {
    if (!this.#end) this.#say({ type: 'set', of, name, value: this.#packed(value, () => undefined) });
  }

  /** Packs a value. Throws InputError where it cannot leave the page. */
  #packed(value: unknown, refer: (value: object) => Passed | undefined): Packed<Passed> {
    try {
      return pack(value, refer).packed;
    } catch (error) {
      throw error instanceof Unpackable ? bound(error) : error;
    }
  }

  #say(request: Request): void {
    this.#port.postMessage(request);
  }

  /** Ends a call here, whatever becomes of it there. */
  #abandon(call: number, pending: Pending, reason: unknown): void {
    this.#say({ type: 'abort', call });
    pending.reject(reason);
  }

  #hear(reply: Reply): void {
    switch (reply.type) {
      case 'ready':
        this.#isReady = true;
        if (reply.isLocked) this.#awaitEnd();
        break;
      case 'result': {
        const pending = this.#pending.get(reply.call);
        if (pending) pending.resolve(this.#unpacked(reply.value));
        else this.#disposeOf(reply.value);
        break;
      }
      case 'error':
        this.#pending.get(reply.call)?.reject(this.#unpacked(reply.error));
        break;
      case 'callback': {
        const pending = this.#pending.get(reply.call);
        if (pending) this.#callBack(reply, pending);
        break;
      }
      case 'event': {
        const object = this.#objects.get(reply.of)?.deref();
        const hear = object && this.#listeners.get(object);
        hear?.(reply.event, this.#unpacked(reply.detail), this.#unpacked(reply.properties) as object);
        break;
      }
      default:
        reply satisfies never;
    }
  }

  /** Calls a function that was among the arguments of a call. Where it throws, the call does, as on the page. */
  #callBack({ call, callback, values }: Reply & { type: 'callback' }, pending: Pending): void {
    try {
      pending.callbacks[callback]?.(...(this.#unpacked(values) as unknown[]));
    } catch (error) {
      this.#abandon(call, pending, error);
    }
  }

  #unpacked(packed: Packed<Description>): unknown {
    return unpack(packed, description => {
      const { of, properties } = description;
      const { object, hear } = remoteObject(
        { ...description, properties: this.#unpacked(properties) as object },
        { call: (method, values) => this.call(of, method, values), set: (name, value) => this.set(of, name, value) },
      );
      this.#hasHeld = true;
      this.#objects.set(of, new WeakRef(object));
      ORIGINALS.set(object, { connection: this, of });
      this.#listeners.set(object, hear);
      this.#dropped.register(object, of);
      return object;
    });
  }

  /** The objects of a result that came after its call was given up. */
  #disposeOf(packed: Packed<Description>): void {
    unpack(packed, ({ of, properties }) => {
      this.#say({ type: 'release', of, disposes: true });
      this.#disposeOf(properties);
    });
  }

  /** The page has lost its last reference to an object. */
  #release(handle: Handle): void {
    this.#objects.delete(handle);
    if (this.#end) return;
    this.#say({ type: 'release', of: handle, disposes: false });
    this.#endIfIdle();
  }

  /** Ends a worker of ours that holds nothing for the page any more. One that never has is still to be used. */
  #endIfIdle(): void {
    const isIdle = this.#hasHeld && this.#objects.size === 0 && this.#pending.size === 0;
    if (this.#isOwned && isIdle) this.#close(gone('the page held nothing of it any more'));
  }

  /** Only the browser takes the lock from the worker: when it has ended, by whatever cause. */
  #awaitEnd(): void {
    const { signal } = this.#life;
    globalOf('navigator')
      ?.locks?.request(this.#lock, { signal }, () => this.#fail(gone()))
      .catch(() => undefined);
  }

  /** An error that nobody caught. In a running worker of the caller's it may be any of its own. */
  #hearError(event: ErrorEvent): void {
    if (this.#isReady && !this.#isOwned) return;
    this.#fail(this.#isReady ? gone(event.message) : notStarted(event.message));
  }

  #fail(reason: WorkerError): void {
    if (this.#end) return;
    this.#close(reason);
    for (const pending of [...this.#pending.values()]) pending.reject(reason);
  }

  #close(reason: WorkerError): void {
    this.#end = reason;
    this.#life.abort();
    this.#port.close();
    if (this.#isOwned) this.#worker.terminate();
  }
}

const ofOtherWorker = () =>
  new InputError({
    what: 'an argument cannot be handed to the worker',
    actual: 'an object of another worker',
    expected: 'objects that were loaded in the same one',
    next: 'Load it again, with `env.worker` as it is now; what a worker held that has ended is lost.',
  });

const bound = ({ value, message }: Unpackable) =>
  new InputError({
    what: 'an argument cannot be handed to the worker',
    actual: message,
    expected: 'strings, numbers, plain objects and lists, typed arrays, tensors, Blobs',
    next:
      'createComputePipelineAsync' in Object(value)
        ? "Leave `device` out, and the worker opens one; a device of yours needs the entry 'webgpu-bert'."
        : undefined,
  });
