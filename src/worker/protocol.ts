import type { Environment } from '../checkpoint/source/index.ts';
import type { Packed } from './packing.ts';

/** What is said between the page and the worker. All but the first message go over a MessagePort. */

export const CONNECT = 'webgpu-bert/connect';

/** The first message, to the worker itself; its one port is the worker's end of the conversation. */
export interface Connect {
  readonly type: typeof CONNECT;
  /** The name of a Web Lock that the worker holds for as long as it lives. */
  readonly lock: string;
}

/** The number of an object that the worker holds for the page. */
export type Handle = number;

/** What the page says. */
export type Request =
  | {
      readonly type: 'call';
      readonly call: number;
      /** An object of the worker, or one of the library's exports by its name. */
      readonly of: Handle | string;
      readonly method: string;
      /** A list. */
      readonly values: Packed<Passed>;
      /** Settings of `env` that are changed before the call. */
      readonly settings?: Partial<Environment>;
    }
  | { readonly type: 'abort'; readonly call: number }
  | { readonly type: 'set'; readonly of: Handle; readonly name: string; readonly value: Packed<Passed> }
  /** The page has no reference to the object any more, or `disposes` of it, which it never had. */
  | { readonly type: 'release'; readonly of: Handle; readonly disposes: boolean };

/** What the worker says. */
export type Reply =
  /** It runs. `isLocked`: whether it holds the lock. */
  | { readonly type: 'ready'; readonly isLocked: boolean }
  | { readonly type: 'result'; readonly call: number; readonly value: Packed<Description> }
  | { readonly type: 'error'; readonly call: number; readonly error: Packed<Description> }
  /** Function number `callback` of a call's arguments is called with these. */
  | {
      readonly type: 'callback';
      readonly call: number;
      readonly callback: number;
      readonly values: Packed<Description>;
    }
  /** An object of the worker has told an event, after which its properties may have changed. */
  | {
      readonly type: 'event';
      readonly of: Handle;
      readonly event: string;
      readonly detail: Packed<Description>;
      readonly properties: Packed<Description>;
    };

/** What of the arguments of a call stays on the page: the number of a function, or a signal; or stands for an object of the worker. */
export type Passed = { readonly callback: number } | { readonly signal: true } | { readonly object: Handle };

/** An object that stays in the worker, as the page needs to know it. */
export interface Description {
  readonly of: Handle;
  /** Whether it is a function, too. */
  readonly isCallable: boolean;
  readonly methods: readonly string[];
  /** The events that it tells; none where it is no EventTarget. */
  readonly events: readonly string[];
  /** An object: its own properties, and those that are computed. One that throws is its error. */
  readonly properties: Packed<Description>;
  /** The names of the properties that throw. */
  readonly throwing: readonly string[];
}
