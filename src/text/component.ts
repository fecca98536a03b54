import { SourceError, UnsupportedError } from '../errors.ts';

/** An object of tokenizer.json, not looked into yet. */
export type Json = Record<string, unknown>;

export function malformed(what: string, actual: unknown, expected: string): SourceError {
  return new SourceError({
    file: 'tokenizer.json',
    what: `tokenizer.json is malformed: ${what}`,
    actual: describe(actual),
    expected,
    next: 'Download the file again, or save it again with the Python tokenizers.',
  });
}

/** A value in few words, for messages. */
export function describe(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (typeof value === 'object') return `an object ({ ${Object.keys(value).slice(0, 4).join(', ')} })`;
  return typeof value === 'string' ? JSON.stringify(value.slice(0, 40)) : `${typeof value} ${String(value)}`;
}

export function record(value: unknown, where: string): Json {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw malformed(where, value, 'an object');
  return value as Json;
}

export function list(value: unknown, where: string): readonly unknown[] {
  if (!Array.isArray(value)) throw malformed(where, value, 'an array');
  return value;
}

export function text(value: unknown, where: string): string {
  if (typeof value !== 'string') throw malformed(where, value, 'a string');
  return value;
}

export function integer(value: unknown, where: string): number {
  if (!Number.isSafeInteger(value) || (value as number) < 0) throw malformed(where, value, 'a whole number');
  return value as number;
}

/** An object of tokenizer.json whose fields are read one by one; `missing` stands for one that is missing or null. */
export class Component {
  readonly json: Json;
  /** Its place in the file, which the errors name. */
  readonly where: string;

  constructor(value: unknown, where: string) {
    this.json = record(value, where);
    this.where = where;
  }

  has(key: string): boolean {
    return (this.json[key] ?? null) !== null;
  }

  text(key: string, missing?: string): string {
    return text(this.json[key] ?? missing ?? this.json[key], `${this.where}.${key}`);
  }

  integer(key: string, missing?: number): number {
    return integer(this.json[key] ?? missing ?? this.json[key], `${this.where}.${key}`);
  }

  list(key: string): readonly unknown[] {
    return list(this.json[key], `${this.where}.${key}`);
  }

  flag(key: string, missing: boolean): boolean {
    const value = this.json[key] ?? missing;
    if (typeof value !== 'boolean') throw malformed(`${this.where}.${key}`, value, 'true or false');
    return value;
  }
}

/** Builds one component by its `type` from the kinds that are supported. */
export function build<T>(value: unknown, where: string, kinds: Record<string, (config: Component) => T>): T {
  const config = new Component(value, where);
  const type = config.text('type');
  const make = Object.hasOwn(kinds, type) ? kinds[type] : undefined;
  if (make === undefined) {
    throw new UnsupportedError({
      what: `the tokenizer's ${where} is not supported`,
      actual: type,
      supported: Object.keys(kinds),
      next: 'Use a tokenizer of these parts, or ask for this one in the issue tracker.',
    });
  }
  return make(config);
}
