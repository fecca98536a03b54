import { UnsupportedError } from '../errors.ts';
import { Fields } from '../fields.ts';

/** Builds one component of a tokenizer.json by its `type` from the kinds that are supported. */
export function build<T>(value: unknown, where: string, kinds: Record<string, (config: Fields) => T>): T {
  const config = new Fields(value, where);
  const type = config.text('type');
  if (Object.hasOwn(kinds, type)) return kinds[type]!(config);
  throw new UnsupportedError({
    what: `the tokenizer's ${where} is not supported`,
    actual: type,
    supported: Object.keys(kinds),
  });
}
