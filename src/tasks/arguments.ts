import { oneOf, wrong } from '../errors.ts';

/** Checks one argument, of which `name` stands in the error. */
type Check<T> = (name: string, value: unknown) => T;

/** A whole number from `min` (default: 1) to `max`; `fallback` where it is undefined or null. Throws InputError. */
export function count(
  name: string,
  value: unknown,
  { fallback, min = 1, max = Number.MAX_SAFE_INTEGER }: { fallback: number; min?: number; max?: number },
): number {
  const number = value ?? fallback;
  if (typeof number === 'number' && Number.isSafeInteger(number) && number >= min && number <= max) return number;
  const expected = `a whole number of at least ${min}`;
  throw wrong(name, value, max < Number.MAX_SAFE_INTEGER ? `${expected} and at most ${max}` : expected);
}

/** true or false; `fallback` where it is undefined or null. Throws InputError. */
export function flag(name: string, value: unknown, fallback: boolean): boolean {
  const isOn = value ?? fallback;
  if (typeof isOn === 'boolean') return isOn;
  throw wrong(name, value, 'true or false');
}

/** One of several names; `fallback` where it is undefined or null. Throws UnsupportedError with the list. */
export function choice<Name extends string>(
  name: string,
  value: unknown,
  { names, fallback }: { names: readonly Name[]; fallback: Name },
): Name {
  return oneOf(name, value ?? fallback, names);
}

/** A string, the empty one included. Throws InputError. */
export function string(name: string, value: unknown): string {
  if (typeof value === 'string') return value;
  throw wrong(name, value, 'a string');
}

/** A text or a list of texts -> the list of what `check` returns for each. Throws InputError for an empty list. */
export function textList<T>(texts: unknown, check: Check<T>): T[] {
  if (!Array.isArray(texts)) return [check('the text', texts)];
  if (texts.length === 0) throw wrong('the list of texts', texts, 'at least one text');
  return texts.map((text, i) => check(`text ${i} of ${texts.length}`, text));
}

/** A list of at least one item -> the list of what `check` returns for each. Throws InputError. */
export function listOf<T>(name: string, value: unknown, check: Check<T>): T[] {
  if (Array.isArray(value) && value.length > 0) return value.map((item, i) => check(`${name}[${i}]`, item));
  throw wrong(name, value, 'a list that is not empty');
}
