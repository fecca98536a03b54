import { oneOf } from '../errors.ts';
import { Fields } from '../json.ts';
import { TOKENIZER_FILE } from './json-files.ts';

/**
 * Builds one component of a tokenizer.json by its `type` from the kinds that are supported.
 * @param missing stands for a component that is null or not there
 */
export function build<T>(value: unknown, where: string, kinds: Record<string, (config: Fields) => T>, missing?: T): T {
  if (missing !== undefined && (value === null || value === undefined)) return missing;
  const config = new Fields(value, where, TOKENIZER_FILE);
  const kind = kinds[oneOf(`the tokenizer's ${where}`, config.text('type'), Object.keys(kinds))]!;
  if (depth === MOST_DEPTH) throw config.malformed(`more than ${MOST_DEPTH} of them in each other`, 'fewer', 'type');
  depth++;
  try {
    return kind(config);
  } finally {
    depth--;
  }
}

/** A Sequence may hold others. The Rust tokenizers read no JSON that is nested more deeply than this, brackets counted. */
const MOST_DEPTH = 127;
/** In how many components that are being built the next one is. */
let depth = 0;

/** The steps of a component of the type Sequence, one after the other. */
export const inTurn =
  <T>(steps: readonly ((value: T) => T)[]) =>
  (value: T): T =>
    steps.reduce((done, step) => step(done), value);
