import { describe, InputError } from '../errors.ts';
import { PROBLEM_TYPES, type ProblemType } from '../model/index.ts';
import { IGNORED_LABEL } from './example.ts';

export type { ProblemType };

type Labels = readonly (string | undefined)[];

interface Context {
  /** The names of the classes. */
  readonly labels: Labels;
  /** The place of the record, for errors. */
  readonly index: number;
}

/**
 * The problem type of config.json; without one, as transformers concludes it: one class is a regression, a list of labels several that may
 * hold at once. Throws InputError for one that there is not.
 */
export function problemTypeOf(
  { problemType, labels }: { readonly problemType: string | undefined; readonly labels: Labels },
  label: unknown,
  index: number,
): ProblemType {
  if (problemType !== undefined) {
    const known = PROBLEM_TYPES.find(each => each === problemType);
    if (known) return known;
    throw new InputError({
      what: 'problem_type of the model is wrong',
      actual: describe(problemType),
      expected: `one of ${PROBLEM_TYPES.join(', ')}`,
    });
  }
  if (labels.length === 0) {
    throw new InputError({
      what: `record ${index} has a label, and the model no classes`,
      actual: describe(label),
      next: 'Load the model with num_labels or id2label.',
    });
  }
  if (labels.length === 1) return 'regression';
  return Array.isArray(label) ? 'multi_label_classification' : 'single_label_classification';
}

const classesInWords = (labels: Labels): string => {
  const names = labels.filter(name => name !== undefined);
  const numbers = `a class from 0 to ${labels.length - 1}`;
  return names.length > 0 && names.length < 60 ? `${numbers}, or one of ${names.join(', ')}` : numbers;
};

/** The number of a class that is given as such or by its name. Throws InputError. */
function classOf(value: unknown, name: string, { labels, index }: Context): number {
  const id = typeof value === 'string' ? labels.indexOf(value) : value;
  if (typeof id === 'number' && Number.isInteger(id) && id >= 0 && id < labels.length) return id;
  throw new InputError({
    what: `record ${index}: ${name} is wrong`,
    actual: describe(value),
    expected: classesInWords(labels),
    next: labels.length === 0 ? 'Load the model with num_labels or id2label.' : undefined,
  });
}

const isFraction = (value: unknown): value is number => typeof value === 'number' && value >= 0 && value <= 1;

/**
 * The label of a text, as the loss takes it: the number of a class; a list with a number for each class; the number of a regression.
 * Throws InputError.
 */
export function readLabel(
  value: unknown,
  { labels, problemType, index }: Context & { readonly problemType: ProblemType },
): number | number[] {
  const count = labels.length;
  const refuse = (expected: string) =>
    new InputError({ what: `record ${index}: the label is wrong`, actual: describe(value), expected });
  switch (problemType) {
    case 'single_label_classification':
      return classOf(value, 'the label', { labels, index });
    case 'multi_label_classification': {
      if (!Array.isArray(value))
        throw refuse(`a list: ${count} numbers from 0 to 1, or the names of the classes that hold`);
      const isNames = value.length > 0 ? value.every(each => typeof each === 'string') : count > 0;
      if (isNames) {
        const held = new Set(value.map((each, i) => classOf(each, `label ${i}`, { labels, index })));
        return labels.map((_, id) => Number(held.has(id)));
      }
      if (value.length === count && value.every(isFraction)) return [...value];
      throw refuse(`${count} numbers from 0 to 1`);
    }
    case 'regression': {
      const numbers: readonly unknown[] = Array.isArray(value) ? value : [value];
      const isFine = numbers.length === count && numbers.every(Number.isFinite);
      if (!isFine) throw refuse(count === 1 ? 'a number' : `${count} numbers`);
      return count === 1 ? (numbers[0] as number) : (numbers as number[]).slice();
    }
    default:
      return problemType satisfies never;
  }
}

/** The class of each word, or -100 for one without; by number or name. Throws InputError. */
export function readTags(value: unknown, words: unknown, { labels, index }: Context): number[] {
  if (!Array.isArray(words) || words.length === 0 || !words.every(word => typeof word === 'string')) {
    throw new InputError({
      what: `record ${index}: tokens is wrong`,
      actual: describe(words),
      expected: 'a list of strings, the words of the text',
    });
  }
  const tags: unknown = ArrayBuffer.isView(value) ? Array.from(value as Uint8Array) : value;
  if (!Array.isArray(tags) || tags.length !== words.length) {
    throw new InputError({
      what: `record ${index}: ner_tags is wrong`,
      actual: describe(value),
      expected: `a list with a tag for each of the ${words.length} words`,
    });
  }
  return tags.map((tag, i) =>
    tag === IGNORED_LABEL ? tag : classOf(tag, `the tag of word ${i} (${describe(words[i])})`, { labels, index }),
  );
}
