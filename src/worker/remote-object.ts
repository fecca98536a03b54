import type { Description } from './protocol.ts';

/** How an object reaches its original. */
export interface Original {
  call(method: string, values: readonly unknown[]): Promise<unknown>;
  set(name: string, value: unknown): void;
}

/** An object of the page for one of the worker. */
export interface RemoteObject {
  readonly object: object;
  /** Tells an event of the original to whoever listens, when `properties` are as they are behind it. Does not hold the object. */
  hear(event: string, detail: unknown, properties: object): void;
}

/**
 * An object with the methods of one in the worker, each of which resolves to what the original's gives, and with its properties as they
 * were when it was made, and are after each event. Where a property is set, the original's is.
 */
export function remoteObject(
  {
    isCallable,
    methods,
    events,
    properties,
    throwing,
  }: Omit<Description, 'of' | 'properties'> & { properties: object },
  { call, set }: Original,
): RemoteObject {
  const method =
    (name: string) =>
    (...values: unknown[]) =>
      call(name, values);
  const object: object = isCallable ? method('_call') : {};
  const now = new Map<string, unknown>(Object.entries(properties));
  const property = (name: string): PropertyDescriptor => ({
    get() {
      if (throwing.includes(name)) throw now.get(name);
      return now.get(name);
    },
    set(value: unknown) {
      set(name, value);
      now.set(name, value);
    },
    enumerable: true,
    configurable: true,
  });
  const target = events.length > 0 ? new EventTarget() : undefined;
  const ofTarget = target && {
    addEventListener: target.addEventListener.bind(target),
    removeEventListener: target.removeEventListener.bind(target),
    dispatchEvent: target.dispatchEvent.bind(target),
  };
  const functions = { ...Object.fromEntries(methods.map(name => [name, method(name)])), ...ofTarget };
  Object.defineProperties(object, {
    ...Object.fromEntries([...now.keys()].map(name => [name, property(name)])),
    ...Object.fromEntries(Object.entries(functions).map(([name, value]) => [name, { value, configurable: true }])),
  });
  return {
    object,
    hear(event, detail, changed) {
      for (const [name, value] of Object.entries(changed)) now.set(name, value);
      target?.dispatchEvent(new CustomEvent(event, { detail }));
    },
  };
}
