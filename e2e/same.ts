/**
 * Whether two values are the same, told exactly: NaN is not null, -0 is not 0, a field that is undefined is not one that is missing,
 * and a list is no typed array. Compares by what they hold, never by their text.
 */

type Typed =
  | Int8Array
  | Uint8Array
  | Uint8ClampedArray
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | Float32Array
  | Float64Array
  | BigInt64Array
  | BigUint64Array;

const isTyped = (value: unknown): value is Typed => ArrayBuffer.isView(value) && !(value instanceof DataView);

const bytesOf = ({ buffer, byteOffset, byteLength }: Typed) => new Uint8Array(buffer, byteOffset, byteLength);

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null;

const kindOf = (value: object): string => Object.getPrototypeOf(value)?.constructor?.name ?? 'object without prototype';

/** A value for a message; what JSON leaves out or makes equal is spelled out. */
export function shown(value: unknown): string {
  if (typeof value === 'number') return Object.is(value, -0) ? '-0' : String(value);
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value === 'string') return JSON.stringify(value);
  if (value === undefined || value === null || typeof value !== 'object') return String(value);
  if (isTyped(value) || Array.isArray(value)) {
    const list = Array.from(value as ArrayLike<unknown>).slice(0, 8);
    const more = value.length > 8 ? `, … ${value.length} in all` : '';
    return `${isTyped(value) ? kindOf(value) : ''}[${list.map(shown).join(', ')}${more}]`;
  }
  if (value instanceof Error) return `${value.name}: ${value.message}`;
  if (value instanceof Map || value instanceof Set) return `${kindOf(value)}${shown([...value])}`;
  const fields = Object.entries(value).slice(0, 8);
  return `${kindOf(value) === 'Object' ? '' : kindOf(value)}{${fields.map(([key, field]) => `${key}: ${shown(field)}`).join(', ')}}`;
}

/** The first place where two values are not the same, and how; undefined where there is none. */
export function difference(actual: unknown, expected: unknown, at = ''): string | undefined {
  const differ = (how: string) => `${at ? `at ${at}: ` : ''}${how}`;
  if (!isObject(actual) || !isObject(expected)) {
    return Object.is(actual, expected) ? undefined : differ(`got ${shown(actual)}, expected ${shown(expected)}`);
  }
  if (actual === expected) return undefined;
  if (Object.getPrototypeOf(actual) !== Object.getPrototypeOf(expected)) {
    return differ(`got ${kindOf(actual)} ${shown(actual)}, expected ${kindOf(expected)} ${shown(expected)}`);
  }
  if (isTyped(actual)) return bitDifference(actual, expected as Typed, at);
  if (Array.isArray(actual)) return listDifference(actual, expected as unknown[], at);
  if (actual instanceof Map) {
    const [mine, theirs] = [[...actual], [...(expected as Map<unknown, unknown>)]];
    return listDifference(mine, theirs, `${at}(entries)`);
  }
  if (actual instanceof Set) return listDifference([...actual], [...(expected as Set<unknown>)], `${at}(members)`);
  if (actual instanceof Error) {
    const other = expected as Error;
    if (actual.name !== other.name || actual.message !== other.message) {
      return differ(`got ${shown(actual)}, expected ${shown(other)}`);
    }
  }
  const [mine, theirs] = [Object.keys(actual), Object.keys(expected)];
  const odd = [...mine.filter(key => !theirs.includes(key)), ...theirs.filter(key => !mine.includes(key))];
  if (odd.length > 0) return differ(`got the fields ${shown(mine)}, expected ${shown(theirs)}`);
  for (const key of theirs) {
    const found = difference(actual[key as never], expected[key as never], at ? `${at}.${key}` : key);
    if (found) return found;
  }
  return undefined;
}

function listDifference(actual: readonly unknown[], expected: readonly unknown[], at: string): string | undefined {
  if (actual.length !== expected.length) {
    return `${at ? `at ${at}: ` : ''}got ${actual.length} elements ${shown(actual)}, expected ${expected.length} ${shown(expected)}`;
  }
  for (let i = 0; i < expected.length; i++) {
    if (i in actual !== i in expected) return `at ${at}[${i}]: a hole in one of the two`;
    const found = difference(actual[i], expected[i], `${at}[${i}]`);
    if (found) return found;
  }
  return undefined;
}

/** Of one type: bit by bit, so also the bits of a NaN. */
function bitDifference(actual: Typed, expected: Typed, at: string): string | undefined {
  if (actual.length !== expected.length) {
    return `${at ? `at ${at}: ` : ''}got ${actual.length} elements ${shown(actual)}, expected ${expected.length} ${shown(expected)}`;
  }
  const [mine, theirs] = [bytesOf(actual), bytesOf(expected)];
  const off = mine.findIndex((byte, i) => byte !== theirs[i]);
  if (off < 0) return undefined;
  const i = Math.floor(off / actual.BYTES_PER_ELEMENT);
  const bits = (of: Uint8Array) => {
    const own = of.subarray(i * actual.BYTES_PER_ELEMENT, (i + 1) * actual.BYTES_PER_ELEMENT);
    return `0x${Array.from(own, byte => byte.toString(16).padStart(2, '0'))
      .reverse()
      .join('')}`;
  };
  return `at ${at}[${i}]: got ${shown(actual[i])} (${bits(mine)}), expected ${shown(expected[i])} (${bits(theirs)})`;
}

/** The first number in a value that is NaN or infinite, with its place; undefined where all are finite. */
export function notFinite(value: unknown, at = ''): string | undefined {
  if (typeof value === 'number') return Number.isFinite(value) ? undefined : `${at || 'it'} is ${value}`;
  if (!isObject(value)) return undefined;
  if (isTyped(value)) {
    for (let i = 0; i < value.length; i++) {
      const each = value[i]!;
      if (typeof each === 'number' && !Number.isFinite(each)) return `${at}[${i}] is ${each}`;
    }
    return undefined;
  }
  const entries: Iterable<[unknown, unknown]> =
    value instanceof Map || Array.isArray(value) ? value.entries() : Object.entries(value);
  for (const [key, each] of entries) {
    const found = notFinite(each, `${at}[${String(key)}]`);
    if (found) return found;
  }
  return undefined;
}

/** Whether there is any number in a value. */
export function holdsNumbers(value: unknown): boolean {
  if (typeof value === 'number' || typeof value === 'bigint') return true;
  if (!isObject(value)) return false;
  if (isTyped(value)) return value.length > 0;
  return [...(value instanceof Map ? value.values() : Object.values(value))].some(holdsNumbers);
}
