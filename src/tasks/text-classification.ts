import { wrong } from '../errors.ts';
import { choice, count, text, textList } from './arguments.ts';
import { FUNCTION_NAMES, ranked, type ScoreFunction, toScores } from './scores.ts';

export interface TextClassificationOptions {
  /** How many labels to report, the likeliest first; null for all. Default: 1. */
  top_k?: number | null;
  /** What makes scores of logits. Default: what the checkpoint's problem type and number of labels ask for. */
  function_to_apply?: ScoreFunction | null;
}

export interface Classification {
  label: string;
  score: number;
}

/** A text, with its pair where it has one. */
export interface TextInput {
  text: string;
  pair?: string;
}

/** Strings and `{text, text_pair}`, one or a list, as a list. Throws InputError. */
export function textInputs(inputs: unknown): TextInput[] {
  return textList(inputs, (name, input) => {
    const given: { text?: unknown; text_pair?: unknown } = typeof input === 'string' ? { text: input } : Object(input);
    if (given.text === undefined) throw wrong(name, input, 'a string or { text, text_pair }');
    const own = text(`"text" of ${name}`, given.text);
    const pair = given.text_pair ?? undefined;
    // Python's tokenizers take an empty pair of a single text for none.
    return { text: own, pair: (pair !== undefined && text(`"text_pair" of ${name}`, pair)) || undefined };
  });
}

/**
 * Options checked. The function is chosen as in Python's pipeline: none for a regression, sigmoid for several labels at
 * once and for a single logit, else softmax. Throws InputError, UnsupportedError.
 */
export function classificationOptions(
  { top_k = 1, function_to_apply }: TextClassificationOptions,
  problemType: string | null | undefined,
  labels: number,
): { topK: number; apply: ScoreFunction } {
  // All labels are no number: a model may have one, and the shape of the answer is that of all nevertheless.
  const independent = problemType === 'multi_label_classification' || labels === 1;
  const usual = problemType === 'regression' ? 'none' : independent ? 'sigmoid' : 'softmax';
  return {
    topK: top_k === null ? Number.POSITIVE_INFINITY : count('top_k', top_k, 1),
    apply: choice('function_to_apply', function_to_apply, FUNCTION_NAMES, usual),
  };
}

/** The likeliest labels of a text, likeliest first. */
export function classify(
  logits: ArrayLike<number>,
  labels: readonly string[],
  { topK, apply }: { topK: number; apply: ScoreFunction },
): Classification[] {
  const scores = toScores(logits, apply);
  return ranked(scores, topK).map(i => ({ label: labels[i]!, score: scores[i]! }));
}

/** One list for each text, as transformers.js hands them out: flat where a top_k of 1 was asked for, the list itself for a single text. */
export function shaped(
  lists: readonly Classification[][],
  isBatched: boolean,
  topK: number,
): Classification[] | Classification[][] {
  return topK === 1 ? lists.flat() : isBatched ? [...lists] : lists[0]!;
}
