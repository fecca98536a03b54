import type { ModelSource } from '../checkpoint/source/index.ts';
import { oneOf, wrong } from '../errors.ts';
import { isRecord, isText, isWhole, type Json } from '../json.ts';
import { labelsOf, MAX_COLUMNS, PROBLEM_TYPES } from '../model/index.ts';
import { checkSeed } from '../random.ts';
import type { NewHeadOptions } from './options.ts';

/** Python's usual seed. */
const SEED = 42;

/** The seed that was given, or the usual one. Throws InputError. */
export const seedOf = ({ seed }: Pick<NewHeadOptions, 'seed'>): number => checkSeed('seed', seed ?? SEED);

const isGiven = (value: unknown): boolean => value !== undefined && value !== null;

/** Whether the options ask for a head that the checkpoint may lack. */
export const asksForHead = ({ num_labels, id2label, label2id, seed }: NewHeadOptions): boolean =>
  [num_labels, id2label, label2id, seed].some(isGiven);

/**
 * Returns a function that changes what config.json says of the classes, as the options do in Python: there `id2label` counts, and
 * `num_labels` is its length. Throws InputError where the options disagree.
 */
export function labelChange({ num_labels, id2label, label2id, problem_type }: NewHeadOptions): (config: Json) => Json {
  const names = id2label
    ? namesOf('id2label', id2label)
    : label2id
      ? namesOf('label2id', swapped(label2id))
      : undefined;
  const count = num_labels ?? names?.length;
  if (count !== undefined && !(isWhole(count) && count > 0 && count <= MAX_COLUMNS)) {
    throw wrong('num_labels', count, `a whole number from 1 to ${MAX_COLUMNS}`);
  }
  if (names && count !== names.length) {
    throw wrong('num_labels', count, `${names.length}, as many as there are names of classes`);
  }
  if (id2label && label2id && names!.some((name, id) => label2id[name] !== id)) {
    throw wrong('label2id', label2id, 'the ids by the names of id2label');
  }
  const problem = isGiven(problem_type) ? { problem_type: oneOf('problem_type', problem_type, PROBLEM_TYPES) } : {};
  return config => {
    if (count === undefined) return { ...config, ...problem };
    const present = labelsOf(config);
    const all = names ?? (present.length === count ? present : Array.from({ length: count }, (_, id) => `LABEL_${id}`));
    const entries = all.flatMap((name, id) => (name === undefined ? [] : [[id, name] as const]));
    return {
      ...config,
      // A file that counts the classes has to go on doing so.
      ...('num_labels' in config && { num_labels: count }),
      id2label: Object.fromEntries(entries),
      label2id: Object.fromEntries(entries.map(([id, name]) => [name, id])),
      ...problem,
    };
  };
}

/** The names by their ids as a list. Throws InputError where these are not 0, 1, 2, ..., or a name is none or stands twice. */
function namesOf(option: string, id2label: unknown): string[] {
  const entries = typeof id2label === 'object' && id2label !== null ? Object.entries(id2label) : [];
  const names = entries.map((_, id) => (id2label as Json)[id]);
  if (names.length > 0 && names.every(isText) && new Set(names).size === names.length) return names;
  throw wrong(option, id2label, 'names, each of its own, with the ids 0, 1, 2, ...');
}

/** The names by their ids; nothing where two have the same one. */
function swapped(label2id: object): Json {
  const entries = Object.entries(label2id);
  const names = Object.fromEntries(entries.map(([name, id]) => [String(id), name]));
  return Object.keys(names).length === entries.length ? names : {};
}

/** A source whose config.json is changed when it is read. */
export const withConfig = (source: ModelSource, change: (config: Json) => Json): ModelSource => ({
  name: source.name,
  open: (file, options) => source.open(file, options),
  async json(file, options) {
    const json = await source.json(file, options);
    // Whatever else it is, whoever reads it says that it is malformed.
    return file === 'config.json' && isRecord(json) ? change(json) : json;
  },
});

/** The files of a model that has a configuration alone. Throws InputError where that is none. */
export function filesOfConfig(config: object): Record<string, Uint8Array<ArrayBuffer>> {
  if (!isRecord(config)) throw wrong('config', config, 'an object with the fields of a config.json');
  // transformers.js adds it to what the file says.
  const { normalized_config: _, ...fields } = config;
  const header = new TextEncoder().encode('{}');
  const weights = new Uint8Array(8 + header.length);
  weights[0] = header.length;
  weights.set(header, 8);
  let json: string;
  try {
    json = JSON.stringify(fields);
  } catch {
    throw wrong('config', config, 'an object that can be written as JSON');
  }
  return { 'config.json': new TextEncoder().encode(json), 'model.safetensors': weights };
}
