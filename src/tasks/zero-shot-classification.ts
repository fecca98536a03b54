import { UnsupportedError, wrong } from '../errors.ts';
import { flag, listOf, text } from './arguments.ts';
import { ranked, softmax } from './scores.ts';

export interface ZeroShotOptions {
  /** The sentence that the model judges; "{}" is where a label goes. Default: "This example is {}.". */
  hypothesis_template?: string;
  /** Whether several labels may hold at once, each judged alone. Default: false. */
  multi_label?: boolean;
}

export interface ZeroShotResult {
  sequence: string;
  /** Likeliest first. */
  labels: string[];
  scores: number[];
}

/** A list of labels, or one string with commas between them. Throws InputError. */
export function candidateLabels(labels: unknown): string[] {
  const split = (labels: string) => labels.split(',').flatMap(label => label.trim() || []);
  return listOf('candidate_labels', typeof labels === 'string' ? split(labels) : labels, text);
}

/** Options checked, and the hypothesis of every label. Throws InputError. */
export function zeroShotOptions(labels: readonly string[], options: ZeroShotOptions) {
  const template = text('hypothesis_template', options.hypothesis_template ?? 'This example is {}.');
  if (!template.includes('{}')) {
    throw wrong('hypothesis_template', template, 'a sentence with {} where a label goes');
  }
  return {
    hypotheses: labels.map(label => template.replaceAll('{}', () => label)),
    multiLabel: flag('multi_label', options.multi_label, false),
  };
}

/**
 * Which logit says that the hypothesis holds, and which that it does not: by the names in the config's `label2id`, or where it
 * has none by those of its `id2label`, in order.
 * Without a name for the second it is Python's: the first logit, or the last where the first is the entailment.
 */
export function entailmentIds(
  label2id: unknown,
  labels: readonly (string | undefined)[],
): { entailment: number; contradiction: number } {
  const named = Object.entries((label2id ?? {}) as Record<string, number>);
  const entries =
    named.length > 0
      ? named
      : labels.flatMap((label, id): [string, number][] => (label === undefined ? [] : [[label, id]]));
  const find = (name: RegExp) => entries.find(([label, id]) => name.test(label) && id >= 0 && id < labels.length)?.[1];
  const entailment = find(/^entail/i);
  if (entailment === undefined) {
    throw new UnsupportedError({
      what: 'the model has no label "entailment", so it cannot judge hypotheses',
      actual: entries.map(([label]) => label).join(', '),
      supported: ['entailment', 'contradiction', 'neutral'],
      next: 'Take a checkpoint for natural language inference (MNLI, XNLI).',
    });
  }
  return { entailment, contradiction: find(/^(contradict|not_entail)/i) ?? (entailment === 0 ? labels.length - 1 : 0) };
}

/** The labels of one text, likeliest first, from one row of logits for each. */
export function zeroShot(
  sequence: string,
  labels: readonly string[],
  rows: readonly ArrayLike<number>[],
  { entailment, contradiction }: { entailment: number; contradiction: number },
  multiLabel: boolean,
): ZeroShotResult {
  const scores =
    multiLabel || labels.length === 1
      ? rows.map(row => softmax([row[contradiction]!, row[entailment]!])[1]!)
      : softmax(rows.map(row => row[entailment]!));
  const order = ranked(scores);
  return { sequence, labels: order.map(i => labels[i]!), scores: order.map(i => scores[i]!) };
}
