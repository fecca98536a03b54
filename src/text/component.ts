import { oneOf } from '../errors.ts';
import { Fields } from '../json.ts';

/**
 * Components of the type Sequence may hold others. The Rust tokenizers read no JSON that is nested more deeply than this, brackets
 * counted.
 */
const MAX_DEPTH = 127;

/** How many components are being built at this moment, each inside the one before. */
let depth = 0;

/**
 * Builds one component of a tokenizer.json with the builder that `builders` has for its `type`.
 * @param missing the result for a component that is null or missing; without it, such a component is an error
 */
export function build<T>(
  value: unknown,
  where: string,
  builders: Record<string, (config: Fields) => T>,
  missing?: T,
): T {
  if (missing !== undefined && (value === null || value === undefined)) return missing;
  const config = new Fields(value, where);
  const type = oneOf(`the tokenizer's ${where}`, config.text('type'), Object.keys(builders));
  if (depth === MAX_DEPTH) throw config.malformed(`more than ${MAX_DEPTH} of them in each other`, 'fewer', 'type');
  depth++;
  try {
    return builders[type]!(config);
  } finally {
    depth--;
  }
}

/** The steps of a component of the type Sequence as one function, which applies them in order. */
export const inTurn =
  <T>(steps: readonly ((value: T) => T)[]) =>
  (value: T): T =>
    steps.reduce((result, step) => step(result), value);
