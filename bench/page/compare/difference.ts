export interface Difference {
  /** Of the numbers; 0 where there are none. */
  most: number;
  /** The first place where the two differ in more than a number's value. */
  kind?: string;
}

/** Compares two nested values: numbers by their distance, relative to them where they are above 1; everything else for being equal. */
export function difference(a: unknown, b: unknown, path = 'result'): Difference {
  if (isNumber(a) && isNumber(b)) {
    if (typeof a !== typeof b) return { most: 0, kind: `${path}: ${typeof a} and ${typeof b}` };
    const distance = Math.abs(Number(a) - Number(b)) / Math.max(1, Math.abs(Number(b)));
    return Number.isNaN(distance) ? { most: 0, kind: `${path}: ${a} and ${b}` } : { most: distance };
  }
  if (typeof a === 'object' && typeof b === 'object' && a !== null && b !== null) {
    const keys = Object.keys(a);
    if (keys.join() !== Object.keys(b).join())
      return { most: 0, kind: `${path}: [${brief(keys)}] and [${brief(Object.keys(b))}]` };
    let most = 0;
    let kind: string | undefined;
    for (const key of keys) {
      const inner = difference((a as Fields)[key], (b as Fields)[key], `${path}.${key}`);
      most = Math.max(most, inner.most);
      kind ??= inner.kind;
    }
    return { most, ...(kind !== undefined && { kind }) };
  }
  return Object.is(a, b) ? { most: 0 } : { most: 0, kind: `${path}: ${shown(a)} and ${shown(b)}` };
}

type Fields = Record<string, unknown>;
const isNumber = (value: unknown): value is number | bigint => typeof value === 'number' || typeof value === 'bigint';
const brief = (keys: readonly string[]) => (keys.length > 6 ? `${keys.length} entries` : keys.join(', '));
const shown = (value: unknown) =>
  JSON.stringify(value, (_, inner) => (typeof inner === 'bigint' ? Number(inner) : inner))?.slice(0, 120);
