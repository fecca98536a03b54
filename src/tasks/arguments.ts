import { oneOf, wrong } from '../errors.ts';

export { checkNames } from '../errors.ts';

/** A whole number of at least `least`, and of `most` at most; the fallback where it is undefined. */
export function count(name: string, value: unknown, fallback: number, least = 1, most = Number.MAX_SAFE_INTEGER) {
  const number = value ?? fallback;
  if (typeof number === 'number' && Number.isSafeInteger(number) && number >= least && number <= most) return number;
  const expected = `a whole number of at least ${least}`;
  throw wrong(name, value, most < Number.MAX_SAFE_INTEGER ? `${expected} and at most ${most}` : expected);
}

/** true or false; the fallback where it is undefined. */
export function flag(name: string, value: unknown, fallback: boolean): boolean {
  const on = value ?? fallback;
  if (typeof on === 'boolean') return on;
  throw wrong(name, value, 'true or false');
}

/** One of some names; the fallback where it is undefined or null. */
export function choice<Name extends string>(
  name: string,
  value: unknown,
  names: readonly Name[],
  fallback: Name,
): Name {
  return oneOf(name, value ?? fallback, names);
}

export function text(name: string, value: unknown): string {
  if (typeof value === 'string') return value;
  throw wrong(name, value, 'a string');
}

/** A text or a list of texts, as a list of what `item` makes of each. Throws InputError for an empty list. */
export function textList<T>(texts: unknown, item: (name: string, value: unknown) => T): T[] {
  if (!Array.isArray(texts)) return [item('the text', texts)];
  if (texts.length === 0) throw wrong('the list of texts', texts, 'at least one text');
  return texts.map((each, i) => item(`text ${i} of ${texts.length}`, each));
}

/** A list that is not empty, every item checked by `item`. */
export function listOf<T>(name: string, value: unknown, item: (name: string, value: unknown) => T): T[] {
  if (Array.isArray(value) && value.length > 0) return value.map((each, i) => item(`${name}[${i}]`, each));
  throw wrong(name, value, 'a list that is not empty');
}
