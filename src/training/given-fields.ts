import { describe, InputError, oneOf, wrong } from '../errors.ts';

interface NumberBounds {
  /** The least number that is allowed. */
  readonly min?: number;
  /** Numbers are below this one. */
  readonly below?: number;
  /** The greatest number that is allowed. */
  readonly max?: number;
}

/** What somebody gave as the fields of an object: each is read once, checked, and has a default. undefined and null are not given. */
export class GivenFields {
  readonly #given: Readonly<Record<string, unknown>>;
  /** What the fields belong to, for errors. */
  readonly #owner: string;

  constructor(owner: string, given: unknown) {
    const fields = given ?? {};
    if (typeof fields !== 'object' || Array.isArray(fields)) throw wrong(owner, given, 'an object of fields');
    this.#owner = owner;
    this.#given = fields as Record<string, unknown>;
  }

  /** Throws InputError, with all names, for a field that is none of them; `advice` has a sentence on some of those. */
  checkNames(names: readonly string[], advice: Readonly<Record<string, string>> = {}): void {
    for (const name of Object.keys(this.#given)) {
      if (names.includes(name)) continue;
      throw new InputError({
        what: `${this.#owner} has no field "${name}"`,
        expected: `some of ${names.join(', ')}`,
        next: Object.hasOwn(advice, name) ? advice[name] : undefined,
      });
    }
  }

  /** The value of a field as it was given; undefined for null. */
  value(name: string): unknown {
    return this.#given[name] ?? undefined;
  }

  /** A finite number. Throws InputError. */
  number(name: string, fallback: number, bounds: NumberBounds = {}): number {
    const value = this.value(name) ?? fallback;
    const { min = Number.NEGATIVE_INFINITY, below = Number.POSITIVE_INFINITY, max = Number.POSITIVE_INFINITY } = bounds;
    const isFine = typeof value === 'number' && Number.isFinite(value) && value >= min && value < below && value <= max;
    if (isFine) return value;
    throw wrong(name, value, `a number${inWords(bounds)}`);
  }

  /** A whole number of at least `min`. Throws InputError. */
  count(name: string, fallback: number, min = 1): number {
    const value = this.value(name) ?? fallback;
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= min) return value;
    throw wrong(name, value, `a whole number of at least ${min}`);
  }

  /** A whole number of steps, or a share of all steps below 1. Throws InputError. */
  steps(name: string, fallback: number, { mayBeZero = false }: { mayBeZero?: boolean } = {}): number {
    const value = this.value(name) ?? fallback;
    const isShare = typeof value === 'number' && value < 1 && (value > 0 || (mayBeZero && value === 0));
    if (isShare || (Number.isSafeInteger(value) && (value as number) >= 1)) return value as number;
    throw wrong(name, value, 'a whole number of steps, or a share of all steps between 0 and 1');
  }

  /** true or false. Throws InputError. */
  flag(name: string, fallback: boolean): boolean {
    const value = this.value(name) ?? fallback;
    if (typeof value === 'boolean') return value;
    throw wrong(name, value, 'true or false');
  }

  /** One of several values. Throws UnsupportedError with the list. */
  choice<T>(name: string, fallback: T, choices: readonly T[], next?: string): T {
    return oneOf(name, this.value(name) ?? fallback, choices, next);
  }

  /** A string that is not empty, or undefined. Throws InputError. */
  text(name: string): string | undefined {
    const value = this.value(name);
    if (value === undefined || (typeof value === 'string' && value !== '')) return value;
    throw wrong(name, value, 'a string that is not empty');
  }
}

function inWords({ min, below, max }: NumberBounds): string {
  const parts = [
    ...(min === undefined ? [] : [`of at least ${min}`]),
    ...(below === undefined ? [] : [`below ${below}`]),
    ...(max === undefined ? [] : [`of at most ${max}`]),
  ];
  return parts.length === 0 ? '' : ` ${parts.join(' and ')}`;
}

/** A regular expression of somebody's, from its source. Throws InputError where it is none. */
export function patternOf(name: string, source: string): RegExp {
  try {
    return new RegExp(source);
  } catch (cause) {
    throw new InputError({
      what: `${name} is wrong`,
      actual: describe(source),
      expected: 'the source of a regular expression',
      cause,
    });
  }
}
