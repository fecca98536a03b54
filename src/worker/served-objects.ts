import { MODEL_EVENTS, PreTrainedModel } from '../api/index.ts';
import { type Packed, pack, Unpackable } from './packing.ts';
import type { Description, Handle } from './protocol.ts';

/** Classes whose instances stay in the worker. */
type Classes = readonly (abstract new (...values: never[]) => object)[];

/** An event that an object has told, with its properties as they are behind it. */
export interface ToldEvent {
  readonly of: Handle;
  readonly event: string;
  readonly detail: Packed<Description>;
  readonly properties: Packed<Description>;
}

/** The objects that the worker holds for the page, by their numbers. */
export class ServedObjects {
  readonly #classes: Classes;
  readonly #tell: (event: ToldEvent) => void;
  readonly #objects = new Map<Handle, object>();
  #last = 0;

  constructor(classes: Classes, tell: (event: ToldEvent) => void) {
    this.#classes = classes;
    this.#tell = tell;
  }

  get(handle: Handle): object | undefined {
    return this.#objects.get(handle);
  }

  release(handle: Handle): void {
    this.#objects.delete(handle);
  }

  /** Packs a value for the page: objects of the classes stay here, and are described. Throws Unpackable. */
  pack(value: unknown) {
    return pack(value, object => (this.#isServed(object) ? this.#describe(object) : undefined));
  }

  #isServed(value: object): boolean {
    return this.#classes.some(type => value instanceof type);
  }

  /** A model is a function, too. */
  #isMethod(value: unknown): boolean {
    return typeof value === 'function' && !this.#isServed(value);
  }

  /** Whatever the object's class has is found on it, so that a new method of a class is one of the page's objects too. */
  #describe(object: object): Description {
    const handle = ++this.#last;
    this.#objects.set(handle, object);
    const methods = namesOf(object).filter(name => this.#isMethod(descriptorOf(object, name)?.value));
    const events = object instanceof PreTrainedModel ? MODEL_EVENTS : [];
    if (object instanceof PreTrainedModel) {
      for (const event of MODEL_EVENTS) {
        object.addEventListener(event, ({ detail }) =>
          this.#tell({
            of: handle,
            event,
            detail: this.pack(detail).packed,
            properties: this.#properties(object, { served: false }).packed,
          }),
        );
      }
    }
    const { packed: properties, throwing } = this.#properties(object, { served: true });
    return { of: handle, isCallable: typeof object === 'function', methods, events, properties, throwing };
  }

  /** The values of all properties that can leave the worker. `served`: also of those that are objects which stay here. */
  #properties(object: object, { served }: { served: boolean }) {
    const throwing: string[] = [];
    const values = namesOf(object).flatMap(name => {
      const { value, get } = descriptorOf(object, name)!;
      if (this.#isMethod(value)) return [];
      try {
        const property: unknown = get ? get.call(object) : value;
        if (!served && this.#isServed(Object(property))) return [];
        // Packed alone first: what cannot leave the worker is no property of the page's object.
        if (!this.#isServed(Object(property))) pack(property, () => undefined);
        return [[name, property] as const];
      } catch (error) {
        if (error instanceof Unpackable) return [];
        throwing.push(name);
        return [[name, error] as const];
      }
    });
    return { packed: this.pack(Object.fromEntries(values)).packed, throwing };
  }
}

/** The names of all that an object and its classes have, but what every object or function has. */
function namesOf(object: object): string[] {
  const names = new Set(Object.keys(object));
  for (let at = Object.getPrototypeOf(object); isClass(at); at = Object.getPrototypeOf(at)) {
    for (const name of Object.getOwnPropertyNames(at)) names.add(name);
  }
  names.delete('constructor');
  return [...names];
}

const isClass = (prototype: object | null): prototype is object =>
  prototype !== null && prototype !== Object.prototype && prototype !== Function.prototype;

function descriptorOf(object: object, name: string): PropertyDescriptor | undefined {
  for (let at: object | null = object; at; at = Object.getPrototypeOf(at)) {
    const found = Object.getOwnPropertyDescriptor(at, name);
    if (found) return found;
  }
  return undefined;
}
