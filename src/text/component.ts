import { oneOf } from '../errors.ts';
import { Fields } from '../fields.ts';

/** Builds one component of a tokenizer.json by its `type` from the kinds that are supported. */
export function build<T>(value: unknown, where: string, kinds: Record<string, (config: Fields) => T>): T {
  const config = new Fields(value, where);
  return kinds[oneOf(`the tokenizer's ${where}`, config.text('type'), Object.keys(kinds))]!(config);
}
