import { type Complaint, describe, SourceError } from './errors.ts';

/** An object of a JSON file, not looked into yet. */
export type Json = Record<string, unknown>;

/** The class of the error for a file with a value that it should not have. */
export type Kind = new (complaint: Complaint & { file: string }) => Error;

export const isText = (value: unknown): value is string => typeof value === 'string';
export const isWhole = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
export const isRecord = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/**
 * The error for a value of a JSON file. The file was read whole and is JSON, so what it says is what its author wrote: to
 * download it again would change nothing.
 */
export function malformed(
  where: string,
  actual: unknown,
  expected: string,
  file = 'tokenizer.json',
  kind: Kind = SourceError,
  next = remedy(file),
): Error {
  const what = where === '' ? `${file} is malformed` : `${file} is malformed: ${where}`;
  return new kind({ file, what, actual: describe(actual), expected, next });
}

/** What can be done about a value that this library does not read. */
const remedy = (file: string): string =>
  file.startsWith('tokenizer')
    ? 'Save the tokenizer again with save_pretrained of a current transformers; where Python reads this file, please report it.'
    : `Correct the value in a copy of ${file}; where Python reads the file as it is, please report it.`;

/** An object of a JSON file whose fields are read one by one; `missing` stands for one that is missing or null. */
export class Fields {
  readonly json: Json;
  readonly #where: string;
  readonly #file: string | undefined;
  readonly #kind: Kind | undefined;

  /** @param where its place in the file, which the errors name */
  constructor(value: unknown, where: string, file?: string, kind?: Kind) {
    this.#where = where;
    this.#file = file;
    this.#kind = kind;
    if (!isRecord(value)) throw this.malformed(value, 'an object');
    this.json = value;
  }

  malformed(actual: unknown, expected: string, key?: string): Error {
    const where = [this.#where, key].filter(Boolean).join('.');
    return malformed(where, actual, expected, this.#file, this.#kind);
  }

  has(key: string): boolean {
    return (this.json[key] ?? null) !== null;
  }

  /** The value of a field that is what it should be. */
  get<T>(key: string, is: (value: unknown) => value is T, expected: string, missing?: T): T {
    const value = this.json[key] ?? missing;
    if (is(value)) return value;
    throw this.malformed(this.json[key], expected, key);
  }

  text(key: string, missing?: string): string {
    return this.get(key, isText, 'a string', missing);
  }

  integer(key: string, missing?: number, least = 0, most = Number.MAX_SAFE_INTEGER): number {
    const is = (value: unknown): value is number =>
      Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most;
    const range = most < Number.MAX_SAFE_INTEGER ? `from ${least} to ${most}` : `of at least ${least}`;
    return this.get(key, is, `a whole number ${range}`, missing);
  }

  list(key: string, missing?: unknown[]): unknown[] {
    return this.get<unknown[]>(key, Array.isArray, 'a list', missing);
  }

  flag(key: string, missing: boolean): boolean {
    return this.get(key, value => typeof value === 'boolean', 'true or false', missing);
  }

  fields(key: string): Fields {
    return new Fields(this.json[key], `${this.#where}.${key}`, this.#file, this.#kind);
  }
}
