/** The same function, which makes the result for equal arguments once. The first counts by its identity where it is made by one of these. */
export function once<Args extends readonly unknown[], R>(make: (...args: Args) => R): (...args: Args) => R {
  const made = new Map<string, R>();
  const numbers = new WeakMap<object, number>();
  let count = 0;
  const keyOf = (value: unknown): string => {
    if (typeof value !== 'object' || value === null || !('ops' in value)) return JSON.stringify(value) ?? '';
    const number = numbers.get(value) ?? count++;
    numbers.set(value, number);
    return `#${number}`;
  };
  return (...args) => {
    const key = args.map(keyOf).join();
    if (!made.has(key)) made.set(key, make(...args));
    return made.get(key)!;
  };
}
