import { type Complaint, describe, SourceError } from './errors.ts';

/** An object of a JSON file whose fields have not been validated yet. */
export type Json = Record<string, unknown>;

/** A JSON file that values are read from, as far as the errors about these values need to know it. */
export interface JsonFile {
  readonly name: string;
  /** The class of the errors. Default: SourceError. */
  readonly error?: new (
    complaint: Complaint & { file: string },
  ) => Error;
  /** What to do about a value that this library does not read. Default: correct it in a copy of the file. */
  readonly next?: string;
}

export const isText = (value: unknown): value is string => typeof value === 'string';
export const isWhole = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
export const isRecord = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

interface Malformed {
  /** The path of the value in the file; empty for the whole file. */
  where: string;
  actual: unknown;
  /** What would have been right, in words. */
  expected: string;
  next?: string | undefined;
}

/**
 * The error for a value of a JSON file. The file arrived whole and is JSON, so the value is what its author wrote: downloading it again
 * would change nothing.
 */
export function malformed({ name, error = SourceError, next }: JsonFile, value: Malformed): Error {
  return new error({
    file: name,
    what: value.where === '' ? `${name} is malformed` : `${name} is malformed: ${value.where}`,
    actual: describe(value.actual),
    expected: value.expected,
    next:
      value.next ??
      next ??
      `Correct the value in a copy of ${name}; where Python reads the file as it is, please report it.`,
  });
}

/** The bounds of a whole number, both included. Default: 0 and the largest safe integer. */
interface Range {
  min?: number;
  max?: number;
}

/** An object of a JSON file whose fields are read one by one. A default `missing` stands in for a field that is absent or null. */
export class Fields {
  readonly json: Json;
  readonly #where: string;
  readonly #file: JsonFile;

  /** @param where its path in the file, for errors; empty for the whole file */
  constructor(value: unknown, where: string, file: JsonFile | string) {
    this.#where = where;
    this.#file = isText(file) ? { name: file } : file;
    if (!isRecord(value)) throw this.malformed(value, 'an object');
    this.json = value;
  }

  malformed(actual: unknown, expected: string, key?: string): Error {
    const where = [this.#where, key].filter(Boolean).join('.');
    return malformed(this.#file, { where, actual, expected });
  }

  has(key: string): boolean {
    return (this.json[key] ?? null) !== null;
  }

  /** The value of a field of the type that `is` tests for. */
  get<T>(key: string, is: (value: unknown) => value is T, expected: string, missing?: T): T {
    const value = this.json[key] ?? missing;
    if (is(value)) return value;
    throw this.malformed(this.json[key], expected, key);
  }

  text(key: string, missing?: string): string {
    return this.get(key, isText, 'a string', missing);
  }

  integer(key: string, missing?: number, { min = 0, max = Number.MAX_SAFE_INTEGER }: Range = {}): number {
    const is = (value: unknown): value is number =>
      Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max;
    const range = max < Number.MAX_SAFE_INTEGER ? `from ${min} to ${max}` : `of at least ${min}`;
    return this.get(key, is, `a whole number ${range}`, missing);
  }

  list(key: string, missing?: unknown[]): unknown[] {
    return this.get<unknown[]>(key, Array.isArray, 'a list', missing);
  }

  flag(key: string, missing: boolean): boolean {
    return this.get(key, value => typeof value === 'boolean', 'true or false', missing);
  }

  fields(key: string): Fields {
    return new Fields(this.json[key], [this.#where, key].filter(Boolean).join('.'), this.#file);
  }
}
