/** What a callable object is: it has the method that calling it calls. */
interface Called {
  _call(...values: unknown[]): unknown;
}

/**
 * A base class whose instances are functions, as transformers.js's: `await model(inputs)` calls `model._call(inputs)`. No code is
 * made from text, so a page's Content-Security-Policy needs no exception. `Callable as new () => Signature` says what a call is.
 */
export const Callable = function (this: unknown) {
  const self: Called = Object.setPrototypeOf((...values: unknown[]) => self._call(...values), new.target.prototype);
  return self;
} as unknown as new () => object;
