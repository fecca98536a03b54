import {
  CheckpointError,
  DeviceError,
  InputError,
  NotFiniteError,
  SourceError,
  UnsupportedError,
  WebGPUBertError,
} from '../errors.ts';
import { WorkerError } from './worker-error.ts';

/** The classes that an error keeps on its way; of any other it is an instance of the nearest of these. */
const CLASSES: Readonly<Record<string, { readonly prototype: object }>> = {
  WebGPUBertError,
  CheckpointError,
  DeviceError,
  InputError,
  NotFiniteError,
  SourceError,
  UnsupportedError,
  WorkerError,
  Error,
  AggregateError,
  EvalError,
  RangeError,
  ReferenceError,
  SyntaxError,
  TypeError,
  URIError,
};

/** An error on its way: a structured clone keeps neither its class nor its fields. */
export interface PackedError<Packed> {
  /** A name in the table above, or DOMException. */
  readonly is: string;
  readonly message: string;
  /** Of the thread on which it was thrown. */
  readonly stack: string | undefined;
  /** Every other property: its name, whether it is enumerable, its value. */
  readonly fields: readonly (readonly [name: string, isEnumerable: boolean, value: Packed])[];
  /** The name of a DOMException, which says what it is. */
  readonly name: string;
}

/** `pack` packs what the error holds; fields that it refuses are left out. */
export function packedError<Packed>(error: Error, pack: (value: unknown) => Packed): PackedError<Packed> {
  const isDOM = error instanceof DOMException;
  const descriptors = isDOM ? [] : Object.entries(Object.getOwnPropertyDescriptors(error));
  const fields = descriptors.flatMap(([name, { value, enumerable }]) => {
    if (name === 'message' || name === 'stack') return [];
    try {
      return [[name, enumerable === true, pack(value)] as const];
    } catch {
      return [];
    }
  });
  const { name, message, stack } = error;
  return { is: isDOM ? 'DOMException' : classOf(error), name, message, stack, fields };
}

/** The same error, of the page's own class. */
export function unpackedError<Packed>(
  { is, name, message, stack, fields }: PackedError<Packed>,
  unpack: (packed: Packed) => unknown,
): Error {
  if (is === 'DOMException') return new DOMException(message, name);
  // A constructor would want the fields, and compose the message of them again.
  const error: Error = Object.setPrototypeOf(new Error(message), CLASSES[is]!.prototype);
  if (stack !== undefined) Object.defineProperty(error, 'stack', { value: stack, writable: true, configurable: true });
  for (const [field, enumerable, value] of fields) {
    Object.defineProperty(error, field, { value: unpack(value), enumerable, writable: true, configurable: true });
  }
  return error;
}

function classOf(error: Error): string {
  for (let at: unknown = Object.getPrototypeOf(error); at; at = Object.getPrototypeOf(at)) {
    const found = Object.keys(CLASSES).find(name => CLASSES[name]!.prototype === at);
    if (found !== undefined) return found;
  }
  return 'Error';
}
