/** An object that can be called: calling it calls this method. */
interface CallableObject {
  _call(...values: unknown[]): unknown;
}

/**
 * A base class whose instances are functions, as in transformers.js: `await model(inputs)` calls `model._call(inputs)`. The function is
 * an arrow function and is not made from text, so a page's Content-Security-Policy needs no exception. A class whose calls have a type
 * extends `Callable as new () => Signature`.
 */
export const Callable = function (): CallableObject {
  const self: CallableObject = Object.setPrototypeOf(
    (...values: unknown[]) => self._call(...values),
    new.target.prototype,
  );
  return self;
} as unknown as new () => object;
